/**
 * Owns: the process that dies. It says `warm`, waits for `go`, and does its task: one transaction
 * that takes an item from every database, after one to warm up; or recovering what is prepared.
 * Promises: writes down its transaction's id before the first statement, and the answer that it got
 * before it does anything else; kills itself exactly where it was told to.
 */
import { appendFileSync } from 'node:fs'
import { once } from 'node:events'
import { AssentError, createAssent } from 'assent'
import { dieNow } from '../../harness/killable-stream.ts'
import type { KillPoints } from '../../harness/killable-stream.ts'
import type { FrontendMessage } from '../../harness/wire.ts'
import type { System } from './crash-database.ts'
import type { Stage } from './crash-points.ts'
import { namer } from './message-names.ts'
import { APP, SETTING } from './doomed-setting.ts'
import type { Note, DoomedSetting } from './doomed-setting.ts'
import { definitionsOf, reach } from './reached.ts'
import type { Reached } from './reached.ts'

const setting = JSON.parse(process.env[SETTING] ?? '') as DoomedSetting
const { dieAt } = setting
/** On a busy machine the first transaction of a process takes its time. */
const WARM_UP_MS = 20_000
let isWarm = false

const reached = setting.databases.map(({ name, system, url, directUrl }) =>
  reach({
    ...{ name, system, url },
    ...(setting.task === 'transfer' ? { recoveryUrl: directUrl } : {}),
    application: `owner-${setting.item}`,
    killAt: dieAt === undefined ? undefined : deathsOf(name, system),
  }),
)
const assent = createAssent({ app: APP, participants: definitionsOf(reached) })

if (setting.task === 'transfer') await transfer(`${setting.item}-warm-up`, 'applied')
process.send?.('warm')
await once(process, 'message')
isWarm = true
try {
  if (setting.task === 'transfer') await transfer(setting.item, setting.resolveWhen)
  else await assent.recover()
  note({ note: 'answered', outcome: 'committed' })
} catch (error) {
  const outcome = error instanceof AssentError ? error.outcome : 'aborted'
  note({ note: 'answered', outcome, error: String(error) })
}
await assent.close()
await Promise.all(reached.map((each) => each.end()))
process.disconnect()

function transfer(item: string, resolveWhen: 'applied' | 'decided'): Promise<void> {
  return assent.transaction(
    async (handles, tx) => {
      if (isWarm) note({ note: 'began', txid: tx.id })
      for (const name of setting.writes) await handles[name]?.query(participant(name).take, [item])
      for (const name of setting.reads) await handles[name]?.query(participant(name).look, [item])
    },
    {
      reads: setting.reads,
      resolveWhen,
      timeoutMs: isWarm ? setting.timeoutMs : WARM_UP_MS,
      ...(setting.decider === undefined ? {} : { decider: setting.decider }),
    },
  )
}

function participant(name: string): Reached {
  const found = reached.find((each) => each.name === name)
  if (found === undefined) throw new Error(`no participant ${name}`)
  return found
}

function deathsOf(participantName: string, system: System): KillPoints {
  const nameOf = namer(participantName, system, setting.task)
  const named = new WeakMap<FrontendMessage, string>()
  const dieIf = (stage: Stage, message: string | undefined): void => {
    if (dieAt === undefined || dieAt.stage !== stage || dieAt.message !== message) return
    note({ note: 'dies', at: dieAt })
    dieNow()
  }
  return {
    beforeWrite: (message, connection) => {
      if (!isWarm) return
      const name = nameOf(message, connection)
      if (name !== undefined) named.set(message, name)
      dieIf('before sent', name)
    },
    afterAnswer: (_answer, message) => {
      dieIf('answered', named.get(message))
    },
  }
}

function note(line: Note): void {
  appendFileSync(setting.notesPath, `${JSON.stringify(line)}\n`)
}

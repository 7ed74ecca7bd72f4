/**
 * Owns: the process that dies. It says `warm`, waits for `go`, and does its task: one transaction
 * that takes an item from every database, after one to warm up; or recovering what is prepared.
 * Promises: writes down its transaction's id before the first statement, and the answer that it got
 * before it does anything else; kills itself exactly where it was told to.
 */
import { appendFileSync } from 'node:fs'
import { once } from 'node:events'
import pg from 'pg'
import { AssentError, createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { dieNow, killableStream } from '../../harness/killable-stream.ts'
import type { FrontendMessage } from '../../harness/wire-frames.ts'
import type { Stage } from './crash-points.ts'
import { MessageNames } from './message-names.ts'
import { APP, SETTING } from './doomed-setting.ts'
import type { Note, DoomedSetting } from './doomed-setting.ts'

const setting = JSON.parse(process.env[SETTING] ?? '') as DoomedSetting
const { dieAt } = setting
const names = new MessageNames()
let isWarm = false

const pools = setting.databases.map(({ name, url, directUrl }) => {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: `owner-${setting.item}`,
    ...(dieAt === undefined ? {} : { stream: dyingStream(name) }),
  })
  const recovery = { connectionString: directUrl }
  return { name, pool, options: setting.task === 'transfer' ? { recovery } : {} }
})
const assent = createAssent({
  app: APP,
  participants: Object.fromEntries(
    pools.map(({ name, pool, options }) => [name, participant(pool, options)]),
  ),
})

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
await Promise.all(pools.map(({ pool }) => pool.end()))
process.disconnect()

function transfer(item: string, resolveWhen: 'applied' | 'decided'): Promise<void> {
  return assent.transaction(
    async (handles, tx) => {
      if (isWarm) note({ note: 'began', txid: tx.id })
      for (const name of setting.writes) {
        await handles[name]?.query('UPDATE item SET amount = amount - 1 WHERE id = $1', [item])
      }
      for (const name of setting.reads) {
        await handles[name]?.query('SELECT amount FROM item WHERE id = $1', [item])
      }
    },
    {
      reads: setting.reads,
      resolveWhen,
      timeoutMs: setting.timeoutMs,
      ...(setting.decider === undefined ? {} : { decider: setting.decider }),
    },
  )
}

function dyingStream(participantName: string): ReturnType<typeof killableStream> {
  const named = new WeakMap<FrontendMessage, string>()
  const dieIf = (stage: Stage, message: string | undefined): void => {
    if (dieAt === undefined || dieAt.stage !== stage || dieAt.message !== message) return
    note({ note: 'dies', at: dieAt })
    dieNow()
  }
  return killableStream({
    beforeWrite: (message) => {
      if (!isWarm) return
      const name = names.name(participantName, message)
      if (name !== undefined) named.set(message, name)
      dieIf('before sent', name)
    },
    afterAnswer: (_answer, message) => {
      dieIf('answered', named.get(message))
    },
  })
}

function note(line: Note): void {
  appendFileSync(setting.notesPath, `${JSON.stringify(line)}\n`)
}

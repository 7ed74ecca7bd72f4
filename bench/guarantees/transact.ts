/**
 * One transaction of the ladder, on connections of two pools.
 *
 * Owns: sending the messages of a step one after the other, and reading their answers.
 * Promises: messages are sent and read by Assent's own code, so that what is measured is what they
 * say. A no anywhere leaves nothing; an answer that is neither yes nor no leaves what is prepared, as
 * it must.
 * Never: finishes what a crash left behind. In the first steps nothing could.
 */
import pg from 'pg'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { formatGid } from '../../src/protocol/index.ts'
import { readAnswer } from '../../src/systems/pg/answers.ts'
import type { Expected } from '../../src/systems/pg/answers.ts'
import { beginWith } from '../../src/systems/pg/begin-with.ts'
import type { PgClient, PgQueryClass } from '../../src/systems/pg/driver.ts'
import { send } from '../../src/systems/pg/message.ts'
import { Wire, hasTag } from '../../src/systems/pg/wire.ts'
import { makeTxid } from '../../src/transaction/txid.ts'
import type { Runner } from '../contender.ts'
import { withBoth } from '../rivals/with-client.ts'
import type { Pools, Work } from '../rivals/with-client.ts'
import { NAMES, readyToMark } from './register.ts'
import { APP, DECIDER, LadderStatements, PREPARES, rollBackPrepared } from './statements.ts'
import type { Ids } from './statements.ts'
import { STEPS, messagesOf } from './steps.ts'
import type { Messages, Said, StepName } from './steps.ts'

const Query = pg.Query as unknown as PgQueryClass

/** A step in its lane. */
export function openStep(name: StepName, pools: Pools, work: () => Work): Runner {
  const statements = new LadderStatements(NAMES)
  for (const pool of [pools.orders, pools.stock]) pool.on('connect', allowNames)
  let epoch: Promise<string> | undefined
  return {
    run: async () => {
      epoch ??= readyToMark(pools)
      const ids = makeIds(await epoch)
      await transact(pools, work(), ids, messagesOf(STEPS[name], ids, statements))
    },
    close: () => Promise.resolve(),
  }
}

async function transact(pools: Pools, work: Work, ids: Ids, messages: Messages): Promise<void> {
  await withBoth(pools, async (orders, stock) => {
    await begin(orders, messages.orders, work.orders)
    await begin(stock, messages.stock, work.stock)
    const vote = await say(orders, messages.vote)
    if (vote.answer !== 'yes') throw vote.cause
    const decision = await say(stock, messages.decide)
    if (decision.answer === 'no') await say(orders, { fixed: [], own: [rollBackPrepared(ids)] })
    if (decision.answer !== 'yes') throw decision.cause
    const applied = await say(orders, messages.apply)
    if (applied.answer !== 'yes') throw applied.cause
  })
}

/** As Assent makes them. Of another app than Assent's beside it, which therefore leaves them alone. */
function makeIds(epoch: string): Ids {
  const txid = makeTxid(nodeWorld)
  const gid = formatGid({ app: APP, register: DECIDER, epoch, txid, branch: PREPARES })
  return { txid, epoch, gid }
}

/**
 * Sends what precedes the user's statement, and that, as one message.
 *
 * @throws Error that says what was answered instead
 */
function begin(
  client: pg.PoolClient,
  { fixed, own: [claim] }: Said,
  statement: pg.QueryConfig,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>()
  let result: (() => void) | undefined
  let isBegun = false
  beginWith(inside(client), Query, { statements: fixed, claim }, [statement], {
    onBegun: (begun) => {
      if (begun.kind === 'unwritten') reject(new Error('the statement was not written'))
      else if (begun.kind !== 'begun') reject(begun.cause)
      else if (claim !== undefined && begun.ctid === undefined) {
        reject(new Error('the claim was not written'))
      }
      isBegun = true
      result?.()
    },
    onResult: (error) => {
      result = () => {
        if (error === null) resolve(undefined)
        else reject(error)
      }
      if (isBegun) result()
    },
  })
  return promise
}

function say(client: pg.PoolClient, { fixed, own }: Said) {
  const tags = [...fixed, ...own].filter(hasTag).map(({ tag }) => tag)
  const expected: Expected = { tags, status: 'I', decides: tags.length - 1 }
  return send(inside(client), own, fixed).then((reply) => readAnswer(reply, expected))
}

/** Statements are parsed once for each connection: nobody stands between. */
function allowNames(client: pg.PoolClient): void {
  Wire.of(inside(client).connection).naming = 'allowed'
}

/** node-postgres' types leave out what Assent uses of it. */
function inside(client: pg.PoolClient): PgClient {
  return client as unknown as PgClient
}

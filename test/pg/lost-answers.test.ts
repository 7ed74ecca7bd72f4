import { describe, expect, onTestFinished, test } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { WireProxy } from '../../harness/wire-proxy.ts'
import type { Verdict } from '../../harness/wire-proxy.ts'
import { refusal } from '../support/assent.ts'
import { freshDatabase } from '../support/databases.ts'
import type { TestDatabase } from '../support/databases.ts'
import { kindOfMessage } from '../support/message-kinds.ts'

interface Faults {
  /** What becomes of a message before the server gets it, by `participant kind`. */
  request: Record<string, () => Verdict | Promise<Verdict>>
  /** What becomes of its answer. */
  answer: Record<string, () => Verdict | Promise<Verdict>>
}

interface Writing {
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /** Whether the claim goes along with the first statement in orders, or comes after all work. */
  readonly claim?: 'first' | 'last'
}

/** Orders decides, stock votes; every pooled connection passes a proxy. */
async function proxied() {
  const faults: Faults = { request: {}, answer: {} }
  const databases = { orders: await freshDatabase('first'), stock: await freshDatabase('second') }
  const through = async (name: 'orders' | 'stock', { url }: TestDatabase) => {
    const proxy = await WireProxy.listen({
      targetPort: Number(new URL(url).port),
      name: (message) => {
        const kind = kindOfMessage(message)
        return kind === undefined ? undefined : `${name} ${kind}`
      },
      onRequest: (named) => faults.request[named.name]?.() ?? 'pass',
      onAnswer: (named) => faults.answer[named.name]?.() ?? 'pass',
    })
    const pool = new pg.Pool({ connectionString: proxy.url(url) })
    pool.on('error', () => undefined)
    onTestFinished(async () => {
      // What is held for good is let go, so that nothing waits for its bound.
      await proxy.close()
      await pool.end()
    })
    return participant(pool, { recovery: { connectionString: url } })
  }
  const assent = createAssent({
    app: 'shop',
    participants: {
      orders: await through('orders', databases.orders),
      stock: await through('stock', databases.stock),
    },
    onReport: () => undefined,
  })
  onTestFinished(() => assent.close())
  const write = ({ claim = 'first', ...options }: Writing = {}): Promise<void> =>
    assent.transaction(
      async ({ orders, stock }) => {
        const order = claim === 'first' ? [stock, orders] : [orders, stock]
        for (const database of order) await database.query('insert into t values (1)')
      },
      { timeoutMs: 2_000, ...options, decider: 'orders' },
    )
  const rows = async () => [await databases.orders.count(), await databases.stock.count()]
  const settled = async (expected: readonly number[]): Promise<void> => {
    await expect.poll(rows).toEqual(expected)
    await expect.poll(() => databases.stock.prepared()).toEqual([])
  }
  return { assent, faults, write, settled, databases }
}

const never = () => new Promise<Verdict>(() => undefined)

describe('an answer that is cut off', () => {
  test.each([
    ['the claim', 'orders claim', 'last'],
    ['PREPARE (fault 30)', 'stock vote', 'first'],
    ['PREPARE behind a claim that was written last (fault 30)', 'stock vote', 'last'],
  ] as const)('to %s aborts everywhere, and says so', async (_what, message, claim) => {
    const { faults, write, settled } = await proxied()
    faults.answer[message] = () => 'drop-connection'
    const error = await refusal(write({ claim }), 'ASSENT_UNCLEAR')
    expect(error.retryable).toBe(true)
    await settled([0, 0])
  })

  test('to the first statement and its claim: both are sent again, without a claim', async () => {
    const { faults, write, settled } = await proxied()
    await write()
    let dropped = 0
    faults.answer['orders first-claim'] = () => {
      dropped += 1
      return 'drop-connection'
    }
    await write()
    expect(dropped).toBe(1)
    await settled([2, 2])
  })

  test.each(['first', 'last'] as const)(
    'to COMMIT is looked up in the register: the promise resolves (fault 31), claimed %s',
    async (claim) => {
      const { faults, write, settled } = await proxied()
      faults.answer['orders decide'] = () => 'drop-connection'
      await write({ claim })
      await settled([1, 1])
    },
  )

  test('to COMMIT PREPARED is looked up by the receipt: the promise resolves', async () => {
    const { faults, write, settled } = await proxied()
    faults.answer['stock apply'] = () => 'drop-connection'
    await write()
    await settled([1, 1])
  })
})

describe('a message that never arrives', () => {
  test.each([
    ['orders claim', 'last'],
    ['stock vote', 'last'],
    ['stock vote', 'first'],
  ] as const)(
    '%s, claimed %s: everything is aborted, and nothing was prepared (fault 29)',
    async (message, claim) => {
      const { faults, write, settled, databases } = await proxied()
      let seen: readonly string[] = []
      faults.request[message] = async (): Promise<Verdict> => {
        seen = await databases.stock.prepared()
        return 'drop-connection'
      }
      const error = await refusal(write({ claim }), 'ASSENT_UNCLEAR')
      expect(error.retryable).toBe(true)
      expect(seen).toEqual([])
      await settled([0, 0])
    },
  )

  test('COMMIT: the register proves that it can never commit, and everything is aborted', async () => {
    const { faults, write, settled } = await proxied()
    faults.request['orders decide'] = () => 'drop-connection'
    await refusal(write(), 'ASSENT_UNCLEAR')
    await settled([0, 0])
  })

  test('COMMIT PREPARED: the branch is committed by recovery, and the promise resolves', async () => {
    const { faults, write, settled } = await proxied()
    faults.request['stock apply'] = () => 'drop-connection'
    await write()
    await settled([1, 1])
  })
})

describe('an answer that does not come', () => {
  test.each([
    ['orders claim', 'last'],
    ['stock vote', 'last'],
    ['stock vote', 'first'],
  ] as const)(
    'to %s within the time, claimed %s: aborted, and every connection is given back',
    async (message, claim) => {
      const { faults, write, settled } = await proxied()
      faults.answer[message] = never
      await refusal(write({ timeoutMs: 500, claim }), 'ASSENT_TIMEOUT')
      await settled([0, 0])
      faults.answer = {}
      await write()
      await settled([1, 1])
    },
  )

  test('to COMMIT within the time: unknown, with an id that can be asked (fault 31)', async () => {
    const { assent, faults, write, settled } = await proxied()
    faults.answer['orders decide'] = never
    const error = await refusal(write(), 'ASSENT_TIMEOUT', 'unknown')
    expect(error.message).toMatch(/orders: unknown \(decider\) · stock: prepared, recovery will/)
    const asked = await assent.outcome(error.transactionId ?? '', { waitMs: 10_000 })
    expect(asked).toEqual({ outcome: 'committed' })
    await settled([1, 1])
  })

  test('to COMMIT in time, but soon after it: the caller is told what it was', async () => {
    const { faults, write, settled } = await proxied()
    let late = false
    faults.answer['orders decide'] = async (): Promise<Verdict> => {
      // Answers only once the caller's time is over.
      await expect.poll(() => performance.now() > over).toBe(true)
      late = true
      return 'pass'
    }
    const over = performance.now() + 2_100
    await write()
    expect(late).toBe(true)
    await settled([1, 1])
  })

  test('to COMMIT PREPARED within the time: resolves, and recovery goes on', async () => {
    const { faults, write, settled } = await proxied()
    faults.request['stock apply'] = never
    await write()
    await settled([1, 1])
  })
})

describe('a signal that is aborted after the decision (fault 82)', () => {
  test.each([
    ['when COMMIT is answered', 'answer', 'orders decide'],
    ['when COMMIT PREPARED is sent', 'request', 'stock apply'],
    ['when COMMIT PREPARED is answered', 'answer', 'stock apply'],
  ] as const)('%s comes too late: committed', async (_when, point, message) => {
    const { faults, write, settled } = await proxied()
    const controller = new AbortController()
    faults[point][message] = () => {
      controller.abort(new Error('too late'))
      return 'pass'
    }
    await write({ signal: controller.signal })
    expect(controller.signal.aborted).toBe(true)
    await settled([1, 1])
  })
})

describe('one database alone', () => {
  test('whose answer to COMMIT is lost is unknown, and can’t be asked', async () => {
    const { assent, faults, databases } = await proxied()
    faults.answer['stock decide'] = () => 'drop-connection'
    const error = await refusal(
      assent.transaction(({ stock }) => stock.query('insert into t values (1)')),
      'ASSENT_UNCLEAR',
      'unknown',
    )
    expect(await assent.outcome(error.transactionId ?? '')).toEqual({
      outcome: 'unknown',
      reason: 'not-found',
    })
    expect(await databases.stock.count()).toBe(1)
  })

  test('with receipt: true, a lost answer to COMMIT is looked up, and an id can be asked', async () => {
    const { assent, faults, databases } = await proxied()
    const receipted = (): Promise<void> =>
      assent.transaction(
        async ({ orders }, tx) => {
          tx.onCommitted(() => {
            expect(tx.plan).toMatchObject({ decider: 'orders', voters: [] })
          })
          await orders.query('insert into t values (1)')
        },
        { receipt: true, timeoutMs: 2_000 },
      )
    faults.answer['orders decide'] = () => 'drop-connection'
    await receipted()
    expect(await databases.orders.count()).toBe(1)

    faults.answer['orders decide'] = never
    const unknown = await refusal(receipted(), 'ASSENT_TIMEOUT', 'unknown')
    const asked = await assent.outcome(unknown.transactionId ?? '', { waitMs: 10_000 })
    expect(asked).toEqual({ outcome: 'committed' })

    faults.request['orders decide'] = () => 'drop-connection'
    const aborted = await refusal(receipted(), 'ASSENT_UNCLEAR')
    expect(await assent.outcome(aborted.transactionId ?? '')).toEqual({ outcome: 'aborted' })
    expect(await databases.orders.count()).toBe(2)
  })
})

/**
 * Who forgets is killed at each of its messages, before the server has it and before it has the
 * answer (fault 12). Nothing is wrong then, and the next one goes on.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { nodeProgram } from '../../harness/fixture-process.ts'
import { within } from '../../harness/eventually.ts'
import { WireProxy } from '../../harness/wire-proxy.ts'
import type { Verdict } from '../../harness/wire-proxy.ts'
import { openShop, writeBoth } from '../support/assent.ts'
import type { Shop } from '../support/assent.ts'
import { NOTHING, cleanerOf, marksOf, supersede } from '../support/cleaner.ts'
import type { Cleaner } from '../support/cleaner.ts'
import { RETENTION_MS } from '../support/leftover.ts'

const PROGRAM = fileURLToPath(new URL('./forgetter.program.ts', import.meta.url))
const BOOT_MS = 30_000
const RUN_MS = 20_000
const TRANSACTIONS = 2
/** A pass over both databases has so many messages at least. */
const FEWEST_MESSAGES = 20
const MOST_MESSAGES = 60

type Stage = 'not processed' | 'not answered'

interface Death {
  /** What it had sent, in order; the last is where it died. */
  readonly sent: readonly string[]
  readonly ending: string
  readonly errors: string
}

test.each(['not processed', 'not answered'] as const)(
  'killed at each message, sent and %s: nothing is wrong, and the next one goes on (fault 12)',
  async (stage) => {
    // The epoch that its process knows is taken off the list each time.
    const shop = await openShop({ retry: { attempts: 2, firstMs: 1 } })
    const cleaner = cleanerOf(shop)
    const hit: string[] = []
    for (let at = 1; at <= MOST_MESSAGES; at += 1) {
      await leaveDue(shop, cleaner)
      const death = await killedForgetter(shop, at, stage)
      expect(death.errors).toBe('')
      await nothingIsWrong(shop)
      await cleaner.pass()
      await cleaner.pass()
      expect(await marksOf(shop)).toEqual(NOTHING)
      expect(cleaner.reports).toEqual([])
      if (death.ending === 'exit code 0') break
      expect(death.ending).toBe('SIGKILL')
      hit.push(death.sent.at(-1) ?? '')
    }
    console.log(`sent and ${stage}: killed at ${hit.length} messages`)
    expect(hit.length).toBeGreaterThan(FEWEST_MESSAGES)
    expect(hit.length).toBeLessThan(MOST_MESSAGES)
    for (const deed of [
      /SET decision = 'settled'/,
      /DELETE FROM "assent".mark/,
      /DELETE FROM "assent".epoch/,
    ]) {
      expect(hit.some((message) => deed.test(message))).toBe(true)
    }
    expect(await shop.stock.count()).toBe(await shop.orders.count())
  },
  240_000,
)

async function leaveDue(shop: Shop, cleaner: Cleaner): Promise<void> {
  for (let count = 0; count < TRANSACTIONS; count += 1) await writeBoth(shop)
  await supersede(shop, cleaner)
}

/** Whatever was deleted, no decision went before its receipts, nor a receipt before it was settled. */
async function nothingIsWrong({ orders, stock }: Shop): Promise<void> {
  const read = 'select txid, decision from assent.mark'
  const decisions = new Map(
    (await orders.sql(read)).map(({ txid, decision }) => [txid, decision] as const),
  )
  const receipts = new Set((await stock.sql(read)).map(({ txid }) => txid))
  for (const txid of receipts) expect(decisions.has(txid)).toBe(true)
  for (const [txid, decision] of decisions) {
    if (!receipts.has(txid)) expect(decision).toBe('settled')
  }
}

/** Runs a forgetter and kills it at its n-th message, counted over both databases. */
async function killedForgetter(shop: Shop, at: number, stage: Stage): Promise<Death> {
  const sent: string[] = []
  const proxies = await Promise.all(
    [shop.orders, shop.stock].map((database) =>
      WireProxy.listen({
        targetPort: Number(new URL(database.url).port),
        name: () => database.name,
      }),
    ),
  )
  const urls = [shop.orders, shop.stock].map(({ url }, which) => proxies[which]!.url(url))
  const child = spawn(
    nodeProgram(),
    ['--conditions=assent-source', PROGRAM, ...urls, String(RETENTION_MS)],
    { env: { PATH: process.env['PATH'] }, stdio: ['ignore', 'inherit', 'pipe', 'ipc'] },
  )
  const ended = once(child, 'close')
  onTestFinished(() => void child.kill('SIGKILL'))
  let errors = ''
  child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const numbers = new Map<object, number>()
  const dieIf = (message: object, here: Stage): Verdict => {
    if (numbers.get(message) !== at || here !== stage) return 'pass'
    child.kill('SIGKILL')
    return 'hold'
  }
  for (const { hooks } of proxies) {
    hooks.onRequest = ({ message }) => {
      numbers.set(message, numbers.size + 1)
      if (numbers.size <= at) sent.push(message.statements.map(({ sql }) => sql).join('; '))
      return dieIf(message, 'not processed')
    }
    hooks.onAnswer = ({ message }) => dieIf(message, 'not answered')
  }
  try {
    await within('the forgetter to be ready', once(child, 'message'), BOOT_MS)
    child.send('go')
    const [code, signal] = (await within('the forgetter to end', ended, RUN_MS)) as [
      number | null,
      string | null,
    ]
    return { sent, ending: signal ?? `exit code ${String(code)}`, errors }
  } finally {
    await Promise.all(proxies.map((proxy) => proxy.close()))
  }
}

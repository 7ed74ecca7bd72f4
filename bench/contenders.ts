/**
 * Who is measured: Assent, and those that do the same work without it.
 *
 * Owns: the list of contenders, what each is compared with, and how each makes one transaction.
 * Promises: all do the same statements, on connections of pools of the same size. Assent runs as it
 * is configured by default, its scans included.
 */
import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { STEPS, STEP_NAMES } from './guarantees/steps.ts'
import type { StepName } from './guarantees/steps.ts'
import { openStep } from './guarantees/transact.ts'
import { bareDriver } from './rivals/bare-driver.ts'
import { byHand } from './rivals/by-hand.ts'
import { byHandAwaited } from './rivals/by-hand-awaited.ts'
import { noGuarantee } from './rivals/no-guarantee.ts'
import type { Pools } from './rivals/with-client.ts'
import { aloneStatement, transferWork } from './workload.ts'
import type { Urls } from './workload.ts'

/** More than run at the same time: a branch that is applied in the background has its connection. */
export const POOL_SIZE = 20
/** What the pools' connections are called, and Assent's own beside them. */
export const POOL_APPLICATION = 'bench'
const OWN_APPLICATION = 'bench-recovery'

/** Who is measured if nothing else is said. */
export const CONTENDER_NAMES = [
  'no-guarantee',
  'by-hand',
  'by-hand-awaited',
  'assent-applied',
  'assent-decided',
  'bare-driver',
  'assent-alone',
] as const
/** Who is measured with `--guarantees`: what each guarantee adds to the one before it. */
export const GUARANTEE_NAMES = [
  ...STEP_NAMES,
  'assent-decided',
  'assent-applied',
  'bare-driver',
  'assent-alone',
  'assent-receipt',
] as const
export type ContenderName = (typeof CONTENDER_NAMES)[number] | (typeof GUARANTEE_NAMES)[number]

/** A contender in its lane: makes one transaction whenever it is told to. */
export interface Runner {
  run(): Promise<void>
  /** Resolves once nothing of it is under way any more. */
  close(): Promise<void>
}

export interface Contender {
  readonly title: string
  readonly writes: 'both databases' | 'one database'
  /** Whose figures its own are divided by. */
  readonly base: ContenderName
  readonly open: (pools: Pools) => Runner
}

export const CONTENDERS: Readonly<Record<ContenderName, Contender>> = {
  'no-guarantee': {
    title: '(a) two commits, no guarantee',
    writes: 'both databases',
    base: 'by-hand',
    open: (pools) => rival(() => noGuarantee(pools, transferWork())),
  },
  'by-hand': {
    title: '(b) two-phase by hand',
    writes: 'both databases',
    base: 'by-hand',
    open: (pools) => rival(() => byHand(pools, transferWork())),
  },
  'by-hand-awaited': {
    title: '(b′) by hand, each awaited',
    writes: 'both databases',
    base: 'by-hand',
    open: (pools) => rival(() => byHandAwaited(pools, transferWork())),
  },
  'assent-applied': {
    title: 'Assent, applied',
    writes: 'both databases',
    base: 'by-hand',
    open: (pools) => assentTransfers(pools, 'applied'),
  },
  'assent-decided': {
    title: 'Assent, decided',
    writes: 'both databases',
    base: 'by-hand',
    open: (pools) => assentTransfers(pools, 'decided'),
  },
  'bare-driver': {
    title: '(c) the bare driver',
    writes: 'one database',
    base: 'bare-driver',
    open: (pools) => rival(() => bareDriver(pools.orders, aloneStatement())),
  },
  'assent-alone': {
    title: 'Assent, one database',
    writes: 'one database',
    base: 'bare-driver',
    open: (pools) => assentAlone(pools, {}),
  },
  'assent-receipt': {
    title: 'Assent, with a receipt',
    writes: 'one database',
    base: 'bare-driver',
    open: (pools) => assentAlone(pools, { receipt: true }),
  },
  unrecorded: step('unrecorded'),
  'with-time-out': step('with-time-out'),
  'with-marks': step('with-marks'),
  'with-epoch': step('with-epoch'),
  'with-settings': step('with-settings'),
  'with-proof': step('with-proof'),
  'with-watch': step('with-watch'),
}

export function openPools(urls: Urls): Pools {
  const pool = (connectionString: string): pg.Pool => {
    const made = new pg.Pool({
      connectionString,
      max: POOL_SIZE,
      application_name: POOL_APPLICATION,
      idleTimeoutMillis: 0,
    })
    // That an idle connection broke is no event: its next use is.
    made.on('error', () => undefined)
    return made
  }
  return { orders: pool(urls.orders), stock: pool(urls.stock) }
}

export async function closePools(pools: Pools): Promise<void> {
  await Promise.all([pools.orders.end(), pools.stock.end()])
}

function rival(run: () => Promise<void>): Runner {
  return { run, close: () => Promise.resolve() }
}

/** A step of the ladder, beside the one with the fewest guarantees. */
function step(name: StepName): Contender {
  return {
    title: STEPS[name].title,
    writes: 'both databases',
    base: 'unrecorded',
    open: (pools) => openStep(name, pools, transferWork),
  }
}

function assentTransfers(pools: Pools, resolveWhen: 'applied' | 'decided'): Runner {
  const assent = openAssent(pools)
  return {
    run: () => {
      const work = transferWork()
      return assent.transaction(
        async ({ orders, stock }) => {
          await orders.query(work.orders)
          await stock.query(work.stock)
        },
        { resolveWhen },
      )
    },
    close: () => assent.close(),
  }
}

/** Both databases are configured, and one is used: as in a program that has grown. */
function assentAlone(pools: Pools, options: { readonly receipt?: true }): Runner {
  const assent = openAssent(pools)
  return {
    run: () =>
      assent.transaction(async ({ orders }) => {
        await orders.query(aloneStatement())
      }, options),
    close: () => assent.close(),
  }
}

function openAssent(pools: Pools) {
  // Told apart on the wire by their name; otherwise they are as Assent makes them by default.
  const named = (pool: pg.Pool) => {
    const { connectionString } = pool.options
    return participant(pool, { recovery: { connectionString, application_name: OWN_APPLICATION } })
  }
  return createAssent({
    app: 'bench',
    participants: { orders: named(pools.orders), stock: named(pools.stock) },
  })
}

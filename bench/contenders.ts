/**
 * Who is measured: Assent, and those that do the same work without it.
 *
 * Owns: the list of contenders, what each is compared with, and how each makes one transaction.
 * Promises: all do the same statements, on connections of pools of the same size.
 */
import { createAssent } from 'assent'
import { participantOf, rival } from './contender.ts'
import type { Contender, Runner } from './contender.ts'
import { STEPS, STEP_NAMES } from './guarantees/steps.ts'
import type { StepName } from './guarantees/steps.ts'
import { openStep } from './guarantees/transact.ts'
import { MIXED, MIXED_NAMES } from './pairs.ts'
import type { MixedName } from './pairs.ts'
import { bareDriver } from './rivals/bare-driver.ts'
import { byHand } from './rivals/by-hand.ts'
import { byHandAwaited } from './rivals/by-hand-awaited.ts'
import { noGuarantee } from './rivals/no-guarantee.ts'
import type { Pools } from './rivals/with-client.ts'
import { aloneStatement, transferWork } from './workload.ts'

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
/** Who is measured with `--pairs`: two servers of PostgreSQL, beside PostgreSQL and MariaDB. */
export const PAIR_NAMES = [...CONTENDER_NAMES.slice(0, 5), ...MIXED_NAMES] as const
export type ContenderName =
  (typeof CONTENDER_NAMES)[number] | (typeof GUARANTEE_NAMES)[number] | MixedName

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
  'on-demand': step('on-demand'),
  ...MIXED,
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
  return createAssent({
    app: 'bench',
    participants: { orders: participantOf(pools.orders), stock: participantOf(pools.stock) },
  })
}

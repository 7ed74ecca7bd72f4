/**
 * The contenders over PostgreSQL and MariaDB: the same transaction, with `stock` on MariaDB.
 *
 * Owns: their list, and how each makes one transaction.
 * Promises: all do the same statements by the same method of mysql2.
 */
import { createAssent } from 'assent'
import { mysql2 } from 'assent/mysql2'
import { participantOf, rival } from './contender.ts'
import type { Contender, LanePools, Runner } from './contender.ts'
import { mixedByHand } from './rivals/with-mariadb/by-hand.ts'
import { mixedByHandAwaited } from './rivals/with-mariadb/by-hand-awaited.ts'
import { mixedNoGuarantee } from './rivals/with-mariadb/no-guarantee.ts'
import type { MixedPools, MixedWork } from './rivals/with-mariadb/with-both.ts'
import { mixedWork } from './workload.ts'

export const MIXED_NAMES = [
  'mixed-no-guarantee',
  'mixed-by-hand',
  'mixed-by-hand-awaited',
  'mixed-applied',
  'mixed-decided',
  'mixed-orders-decides',
] as const
export type MixedName = (typeof MIXED_NAMES)[number]

export const MIXED: Readonly<Record<MixedName, Contender>> = {
  'mixed-no-guarantee': contender('(a) with MariaDB', mixedRival(mixedNoGuarantee)),
  'mixed-by-hand': contender('(b) with MariaDB', mixedRival(mixedByHand)),
  'mixed-by-hand-awaited': contender('(b′) with MariaDB', mixedRival(mixedByHandAwaited)),
  'mixed-applied': contender('Assent with MariaDB, applied', (pools) =>
    assentTransfers(pools, 'applied', 'mariadb'),
  ),
  'mixed-decided': contender('Assent with MariaDB, decided', (pools) =>
    assentTransfers(pools, 'decided', 'mariadb'),
  ),
  'mixed-orders-decides': contender('…, applied, PostgreSQL decides', (pools) =>
    assentTransfers(pools, 'applied', 'orders'),
  ),
}

function contender(title: string, open: Contender['open']): Contender {
  return { title, writes: 'PostgreSQL and MariaDB', base: 'mixed-by-hand', open }
}

function mixedRival(
  transact: (pools: MixedPools, work: MixedWork) => Promise<void>,
): Contender['open'] {
  return (pools) => {
    const both = mixedPools(pools)
    return rival(() => transact(both, mixedWork()))
  }
}

/** MariaDB decides by default. */
function assentTransfers(
  pools: LanePools,
  resolveWhen: 'applied' | 'decided',
  decider: 'orders' | 'mariadb',
): Runner {
  const both = mixedPools(pools)
  const assent = createAssent({
    app: 'bench-pairs',
    participants: { orders: participantOf(both.orders), mariadb: mysql2(both.mariadb) },
  })
  return {
    run: () => {
      const work = mixedWork()
      return assent.transaction(
        async ({ orders, mariadb }) => {
          await orders.query(work.orders)
          await mariadb.query(work.mariadb.sql, work.mariadb.values)
        },
        { resolveWhen, decider },
      )
    },
    close: () => assent.close(),
  }
}

function mixedPools({ orders, mariadb }: LanePools): MixedPools {
  if (mariadb === undefined) throw new Error('MariaDB is only there with --pairs')
  return { orders, mariadb }
}

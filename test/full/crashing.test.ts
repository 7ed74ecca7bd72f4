/**
 * `crashing()` on every pair of systems: what is left is ended the same way everywhere.
 */
import { expect, onTestFinished, test } from 'vitest'
import { createAssent } from 'assent'
import { crashing, settled } from 'assent/testing'
import type { CrashStep } from 'assent/testing'
import { refusal } from '../support/assent.ts'
import { assentOver, freshApp, openStore } from '../support/pairs.ts'
import type { Kind } from '../support/pairs.ts'

const AFTERWARDS: Readonly<Record<CrashStep, 0 | 1>> = {
  'before claim': 0,
  'after claim': 0,
  'before vote': 0,
  'after vote': 0,
  'before decide': 0,
  'after decide': 1,
  'before apply': 1,
  'after apply': 1,
}
const PAIRS: readonly (readonly [Kind, Kind])[] = [
  ['postgres', 'mariadb by mysql2'],
  ['mariadb by mariadb', 'postgres'],
  ['mariadb by mysql2', 'mariadb with a binary log'],
]

test.each(
  PAIRS.flatMap(([decides, votes]) =>
    (Object.keys(AFTERWARDS) as CrashStep[]).map((at) => ({ decides, votes, at })),
  ),
)('$decides decides, $votes votes: crashed $at', async ({ decides, votes, at }) => {
  const app = freshApp()
  const orders = await openStore(decides, app)
  const stock = await openStore(votes, app)
  const participants = { orders: orders.definition, stock: stock.definition }
  const doomed = createAssent({ app, participants: crashing(participants, { at }) })
  onTestFinished(() => doomed.close())
  const crashed = doomed.transaction(
    async (db) => {
      await db.orders.query('insert into t values (1)')
      await db.stock.query('insert into t values (1)')
    },
    { decider: 'orders' },
  )
  await refusal(crashed, 'ASSENT_CRASHED', 'unknown')
  const { assent } = assentOver(app, { orders, stock })
  expect(await settled(assent)).toEqual([])
  const rows = AFTERWARDS[at]
  expect([await orders.count(), await stock.count()]).toEqual([rows, rows])
})

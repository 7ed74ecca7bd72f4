import { onTestFinished } from 'vitest'
import type pg from 'pg'
import { pg as definition } from 'assent/pg'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { pgBranch, run } from '../support/pg-branch.ts'
import { freshDatabase } from '../support/databases.ts'
import { describeSystem } from './system-contract.ts'
import type { SystemDatabase } from './system-contract.ts'

describeSystem({ name: 'pg', noticesEscape: 'at once', open: openPostgres })

async function openPostgres(): Promise<SystemDatabase> {
  const database = await freshDatabase('first')
  const participant = definition(database.pool).open({
    app: 'contract',
    name: 'contract',
    world: nodeWorld,
    retentionMs: 86_400_000,
  })
  onTestFinished(() => participant.close())
  return {
    participant,
    write: async (branch) => {
      await run(branch, 'insert into t values (1)')
    },
    failInside: async (branch) => {
      await run(branch, 'select 1/0').catch(() => undefined)
    },
    escape: async (branch) => {
      // Read by standard_conforming_strings = on, the second text is one SELECT of a string.
      await run(branch, 'set local standard_conforming_strings = off')
      await run(branch, "select '\\''; commit; begin; --'")
    },
    kill: async (branch) => {
      // After seal() the guard refuses; the test goes past it.
      const client = pgBranch(branch).client as unknown as pg.PoolClient
      const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
      await database.sql('select pg_terminate_backend($1, 5000)', [rows[0]?.pid])
    },
    rows: () => database.count(),
    marks: async () =>
      (await database.sql('select txid from assent.mark')).map((row) => String(row['txid'])),
    unlist: async (epoch) => {
      await database.sql('delete from assent.epoch where id = $1', [epoch])
    },
    moveEpoch: async (epoch) => {
      await database.sql("update assent.epoch set server = '00000099' where id = $1", [epoch])
    },
  }
}

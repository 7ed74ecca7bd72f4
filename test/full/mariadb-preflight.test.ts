/**
 * Servers whose settings would break what Assent promises: each is refused before anything is marked,
 * with what to run.
 */
import { createConnection } from 'mysql2/promise'
import { expect, onTestFinished, test } from 'vitest'
import { createAssent } from 'assent'
import { mysql2 } from 'assent/mysql2'
import { MariadbServer } from '../../harness/mariadb-server.ts'
import { mysql56Folder } from '../../harness/mysql56.ts'
import { refusal } from '../support/assent.ts'
import { freshMariadb, ownMariadb, ownMariadbDatabase } from '../support/mariadb-databases.ts'
import type { MariadbDatabase } from '../support/mariadb-databases.ts'
import { freshApp } from '../support/pairs.ts'

const INSERT = 'insert into t values (1)'
const BINLOG = { log_bin: 'binlog', server_id: '7', binlog_format: 'ROW', sync_binlog: '1' }

async function refused(
  database: MariadbDatabase,
  code: Parameters<typeof refusal>[1],
): Promise<string> {
  const other = await freshMariadb('maria')
  const assent = createAssent({
    app: freshApp(),
    participants: {
      bad: mysql2(database.pool, { schema: database.name }),
      good: mysql2(other.pool, { schema: other.name }),
    },
    onReport: () => undefined,
  })
  onTestFinished(() => assent.close())
  // As decider, and as voter.
  let message = ''
  for (const decider of ['bad', 'good'] as const) {
    const error = await refusal(
      assent.transaction(
        async ({ good, bad }) => {
          await good.query(INSERT)
          await bad.query(INSERT)
        },
        { decider },
      ),
      code,
    )
    message = error.message
  }
  expect([await database.count(), await other.count()]).toEqual([0, 0])
  return message
}

test.each([
  [{ innodb_flush_log_at_trx_commit: '2' }, /SET GLOBAL innodb_flush_log_at_trx_commit = 1/],
  [{ innodb_flush_log_at_trx_commit: '0' }, /innodb_flush_log_at_trx_commit is 0/],
  [{ ...BINLOG, sync_binlog: '0' }, /SET GLOBAL sync_binlog = 1/],
  [{ innodb_doublewrite: '0' }, /innodb_doublewrite is OFF/],
] as const)('%j is refused as not durable', async (settings, said) => {
  const server = await ownMariadb('relaxed', settings)
  expect(await refused(await ownMariadbDatabase(server), 'ASSENT_NOT_DURABLE')).toMatch(said)
})

test('a binary log of statements is refused', async () => {
  const server = await ownMariadb('statements', { ...BINLOG, binlog_format: 'STATEMENT' })
  const database = await ownMariadbDatabase(server)
  expect(await refused(database, 'ASSENT_UNSUPPORTED')).toMatch(/binlog_format is STATEMENT/)
})

test('a read-only server is refused, and can be declared a reader', async () => {
  const server = await ownMariadb('replica')
  const database = await ownMariadbDatabase(server)
  await database.sql('set global read_only = on')
  expect(await refused(database, 'ASSENT_REPLICA')).toMatch(/\{ reads: \['bad'\] \}/)
  const assent = createAssent({
    app: freshApp(),
    participants: { bad: mysql2(database.pool, { schema: database.name }) },
  })
  onTestFinished(() => assent.close())
  await assent.transaction(({ bad }) => bad.query('select * from t'), { reads: ['bad'] })
})

test('what is relaxed while Assent runs is noticed by the next mark', async () => {
  const server = await ownMariadb('later')
  const database = await ownMariadbDatabase(server)
  const other = await freshMariadb('maria')
  const assent = createAssent({
    app: freshApp(),
    participants: {
      changed: mysql2(database.pool, { schema: database.name }),
      good: mysql2(other.pool, { schema: other.name }),
    },
    onReport: () => undefined,
  })
  onTestFinished(() => assent.close())
  for (const decider of ['changed', 'good'] as const) {
    const both = (): Promise<unknown> =>
      assent.transaction(
        async ({ good, changed }) => {
          await good.query(INSERT)
          await changed.query(INSERT)
        },
        { decider },
      )
    await database.sql('set global innodb_flush_log_at_trx_commit = 1')
    await both()
    const before = [await database.count(), await other.count()]
    await database.sql('set global innodb_flush_log_at_trx_commit = 2')
    await expect(both()).rejects.toMatchObject({ outcome: 'aborted', retryable: true })
    await refusal(both(), 'ASSENT_NOT_DURABLE')
    expect([await database.count(), await other.count()]).toEqual(before)
  }
})

test('MySQL 5.6, where a prepared branch goes with its connection, is refused', async () => {
  const server = await MariadbServer.create({ name: 'old', binaries: await mysql56Folder() })
  onTestFinished(() => server.remove())
  await server.start()
  const database = await ownMariadbDatabase(server)
  const message = await refused(database, 'ASSENT_UNSUPPORTED')
  expect(message).toMatch(/is mysql 5\.6\.14.*needs MySQL 8\.0\.30 or newer/)
})

test('tables that InnoDB does not keep are refused', async () => {
  const server = await ownMariadb('aria')
  const database = await ownMariadbDatabase(server)
  const participant = mysql2(database.pool, { schema: database.name })
  const assent = createAssent({ app: freshApp(), participants: { bad: participant } })
  await assent.migrate()
  await assent.close()
  const connection = await createConnection(database.url)
  await connection.query('alter table mark engine = Aria')
  await connection.end()
  expect(await refused(database, 'ASSENT_NOT_DURABLE')).toMatch(/ENGINE = InnoDB/)
})

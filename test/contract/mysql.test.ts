import { onTestFinished } from 'vitest'
import { createConnection } from 'mariadb'
import { mariadb } from 'assent/mariadb'
import { mysql2 } from 'assent/mysql2'
import { eventually } from '../../harness/eventually.ts'
import type { Branch, Participant, ParticipantContext } from '../../src/ports/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { freshMariadb } from '../support/mariadb-databases.ts'
import type { MariadbDatabase } from '../support/mariadb-databases.ts'
import { mysqlBranch, runMysql } from '../support/mysql-branch.ts'
import { describeSystem } from './system-contract.ts'
import type { SystemDatabase } from './system-contract.ts'

describeSystem({
  name: 'mysql2 on MariaDB, messages joined',
  noticesEscape: 'at its mark',
  open: async () => open(await freshMariadb('maria'), 'mysql2'),
})
describeSystem({
  name: 'mariadb on MariaDB with a binary log, messages single as on MySQL',
  noticesEscape: 'at its mark',
  open: async () => open(await freshMariadb('mariaBinlog'), 'mariadb'),
})

function participantOf(
  database: MariadbDatabase,
  driver: 'mysql2' | 'mariadb',
  context: ParticipantContext,
): Participant {
  // The tables are the database's own: the server is shared by other tests.
  const schema = database.name
  if (driver === 'mysql2') {
    return mysql2(database.pool, { schema, statements: 'joined' }).open(context)
  }
  const { hostname, port, username, password } = new URL(database.url)
  const connect = (): Promise<object> =>
    createConnection({ host: hostname, port: Number(port), user: username, password })
  const options = { schema, statements: 'single', connect } as const
  return mariadb(database.connector(), options).open(context)
}

async function open(
  database: MariadbDatabase,
  driver: 'mysql2' | 'mariadb',
): Promise<SystemDatabase> {
  const participant = participantOf(database, driver, {
    app: 'contract',
    name: 'contract',
    world: nodeWorld,
    retentionMs: 86_400_000,
  })
  onTestFinished(() => participant.close())
  await database.sql('CREATE TABLE locked (x int PRIMARY KEY) ENGINE = InnoDB')
  await database.sql('INSERT INTO locked VALUES (1), (2)')
  return {
    participant,
    write: async (branch) => {
      await runMysql(branch, 'insert into t values (1)')
    },
    failInside: (branch) => deadlock(database, branch),
    escape: async (branch) => {
      // Only whoever knows the XA id can end it: the guard refuses it, so the test goes past it.
      const { link, xid } = mysqlBranch(branch).lent
      for (const text of [`XA END ${xid}`, `XA ROLLBACK ${xid}`]) await link.send(text)
    },
    kill: async (branch) => {
      const { connection } = mysqlBranch(branch).lent.server.owner
      await database.sql(`KILL CONNECTION ${connection}`)
      const is = `SELECT id FROM information_schema.processlist WHERE id = ${connection}`
      await eventually('the session to end', async () => (await database.sql(is)).length === 0)
    },
    rows: () => database.count(),
    marks: async () =>
      (await database.sql("select txid from mark where txid <> '-'")).map((row) =>
        String(row['txid']),
      ),
    unlist: async (epoch) => {
      await database.sql('delete from epoch where id = ?', [epoch])
    },
    moveEpoch: async (epoch) => {
      await database.sql("update epoch set server = 'elsewhere' where id = ?", [epoch])
    },
  }
}

/** The branch and another session wait for each other, and the branch has done less. */
async function deadlock(database: MariadbDatabase, branch: Branch): Promise<void> {
  const { hostname, port, username, password, pathname } = new URL(database.url)
  const settings = { host: hostname, port: Number(port), user: username, password }
  const other = await createConnection({ ...settings, database: pathname.slice(1) })
  await other.query('begin')
  await other.query('insert into t select seq from seq_1_to_500')
  await other.query('update locked set x = 20 where x = 2')
  await runMysql(branch, 'update locked set x = 10 where x = 1')
  const waiting = other.query('update locked set x = 11 where x = 1')
  const { threadId } = other
  const waits = `select trx_id from information_schema.innodb_trx
    where trx_mysql_thread_id = ${threadId} and trx_state = 'LOCK WAIT'`
  // InnoDB makes this table anew only when nobody has read it for 100 ms.
  const patience = { everyMs: 150 }
  const doesWait = async (): Promise<boolean> => (await database.sql(waits)).length === 1
  await eventually('the other to wait', doesWait, patience)
  await runMysql(branch, 'update locked set x = 21 where x = 2').catch(() => undefined)
  await waiting
  await other.query('rollback')
  await other.end()
}

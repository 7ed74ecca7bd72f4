/**
 * A MariaDB primary whose redo log can be held back, and a real replica of its binary log.
 *
 * Owns: both servers, and the replication between them (by GTID).
 * Promises: what the primary has written to its binary log reaches the replica, whether or not its
 * storage engine has written it: the difference is what a crash between the two leaves behind.
 */
import mysql from 'mysql2/promise'
import { eventually } from '../../harness/eventually.ts'
import { HeldFlush } from '../../harness/held-flush.ts'
import { MariadbServer } from '../../harness/mariadb-server.ts'
import { MYSQL_WIRE } from '../../harness/mysql-frames.ts'
import { WireProxy } from '../../harness/wire-proxy.ts'
import type { FrontendMessage } from '../../harness/wire.ts'
import { BINLOG } from './global-servers.ts'
import { ownMariadbDatabase, reachMariadb } from './mariadb-databases.ts'
import type { MariadbDatabase } from './mariadb-databases.ts'

export class ReplicatedMariadb {
  readonly primary: MariadbServer
  readonly replica: MariadbServer
  readonly #held: HeldFlush
  readonly #way: WireProxy
  readonly #side: mysql.Pool

  /** Both run, and the replica follows. */
  static async start(): Promise<ReplicatedMariadb> {
    const held = new HeldFlush()
    const [primary, replica] = await Promise.all([
      MariadbServer.create({ name: 'primary', settings: BINLOG, env: held.env }),
      MariadbServer.create({ name: 'replica', settings: { ...BINLOG, server_id: '2' } }),
    ])
    // Branches are told apart by the second in which their server was started: not in the same one.
    await replica.start()
    const startedIn = secondNow()
    await eventually('another second', () => secondNow() > startedIn)
    await primary.start()
    const [targetPort, wire] = [primary.port, MYSQL_WIRE]
    const way = await WireProxy.listen({ targetPort, wire, name: twoWordsOf })
    const server = new ReplicatedMariadb(primary, replica, held, way)
    await server.#ask(
      `CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = ${primary.port},
        MASTER_USER = '${primary.user}', MASTER_PASSWORD = '${primary.password}',
        MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1,
        MASTER_SSL = 0, MASTER_SSL_VERIFY_SERVER_CERT = 0`,
    )
    await server.follow()
    return server
  }

  private constructor(
    primary: MariadbServer,
    replica: MariadbServer,
    held: HeldFlush,
    way: WireProxy,
  ) {
    this.primary = primary
    this.replica = replica
    this.#held = held
    this.#way = way
    this.#side = mysql.createPool({ uri: replica.url(), connectionLimit: 1 })
  }

  async remove(): Promise<void> {
    this.#held.release()
    await this.#side.end()
    await this.#way.close()
    await Promise.all([this.primary.remove(), this.replica.remove()])
    this.#held.remove()
  }

  /** A fresh database, with a table `t (x int)`, on the primary. */
  async database(): Promise<MariadbDatabase> {
    const { name } = await ownMariadbDatabase(this.primary)
    return reachMariadb(this.primary, name, (url) => this.#way.url(url))
  }

  /** The same on the replica, which has it by then. */
  async onReplica(database: MariadbDatabase): Promise<MariadbDatabase> {
    const [now] = await database.sql('SELECT @@gtid_binlog_pos AS position')
    const position = String(now?.['position'])
    const [row] = await this.#ask('SELECT MASTER_GTID_WAIT(?, 20) AS wait', [position])
    if (row?.['wait'] !== 0) throw new Error(`the replica has not come to ${position}`)
    return reachMariadb(this.replica, database.name)
  }

  /**
   * From this statement on nothing is written to the primary's redo log, while its binary log goes on.
   * Not sooner: what is held back keeps other statements waiting as well.
   */
  holdEngineAt(statement: 'XA PREPARE' | 'XA COMMIT'): void {
    this.#way.hooks.onRequest = ({ name }) => {
      if (name === statement) this.#held.hold()
      return 'pass'
    }
  }

  /** The primary dies in that state, and comes back. */
  async crash(): Promise<void> {
    this.#way.hooks.onRequest = () => 'pass'
    await this.primary.kill()
    this.#held.release()
    await this.primary.start()
  }

  /** What the replica says that it can't replay. */
  async refusal(): Promise<string> {
    const answer = await eventually('the replica to stop', async () => {
      const [status] = await this.#ask('SHOW SLAVE STATUS')
      return status?.['Slave_SQL_Running'] === 'No' && status
    })
    return String(answer['Last_SQL_Error'])
  }

  /** It goes on behind the one that it can't replay. */
  async skipOne(): Promise<void> {
    await this.#ask('SET GLOBAL sql_slave_skip_counter = 1')
    await this.#ask('START SLAVE')
  }

  /** As a replica that is declared one: it writes nothing of its own, and lags. */
  async lag(): Promise<void> {
    await this.#ask('SET GLOBAL read_only = 1')
    await this.#ask('STOP SLAVE SQL_THREAD')
  }

  /** It follows nobody, and may be written. */
  async promote(): Promise<void> {
    await this.#ask('STOP SLAVE')
    await this.#ask('SET GLOBAL read_only = 0')
  }

  /** It follows its primary, as before. */
  async follow(): Promise<void> {
    await this.promote()
    await this.#ask('START SLAVE')
  }

  async #ask(
    text: string,
    values: readonly unknown[] = [],
  ): Promise<readonly Record<string, unknown>[]> {
    const [rows] = await this.#side.query<mysql.RowDataPacket[]>(text, [...values])
    return rows
  }
}

function twoWordsOf({ statements }: FrontendMessage): string {
  return (statements[0]?.sql ?? '').split(' ').slice(0, 2).join(' ')
}

function secondNow(): number {
  return Math.floor(Date.now() / 1_000)
}

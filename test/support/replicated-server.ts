/**
 * A primary with a real streaming replica, and the name by which applications reach whichever of the
 * two is the primary.
 *
 * Owns: two servers, the connection between them (which can be cut), and the name (a proxy that leads
 * to the other server after a fail-over, as a change of DNS does).
 * Promises: a synchronous replica has every commit that was acknowledged; once the two are separated,
 * nothing more reaches the replica.
 */
import { onTestFinished } from 'vitest'
import { eventually } from '../../harness/eventually.ts'
import { FaultProxy } from '../../harness/fault-proxy.ts'
import { PostgresServer } from '../../harness/postgres-server.ts'
import { WireProxy } from '../../harness/wire-proxy.ts'
import type { TestDatabase } from './databases.ts'
import { kindOfMessage } from './message-kinds.ts'
import { databaseAt, reach } from './own-server.ts'
import { ask, copyServer, startAsReplica } from './server-copy.ts'

const WAITING = `from pg_stat_activity where wait_event = 'SyncRep'`

export class ReplicatedServer {
  readonly primary: PostgresServer
  readonly replica: PostgresServer
  /** What applications connect to. Names the messages of the commit path, for its hooks. */
  readonly name: WireProxy
  readonly #link: FaultProxy

  /** Both run, and the replica follows; all is removed when the test is over. */
  static async start(mode: 'synchronous' | 'asynchronous'): Promise<ReplicatedServer> {
    const primary = await PostgresServer.create({ name: 'primary' })
    onTestFinished(() => primary.remove())
    const replica = await copyServer(primary, 'replica')
    onTestFinished(() => replica.remove())
    await primary.start()
    const link = await FaultProxy.listen({ targetPort: primary.port })
    onTestFinished(() => link.close())
    const name = await WireProxy.listen({ targetPort: primary.port, name: kindOfMessage })
    onTestFinished(() => name.close())
    await startAsReplica(replica, link.port)
    const server = new ReplicatedServer(primary, replica, name, link)
    await server.#replicatesAs('async')
    if (mode === 'synchronous') await server.waitForReplica()
    return server
  }

  private constructor(
    primary: PostgresServer,
    replica: PostgresServer,
    name: WireProxy,
    link: FaultProxy,
  ) {
    this.primary = primary
    this.replica = replica
    this.name = name
    this.#link = link
  }

  /** A fresh database, with a table `t (x int)`, reached by the name. */
  async database(): Promise<TestDatabase> {
    return databaseAt(this.primary, (url) => this.name.url(url))
  }

  /** The same database on one of the two, whichever the name leads to. */
  at(server: PostgresServer, { name }: TestDatabase): TestDatabase {
    return reach(name, server.url(name))
  }

  /** From now on, commits on the primary wait for the replica. */
  async waitForReplica(): Promise<void> {
    await this.#setSynchronous('replica')
    await this.#replicatesAs('sync')
  }

  /** Commits no longer wait. Those that wait now are answered, without a warning. */
  async stopWaitingForReplica(): Promise<void> {
    await this.#setSynchronous('')
  }

  /** Waits until the replica has replayed everything. */
  async caughtUp(): Promise<void> {
    const text = `select replay_lsn >= pg_current_wal_lsn() as has from pg_stat_replication`
    const has = async () => (await ask<{ has: boolean }>(this.primary, text))[0]?.has === true
    await eventually('the replica to have everything', has)
  }

  /** Nothing more reaches the replica. */
  separate(): void {
    this.#link.takeDown()
  }

  /** Whether a commit waits for the replica. */
  async isWaitedFor(): Promise<boolean> {
    return (await ask(this.primary, `select 1 ${WAITING}`)).length > 0
  }

  /** Cuts off every wait for the replica, as an impatient person does. Says how many there were. */
  async cancelWaits(): Promise<number> {
    return (await ask(this.primary, `select pg_cancel_backend(pid) ${WAITING}`)).length
  }

  /** Makes the replica a primary of its own, and leads the name to it. */
  async failOver(old: 'killed' | 'left alive' = 'killed'): Promise<void> {
    this.separate()
    if (old === 'killed') await this.primary.kill()
    const [promoted] = await ask<{ is: boolean }>(this.replica, 'select pg_promote() as is')
    if (promoted?.is !== true) throw new Error('the replica was not promoted')
    await this.leadTo(this.replica)
  }

  async leadTo(server: PostgresServer): Promise<void> {
    this.name.targetPort = server.port
    this.name.dropAll()
    // By then, whoever was connected has noticed that it is not.
    await ask(server, 'select')
  }

  async #setSynchronous(names: string): Promise<void> {
    // Neither is a transaction that would wait for the replica itself.
    await ask(this.primary, `alter system set synchronous_standby_names = '${names}'`)
    await ask(this.primary, 'select pg_reload_conf()')
  }

  async #replicatesAs(state: 'async' | 'sync'): Promise<void> {
    const text = 'select sync_state as state from pg_stat_replication'
    const is = async () => (await ask<{ state: string }>(this.primary, text))[0]?.state === state
    await eventually(`the replica to be ${state}`, is, { timeoutMs: 30_000 })
  }
}

/**
 * What one transaction costs, counted instead of timed: one at a time, behind proxies that see
 * every message.
 *
 * Owns: the counting runs, beside the timed ones.
 * Promises: only what belongs to transactions is counted on the wire; the servers' own counters are
 * read when every connection that fed them is gone, since a session reports them late.
 *
 * On servers that others use meanwhile, forced writes and WAL bytes are theirs as well.
 */
import type pg from 'pg'
import { eventually } from '../harness/eventually.ts'
import { MYSQL_WIRE } from '../harness/mysql-frames.ts'
import { POSTGRES_WIRE } from '../harness/wire-frames.ts'
import { WireProxy } from '../harness/wire-proxy.ts'
import type { ConnectionInfo } from '../harness/wire-proxy.ts'
import type { FrontendMessage, Wire } from '../harness/wire.ts'
import { POOL_APPLICATION, closePools, openPools } from './contender.ts'
import { CONTENDERS } from './contenders.ts'
import type { ContenderName } from './contenders.ts'
import { portOf } from './link.ts'
import type { Stage } from './stage.ts'
import type { Ledger, Writes } from './workload.ts'

/** Of one transaction, as a mean over many that do the same. */
export interface Counts {
  /** What the client sends up to and including a Sync: each is a round trip. */
  readonly messages: number
  /** The longest chain of messages of which each waited for an answer, until the caller is told. */
  readonly inARow: number
  readonly forcedWrites: number
  readonly walBytes: number
}

const FIRST_USES = 5

export async function count(
  name: ContenderName,
  transactions: number,
  stage: Stage,
  ledger: Ledger,
): Promise<Counts> {
  const meter = new MessageMeter()
  await using orders = await meter.watch(stage.urls.orders)
  await using stock = await meter.watch(stage.urls.stock)
  await using mariadb = await meter.watchMariadb(stage.urls.mariadb)
  const urls = {
    orders: orders.url(stage.urls.orders),
    stock: stock.url(stage.urls.stock),
    ...(mariadb === undefined ? {} : { mariadb: mariadb.url(stage.urls.mariadb ?? '') }),
  }
  const pass = async (times: number): Promise<void> => {
    const pools = openPools(urls)
    const runner = CONTENDERS[name].open(pools)
    try {
      // The first use of a connection has messages of its own. The servers count them all the same.
      for (let time = 0; time < FIRST_USES; time += 1) await meter.measure(() => runner.run())
      meter.reset()
      for (let time = 0; time < times; time += 1) await meter.measure(() => runner.run())
    } finally {
      await runner.close()
      await closePools(pools)
    }
    ledger.add(CONTENDERS[name].writes, FIRST_USES + times)
  }
  await pass(0) // Creates what is created once.
  const { writes } = CONTENDERS[name]
  const before = await readServers(stage, writes)
  await pass(transactions)
  const after = await readServers(stage, writes)
  await ledger.verify(name)
  const all = FIRST_USES + transactions
  return {
    messages: meter.messages / transactions,
    inARow: meter.inARow / transactions,
    forcedWrites: (after.forcedWrites - before.forcedWrites) / all,
    walBytes: (after.walBytes - before.walBytes) / all,
  }
}

/** Counts messages, and how many of them had to wait for each other. */
export class MessageMeter {
  messages = 0
  inARow = 0
  #unanswered = 0
  /** The longest chain that ends in an answer which has come. */
  #chain = 0

  reset(): void {
    this.messages = 0
    this.inARow = 0
  }

  watch(url: string): Promise<WireProxy> {
    return this.#watch(
      url,
      POSTGRES_WIRE,
      (_message, { application }) => application === POOL_APPLICATION,
    )
  }

  #watch(
    url: string,
    wire: Wire,
    counts: (message: FrontendMessage, connection: ConnectionInfo) => boolean,
  ): Promise<WireProxy> {
    /** Of each message under way, the chain that it continues. */
    const chains = new WeakMap<object, number>()
    return WireProxy.listen({
      targetPort: portOf(url),
      wire,
      name: (message, connection) => (counts(message, connection) ? 'message' : undefined),
      onRequest: (named) => {
        this.messages += 1
        this.#unanswered += 1
        chains.set(named, this.#chain + 1)
        return 'pass'
      },
      onAnswer: (named) => {
        this.#unanswered -= 1
        this.#chain = Math.max(this.#chain, chains.get(named) ?? 0)
        return 'pass'
      },
    })
  }

  /**
   * Assent's own connections there can't be told by a name: they are made as the pool's are. But only the
   * pool's begin transactions.
   */
  async watchMariadb(url: string | undefined): Promise<WireProxy | undefined> {
    if (url === undefined) return undefined
    const pooled = new Set<number>()
    const begins = /^START TRANSACTION|\bXA START /
    return this.#watch(url, MYSQL_WIRE, ({ statements }, { ordinal }) => {
      if (statements.some(({ sql }) => begins.test(sql))) pooled.add(ordinal)
      return pooled.has(ordinal)
    })
  }

  async measure(run: () => Promise<void>): Promise<void> {
    // What the one before left to its background belongs to no chain of this one.
    await eventually('the last answers', () => this.#unanswered === 0, { everyMs: 1 })
    this.#chain = 0
    await run()
    this.inARow += this.#chain
  }
}

export interface ServerCounts {
  readonly forcedWrites: number
  readonly walBytes: number
}

/** Of the servers that are written to: others write for themselves, now and then. */
async function readServers({ control, mariadb }: Stage, writes: Writes): Promise<ServerCounts> {
  const isMixed = writes === 'PostgreSQL and MariaDB' && mariadb !== undefined
  const both = await Promise.all([
    readServer(control.orders),
    isMixed ? mariadb.counts() : readServer(control.stock),
  ])
  return {
    forcedWrites: both[0].forcedWrites + both[1].forcedWrites,
    walBytes: both[0].walBytes + both[1].walBytes,
  }
}

/** Those of the sessions that the bench itself opened must be gone: they report when they end. */
const OTHERS = `select count(*)::int as n from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid()
    and backend_type = 'client backend'`
const WAL = `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as n`
/** Since PostgreSQL 18 by process: those that sessions waited for, without the WAL writer's. */
const FORCED = `select sum(fsyncs)::float8 as n from pg_stat_io
  where object = 'wal' and backend_type = 'client backend'`
const FORCED_BEFORE_18 = `select wal_sync::float8 as n from pg_stat_wal`

export async function readServer(database: pg.Pool): Promise<ServerCounts> {
  const read = async (text: string): Promise<number> => {
    const { rows } = await database.query<{ n: number }>(text)
    return rows[0]?.n ?? NaN
  }
  await eventually('sessions to end', async () => (await read(OTHERS)) === 0)
  const version = await read(`select current_setting('server_version_num')::int as n`)
  return {
    forcedWrites: await read(version >= 180_000 ? FORCED : FORCED_BEFORE_18),
    walBytes: await read(WAL),
  }
}

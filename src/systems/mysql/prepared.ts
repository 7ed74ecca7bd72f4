/**
 * What is prepared on one MySQL or MariaDB server, and ending it.
 *
 * Owns: the scan, and XA COMMIT / XA ROLLBACK from a connection kept for recovery; the connection that
 * owns a branch on MariaDB.
 * Promises: a connection is only ended for a branch whose decision is known, and only if it is the one
 * that prepared it: same server, same start of it, same number, same user.
 */
import { TXID_BYTES, formatGid, readGid } from '../../protocol/index.ts'
import type { EndAnswer, Gid } from '../../protocol/index.ts'
import type { PreparedList, World } from '../../ports/index.ts'
import { NoConnection } from '../common/slots.ts'
import { causeOf, isRolledBack, isUnknownId } from './answers.ts'
import { quote } from './schema.ts'
import type { ServiceConnection, ServiceConnections } from './service-connections.ts'
import { readXid } from './xid.ts'
import type { Xid } from './xid.ts'

/** How often a branch is tried to be ended once its owner's connection was ended. */
const TRIES = 40
const BETWEEN_MS = 25
/** Processes of one app that are counted, at the most. */
const MOST_PROCESSES = 64

/** Everything that is prepared on the server. */
export async function listXids(connection: ServiceConnection): Promise<readonly Xid[]> {
  const rows = await connection.rows('XA RECOVER')
  return rows.map(([formatId, gtrid, , data]) =>
    // As text: each byte is a character of its own only for ASCII, and all of ours are.
    readXid(formatId ?? '', gtrid ?? '', Buffer.from(data ?? '', 'utf8').toString('hex')),
  )
}

export class PreparedBranches {
  readonly #app: string
  readonly #world: World
  readonly #scanning: ServiceConnections
  readonly #asking: ServiceConnections
  /** As of the last list, by gid: an id of a stranger's form is not to be made up. */
  #xids = new Map<string, Xid>()
  /** The connection on which this process is counted. */
  #counted: object | undefined

  constructor(facts: {
    readonly app: string
    readonly world: World
    readonly scanning: ServiceConnections
    readonly asking: ServiceConnections
  }) {
    this.#app = facts.app
    this.#world = facts.world
    this.#scanning = facts.scanning
    this.#asking = facts.asking
  }

  /** @throws NoConnection, or the server's error */
  async list(): Promise<PreparedList> {
    return this.#scanning.use(async (connection) => {
      const xids = await listXids(connection)
      this.#xids = new Map(xids.map((xid) => [xid.gid, xid]))
      const processes = await this.#count(connection)
      const branches = xids.map(({ gid, owner }) => ({
        gid,
        ageMs: this.#ageOf(gid),
        mayEnd: true,
        owner: ownerOf(owner, connection.server.owner.start),
      }))
      return { branches, processes }
    })
  }

  /**
   * XA RECOVER tells no age. The id has the second in which its transaction began, by the clock of
   * its process: good enough for courtesy and for a person's eye, and nothing else rests on it.
   */
  #ageOf(gid: string): number {
    const reading = readGid(gid, this.#app)
    if (reading.kind !== 'ours') return Infinity
    const bytes = Buffer.from(reading.gid.txid, 'base64url')
    if (bytes.length !== TXID_BYTES) return 0
    const wrap = SECOND_BITS + 1
    const now = Math.floor(this.#world.wallMs() / 1_000)
    const seconds = (((now - (bytes.readUInt32BE(0) & SECOND_BITS)) % wrap) + wrap) % wrap
    // Made in what is the future here: its clock is ahead of ours.
    return seconds > wrap / 2 ? 0 : seconds * 1_000
  }

  /** Each process that scans holds a lock of a name with a number; so many are held. */
  async #count(connection: ServiceConnection): Promise<number> {
    if (this.#counted !== connection.identity) await this.#beCounted(connection)
    const held = Array.from(
      { length: MOST_PROCESSES },
      (_, at) => `(IS_USED_LOCK(${this.#lockName(at)}) IS NOT NULL)`,
    )
    const [row] = await connection.rows(`SELECT ${held.join(' + ')}`)
    return Math.max(1, Number(row?.[0] ?? 1))
  }

  async #beCounted(connection: ServiceConnection): Promise<void> {
    for (let at = 0; at < MOST_PROCESSES; at += 1) {
      const [row] = await connection.rows(`SELECT GET_LOCK(${this.#lockName(at)}, 0)`)
      if (row?.[0] === '1') break
    }
    this.#counted = connection.identity
  }

  #lockName(at: number): string {
    return quote(`assent-scan.${this.#app}.${at}`)
  }

  /** Never rejects. */
  async end(gid: Gid, decision: 'commit' | 'abort'): Promise<EndAnswer> {
    try {
      return await this.#asking.use((connection) => this.#end(connection, gid, decision))
    } catch (error) {
      return { answer: 'unknown', cause: error instanceof NoConnection ? error.cause : error }
    }
  }

  async #end(
    connection: ServiceConnection,
    gid: Gid,
    decision: 'commit' | 'abort',
  ): Promise<EndAnswer> {
    const text = formatGid(gid)
    const known = this.#xids.get(text) ?? (await this.#find(connection, text))
    if (known === undefined) return { answer: 'missing' }
    const statement = `XA ${decision === 'commit' ? 'COMMIT' : 'ROLLBACK'} ${known.literal}`
    for (let attempt = 1; ; attempt += 1) {
      const reply = await connection.send(statement)
      if (reply.kind === 'answered') return { answer: 'done' }
      if (isRolledBack(reply)) return { answer: decision === 'commit' ? 'missing' : 'done' }
      if (!isUnknownId(reply)) return { answer: 'unknown', cause: causeOf(reply) }
      // So it says of one that is not there, and of one whose owner's connection lives.
      const listed = await this.#find(connection, text)
      if (listed === undefined) return { answer: 'missing' }
      if (attempt >= TRIES) return { answer: 'unknown', cause: causeOf(reply) }
      if (attempt === 1 && !(await endOwner(connection, listed))) {
        return { answer: 'unknown', cause: causeOf(reply) }
      }
      await this.#world.rest(BETWEEN_MS)
    }
  }

  async #find(connection: ServiceConnection, gid: string): Promise<Xid | undefined> {
    return (await listXids(connection)).find((xid) => xid.gid === gid)
  }
}

/** For a person. The numbers of connections begin anew with the server. */
function ownerOf(owner: Xid['owner'], start: number): string {
  if (owner === undefined) return 'unknown'
  return `connection ${owner.connection}${owner.start === start ? '' : ', before a restart'}`
}

/** As in transaction/txid.ts. */
const SECOND_BITS = 0x03ffffff

/**
 * Ends the connection that owns a decided branch, if it is surely that one. What its process had still
 * to say there is the same end, or nothing.
 *
 * @returns whether the branch may be free soon
 */
async function endOwner(connection: ServiceConnection, { owner }: Xid): Promise<boolean> {
  if (owner?.start !== connection.server.owner.start) return false
  return endConnection(connection, owner.connection)
}

/** Ends one of this user's connections. @returns whether it is gone, or going */
export async function endConnection(
  connection: ServiceConnection,
  number: number,
): Promise<boolean> {
  const rows = await connection.rows(
    `SELECT 1 FROM information_schema.PROCESSLIST
WHERE ID = ${number} AND USER = SUBSTRING_INDEX(USER(), '@', 1)`,
  )
  // Gone already: its branch is free in a moment.
  if (rows.length === 0) return true
  const reply = await connection.send(`KILL CONNECTION ${number}`)
  // 1094: no such connection any more.
  return reply.kind === 'answered' || (reply.kind === 'refused' && reply.error.errno === 1094)
}

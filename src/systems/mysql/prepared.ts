/**
 * What is prepared on one MySQL or MariaDB server, and ending it.
 *
 * Owns: the scan, and XA COMMIT / XA ROLLBACK from a connection kept for recovery.
 * Promises: an end is `done` only if the receipt shows it, since a server may answer OK and do nothing
 * (see `owners.ts`); a branch is only ended from here while no connection owns it; a decider is only
 * committed where it was begun (see `origin.ts`).
 */
import { AssentError, TXID_BYTES, formatGid, readGid } from '../../protocol/index.ts'
import type { AskAnswer, EndAnswer, Gid } from '../../protocol/index.ts'
import type { PreparedList, Question, World } from '../../ports/index.ts'
import { NoConnection } from '../common/slots.ts'
import { causeOf, isRolledBack, isUnknownId } from './answers.ts'
import { beganHere, isReplica } from './origin.ts'
import { Owners } from './owners.ts'
import { quote } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import type { ServiceConnection, ServiceConnections } from './service-connections.ts'
import { readXid } from './xid.ts'
import type { Xid } from './xid.ts'

/** Processes of one app that are counted, at the most. */
const MOST_PROCESSES = 64
/** As in transaction/txid.ts. */
const SECOND_BITS = 0x03ffffff

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
  readonly #owners: Owners
  readonly #askReceipt: (question: Question) => Promise<AskAnswer>
  readonly #names: SchemaNames
  readonly #present: () => Promise<string>
  /** When each was first listed, on `World.now()`, by gid. */
  #listedSince = new Map<string, number>()
  /**
   * What was answered with an OK, and still has its locks, by gid. The server lists it no more, until it is
   * started again (see `owners.ts`): so nobody would be told.
   */
  readonly #stuck = new Set<string>()
  /** The connection on which this process is counted. */
  #counted: object | undefined

  constructor(facts: {
    readonly app: string
    readonly world: World
    readonly scanning: ServiceConnections
    readonly asking: ServiceConnections
    readonly askReceipt: (question: Question) => Promise<AskAnswer>
    readonly names: SchemaNames
    /** SQL that says which server this is. @throws when it can't be told */
    readonly present: () => Promise<string>
  }) {
    this.#app = facts.app
    this.#world = facts.world
    this.#scanning = facts.scanning
    this.#asking = facts.asking
    this.#askReceipt = facts.askReceipt
    this.#names = facts.names
    this.#present = facts.present
    this.#owners = new Owners(facts.world)
  }

  /** @throws NoConnection, or the server's error */
  async list(): Promise<PreparedList> {
    return this.#scanning.use(async (connection) => {
      const xids = await listXids(connection)
      await this.#owners.look(connection, xids)
      const now = this.#world.now()
      const before = this.#listedSince
      const listed = [...xids, ...this.#stuckBeside(xids)]
      this.#listedSince = new Map(listed.map(({ gid }) => [gid, before.get(gid) ?? now]))
      const branches = listed.map(({ gid, owner: began }) => {
        const preparedForMs = now - (this.#listedSince.get(gid) ?? now)
        const ageMs = Math.max(preparedForMs, this.#ageOf(gid))
        const owner = ownerOf(began, connection.server.owner.start)
        return { gid, ageMs, preparedForMs, mayEnd: true, owner }
      })
      return { branches, processes: await this.#count(connection) }
    })
  }

  /** Those that the server does not list. One that it lists again can be ended like any other. */
  #stuckBeside(xids: readonly Xid[]): readonly Pick<Xid, 'gid' | 'owner'>[] {
    for (const { gid } of xids) this.#stuck.delete(gid)
    return Array.from(this.#stuck, (gid) => ({ gid, owner: undefined }))
  }

  /**
   * XA RECOVER tells no age. The id has the second in which its transaction began, by the clock of
   * its process: good enough for a person's eye, and nothing rests on it.
   */
  #ageOf(gid: string): number {
    const reading = readGid(gid, this.#app)
    if (reading.kind !== 'ours') return 0
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
      const sent = await this.#asking.use((connection) => this.#send(connection, gid, decision))
      // By another connection, once this one is given back: no use holds two.
      return sent === 'sent' ? await this.#confirm(gid, decision) : sent
    } catch (error) {
      return { answer: 'unknown', cause: error instanceof NoConnection ? error.cause : error }
    }
  }

  async #send(
    connection: ServiceConnection,
    gid: Gid,
    decision: 'commit' | 'abort',
  ): Promise<EndAnswer | 'sent'> {
    const listed = await find(connection, formatGid(gid))
    if (listed === undefined) {
      return this.#stuck.has(formatGid(gid)) ? 'sent' : { answer: 'missing' }
    }
    // Its primary's end arrives in the binary log, and finds nothing any more if it is ended here.
    if (await isReplica(connection)) return replicas(gid)
    if ((await this.#owners.free(connection, listed)) === 'owned') {
      return {
        answer: 'unknown',
        cause: new Error('the connection that prepared it is still there'),
      }
    }
    if (decision === 'commit' && gid.branch === gid.register) {
      const isOurs = await beganHere(connection, this.#names, gid.txid, await this.#present())
      if (!isOurs) return elsewhere(gid)
    }
    const verb = decision === 'commit' ? 'COMMIT' : 'ROLLBACK'
    const reply = await connection.send(`XA ${verb} ${listed.literal}`)
    if (reply.kind === 'answered' || isRolledBack(reply)) return 'sent'
    // Of one that somebody else has just ended, and of one that somebody still owns.
    const isGone = isUnknownId(reply) && (await find(connection, listed.gid)) === undefined
    return isGone ? { answer: 'missing' } : { answer: 'unknown', cause: causeOf(reply) }
  }

  /** What the receipt says of the end: committed with the branch, or gone with it. */
  async #confirm(gid: Gid, decision: 'commit' | 'abort'): Promise<EndAnswer> {
    const receipt = await this.#askReceipt(gid)
    if (receipt.answer === 'waits') this.#stuck.add(formatGid(gid))
    else if (receipt.answer !== 'unknown') this.#stuck.delete(formatGid(gid))
    switch (receipt.answer) {
      case 'found':
        return decision === 'commit' ? { answer: 'done' } : contradiction(gid)
      case 'absent':
        // One that wrote alone has no mark, and nobody waits for it.
        if (decision === 'abort' || gid.branch === gid.register) return { answer: 'done' }
        return { answer: 'missing' }
      case 'waits':
        return stuck(gid)
      case 'unknown':
        return receipt
    }
  }
}

/** For a person. The numbers of connections begin anew with the server. */
function ownerOf(owner: Xid['owner'], start: number): string {
  if (owner === undefined) return 'unknown'
  return `connection ${owner.connection}${owner.start === start ? '' : ', before a restart'}`
}

async function find(connection: ServiceConnection, gid: string): Promise<Xid | undefined> {
  return (await listXids(connection)).find((xid) => xid.gid === gid)
}

/** The server said OK, and still has the branch's locks. */
function stuck(gid: Gid): EndAnswer {
  const cause = new AssentError({
    code: 'ASSENT_UNCLEAR',
    outcome: 'unknown',
    message:
      `${gid.branch} answered that a branch was ended, and still holds its locks. If that stays so, ` +
      `restart that server: the branch is listed again then, and recovered`,
  })
  return { answer: 'unknown', cause }
}

function replicas(gid: Gid): EndAnswer {
  const cause = new Error(
    `it is listed on a server that is read_only; ${gid.branch}'s primary ends it`,
  )
  return { answer: 'unknown', cause }
}

function elsewhere(gid: Gid): EndAnswer {
  const cause = new AssentError({
    code: 'ASSENT_UNCLEAR',
    outcome: 'unknown',
    message:
      `${gid.branch} has a decider prepared that was begun on another server, which may have said since that ` +
      `it is aborted. Compare the other databases, then end it by hand`,
  })
  return { answer: 'unknown', cause }
}

function contradiction(gid: Gid): EndAnswer {
  const cause = new AssentError({
    code: 'ASSENT_INVARIANT',
    outcome: 'unknown',
    message: `Impossible: ${gid.branch} has the receipt of a branch that was rolled back.`,
  })
  return { answer: 'unknown', cause }
}

/**
 * What a person looks at and decides in one PostgreSQL database.
 *
 * Owns: the SQL of the resolution table, and of a decision that is written by hand.
 * Promises: see `ports/by-hand.ts`. The decision is asked for as *Ask* asks, so the key is the arbiter
 * between operators, owners and recoverers; the record is part of the same COMMIT.
 * Never: changes or deletes a mark that is there, or a record.
 */
import { isDecision } from '../../protocol/index.ts'
import type { AskAnswer } from '../../protocol/index.ts'
import type { ByHand, Resolution, StandingMark } from '../../ports/index.ts'
import { acknowledged } from './acknowledged.ts'
import { sameTags, surprise } from './answers.ts'
import { ASKED_TAGS, askStatements, memoryStatements } from './asking.ts'
import { NoConnection } from '../common/slots.ts'
import { connectError } from './connect-errors.ts'
import { isServerError } from './driver.ts'
import type { Failover } from './epochs.ts'
import type { Rows } from './message.ts'
import type { SchemaNames } from './schema.ts'
import type { ServiceConnection, ServiceConnections } from './service-connections.ts'
import type { Statement } from './wire.ts'

/** How long a key is waited for. Whoever has it for longer is at work. */
const LOCK_TIMEOUT_MS = 1_000
/** Records that are read, at the most. */
const MOST_RECORDS = 1_000
/** No such table or schema; a replica, which has no marks of its own. */
const NO_MARKS = ['42P01', '3F000', '25006']

export interface ByHandFacts {
  readonly participant: string
  readonly names: SchemaNames
  readonly connections: ServiceConnections
  readonly failover: Failover
}

export class PgByHand implements ByHand {
  readonly #facts: ByHandFacts

  constructor(facts: ByHandFacts) {
    this.#facts = facts
  }

  async mark(txid: string): Promise<StandingMark | undefined> {
    const [row] = await this.#read({
      text: `SELECT app, register, epoch, decision, array_to_json(participants),
  (extract(epoch FROM clock_timestamp() - marked_at) * 1000)::bigint
FROM ${this.#facts.names.mark} WHERE txid = $1::text`,
      values: [txid],
    })
    const [app, register, epoch, decision, participants, ageMs] = row ?? []
    if (row === undefined || !isDecision(decision)) return undefined
    return {
      app: app ?? '',
      register: register ?? '',
      epoch: epoch ?? '',
      decision,
      participants: JSON.parse(participants ?? '[]') as readonly string[],
      ageMs: Number(ageMs),
    }
  }

  async resolutions(): Promise<readonly Resolution[]> {
    const rows = await this.#read({
      text: `SELECT txid, app, register, epoch, branch, decision, basis, decided_by, reason
FROM ${this.#facts.names.resolution} ORDER BY id DESC LIMIT ${MOST_RECORDS}`,
    })
    return rows.map(([txid, app, register, epoch, branch, decision, basis, decidedBy, reason]) => ({
      txid: txid ?? '',
      app: app ?? '',
      register: register ?? '',
      epoch: epoch ?? '',
      branch: branch ?? '',
      decision: decision === 'commit' ? 'commit' : 'abort',
      basis: basis === 'register' ? 'register' : 'register-lost',
      decidedBy: decidedBy ?? '',
      reason: reason ?? '',
    }))
  }

  async decide(resolution: Resolution): Promise<{ readonly answer: 'written' } | AskAnswer> {
    try {
      return await this.#facts.connections.use((connection) => this.#decide(connection, resolution))
    } catch (cause) {
      return { answer: 'unknown', cause }
    }
  }

  async #decide(
    connection: ServiceConnection,
    resolution: Resolution,
  ): Promise<{ readonly answer: 'written' } | AskAnswer> {
    const { names, failover } = this.#facts
    const decision = `heuristic-${resolution.decision}` as const
    const inserted = await connection.send(
      askStatements(names, resolution, LOCK_TIMEOUT_MS, decision),
    )
    if (inserted.kind === 'lost') return unknown(inserted.cause)
    if (inserted.error !== undefined) {
      const waits = inserted.error.code === '55P03'
      await connection.send([{ text: 'ROLLBACK' }])
      return waits ? { answer: 'waits' } : unknown(inserted.error)
    }
    const [found, asked] = inserted.rows[2]?.[0] ?? []
    if (!sameTags(inserted.tags, ASKED_TAGS) || asked == null) return unknown(surprise(inserted))
    // Somebody has decided: it is obeyed as *Ask* obeys, durably.
    if (asked !== '0') {
      const failed = await commit(connection, [])
      if (failed !== undefined) return failed
      return isDecision(found) ? { answer: 'found', decision: found } : unknown(surprise(inserted))
    }
    // Read after the insert, and while our row has the key: see `memoryStatements`.
    const [question] = memoryStatements(names, resolution.epoch, failover)
    const memory = await connection.send(question === undefined ? [] : [question])
    if (memory.kind === 'lost') return unknown(memory.cause)
    const isListed = memory.rows[0]?.[0]?.[0]
    if (memory.error !== undefined || isListed !== 'f') {
      await connection.send([{ text: 'ROLLBACK' }])
      if (memory.error !== undefined) return unknown(memory.error)
      return { answer: 'absent', memory: 'remembered' }
    }
    return (await commit(connection, [recordStatement(names, resolution)])) ?? { answer: 'written' }
  }

  async record(resolution: Resolution): Promise<void> {
    const { participant, names, connections } = this.#facts
    try {
      await connections.use((connection) =>
        acknowledged(connection, [recordStatement(names, resolution)]),
      )
    } catch (error) {
      throw connectError(participant, innermost(error))
    }
  }

  /** With a small write, whose COMMIT comes after what was seen in the log. */
  async #read(statement: Statement): Promise<Rows> {
    const { participant, names, connections } = this.#facts
    const ownWrite = { text: `UPDATE ${names.database} SET reads = reads + 1` }
    try {
      const { rows } = await connections.use((connection) =>
        acknowledged(connection, [ownWrite, statement]),
      )
      return rows[2] ?? []
    } catch (error) {
      if (isServerError(error) && NO_MARKS.includes(error.code)) return []
      throw connectError(participant, innermost(error))
    }
  }
}

/** @returns what went wrong, or undefined once the COMMIT was acknowledged without a warning */
async function commit(
  connection: ServiceConnection,
  before: readonly Statement[],
): Promise<AskAnswer | undefined> {
  const reply = await connection.send([...before, { text: 'COMMIT' }])
  if (reply.kind === 'lost') return unknown(reply.cause)
  const isDurable = reply.error === undefined && reply.tags.at(-1) === 'COMMIT'
  if (isDurable && reply.warnings.length === 0) return undefined
  if (reply.status !== 'I') await connection.send([{ text: 'ROLLBACK' }])
  return unknown(reply.error ?? surprise(reply))
}

function recordStatement(names: SchemaNames, given: Resolution): Statement {
  const { txid, app, register, epoch, branch, decision, basis, decidedBy, reason } = given
  return {
    text: `INSERT INTO ${names.resolution}
  (txid, app, register, epoch, branch, decision, basis, decided_by, reason)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::text)`,
    values: [txid, app, register, epoch, branch, decision, basis, decidedBy, reason],
  }
}

function innermost(error: unknown): unknown {
  return error instanceof NoConnection ? (error.cause ?? error) : error
}

function unknown(cause: unknown): AskAnswer {
  return { answer: 'unknown', cause }
}

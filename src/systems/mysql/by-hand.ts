/**
 * What a person looks at and decides on one MySQL or MariaDB server.
 *
 * Owns: the SQL of the resolution table, and of a decision that is written by hand.
 * Promises: see `ports/by-hand.ts`. The decision is asked for as *Ask* asks, so the key is the arbiter
 * between operators, owners and recoverers; the record is part of the same COMMIT.
 * Never: changes or deletes a mark that is there, or a record.
 */
import { isDecision } from '../../protocol/index.ts'
import type { AskAnswer } from '../../protocol/index.ts'
import type { ByHand, Resolution, StandingMark } from '../../ports/index.ts'
import { isListed, takeKey, unknown } from './asking.ts'
import { connectError } from './connect-errors.ts'
import { isServerError } from './driver.ts'
import type { Rows } from './driver.ts'
import { isReplica } from './origin.ts'
import { ownWriteSql } from './register.ts'
import type { Failover } from './register.ts'
import { NO_TABLES, quote } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import type { ServiceConnection, ServiceConnections } from './service-connections.ts'

/** Records that are read, at the most. */
const MOST_RECORDS = 1_000

type Decided = { readonly answer: 'written' } | AskAnswer

export interface ByHandFacts {
  readonly participant: string
  readonly names: SchemaNames
  readonly connections: ServiceConnections
  readonly failover: Failover
  /** SQL that says which server this is. @throws when it can't be told */
  readonly present: () => Promise<string>
}

export class MysqlByHand implements ByHand {
  readonly #facts: ByHandFacts

  constructor(facts: ByHandFacts) {
    this.#facts = facts
  }

  async mark(txid: string): Promise<StandingMark | undefined> {
    const [row] = await this.#read(
      `SELECT app, register, epoch, decision, participants,
  TIMESTAMPDIFF(MICROSECOND, marked_at, NOW(3)) DIV 1000
FROM ${this.#facts.names.mark} WHERE txid = ${quote(txid)}`,
    )
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
    const rows = await this.#read(
      `SELECT txid, app, register, epoch, branch, decision, basis, HEX(decided_by), HEX(reason)
FROM ${this.#facts.names.resolution} ORDER BY id DESC LIMIT ${MOST_RECORDS}`,
    )
    return rows.map(([txid, app, register, epoch, branch, decision, basis, decidedBy, reason]) => ({
      txid: txid ?? '',
      app: app ?? '',
      register: register ?? '',
      epoch: epoch ?? '',
      branch: branch ?? '',
      decision: decision === 'commit' ? 'commit' : 'abort',
      basis: basis === 'register' ? 'register' : 'register-lost',
      decidedBy: Buffer.from(decidedBy ?? '', 'hex').toString(),
      reason: Buffer.from(reason ?? '', 'hex').toString(),
    }))
  }

  async decide(resolution: Resolution): Promise<Decided> {
    try {
      const present = await this.#facts.present()
      return await this.#facts.connections.use((connection) =>
        this.#decide(connection, resolution, present),
      )
    } catch (cause) {
      return { answer: 'unknown', cause }
    }
  }

  async #decide(
    connection: ServiceConnection,
    resolution: Resolution,
    present: string,
  ): Promise<Decided> {
    const { names, failover } = this.#facts
    const { epoch, decision } = resolution
    const taken = await takeKey(connection, names, resolution, `heuristic-${decision}`)
    if (taken.key === 'not had') return taken.answer
    if (taken.key === 'held') {
      // Somebody has decided: it is obeyed as *Ask* obeys, durably.
      const found = taken.decision
      if (isDecision(found)) return commit(connection, { answer: 'found', decision: found })
      await connection.rollBack()
      return { answer: 'unknown', cause: new Error('the mark says what no mark can say') }
    }
    const listed = await isListed(connection, names, epoch, failover, present)
    if (listed.kind !== 'unlisted') {
      await connection.rollBack()
      if (listed.kind === 'not said') return { answer: 'unknown', cause: listed.cause }
      return { answer: 'absent', memory: 'remembered' }
    }
    const recorded = await connection.send(recordSql(names, resolution))
    if (recorded.kind === 'answered') return commit(connection, { answer: 'written' })
    await connection.rollBack()
    return unknown(recorded)
  }

  async record(resolution: Resolution): Promise<void> {
    const { participant, names, connections } = this.#facts
    try {
      await connections.use((connection) =>
        connection.acknowledged(() => connection.rows(recordSql(names, resolution))),
      )
    } catch (error) {
      throw connectError(participant, error)
    }
  }

  /** With a small write, whose COMMIT comes after what was seen in the log. */
  async #read(text: string): Promise<Rows> {
    const { participant, names, connections } = this.#facts
    try {
      return await connections.use(async (connection) => {
        // A replica, which has no marks of its own.
        if (await isReplica(connection)) return []
        return connection.acknowledged(async () => {
          await connection.rows(ownWriteSql(names))
          return connection.rows(text)
        })
      })
    } catch (error) {
      if (isServerError(error) && NO_TABLES.includes(error.errno)) return []
      throw connectError(participant, error)
    }
  }
}

/** `then`, once the COMMIT was acknowledged. */
async function commit(connection: ServiceConnection, then: Decided): Promise<Decided> {
  const reply = await connection.commit()
  return reply.kind === 'answered' && reply.warnings === 0 ? then : unknown(reply)
}

function recordSql(names: SchemaNames, given: Resolution): string {
  const { txid, app, register, epoch, branch, decision, basis, decidedBy, reason } = given
  const values = [
    ...[txid, app, register, epoch, branch, decision, basis].map(quote),
    ...[decidedBy, reason].map(anyText),
  ]
  return `INSERT INTO ${names.resolution}
  (txid, app, register, epoch, branch, decision, basis, decided_by, reason)
VALUES (${values.join(', ')})`
}

/** Whatever a person wrote, under any sql_mode. */
function anyText(text: string): string {
  return `CONVERT(X'${Buffer.from(text).toString('hex')}' USING utf8mb4)`
}

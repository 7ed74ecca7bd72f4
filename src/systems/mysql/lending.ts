/**
 * Lending a connection of the user's pool to a branch.
 *
 * Owns: waiting for the pool, and beginning the branch's transaction on what it gives.
 * Promises: whoever asks gets a connection on which just this transaction is open, or an error; a
 * connection that comes too late is given back at once; one that turns out to be dead, or inside
 * somebody else's transaction, is replaced.
 */
import { AssentError, NO_EPOCH } from '../../protocol/index.ts'
import type { JoinRequest, World } from '../../ports/index.ts'
import { causeOf } from './answers.ts'
import { connectError } from './connect-errors.ts'
import type { Driver, Link } from './driver.ts'
import { requireNone } from '../common/findings.ts'
import { giveBackIdleSql, lendIdleSql } from './idle.ts'
import { messagesOf, statementsFindings, statementsFor } from './messages.ts'
import type { Statements } from './messages.ts'
import { knownFacts, readFacts } from './server-facts.ts'
import type { ServerFacts } from './server-facts.ts'
import { formatXid } from './xid.ts'

/** Pooled connections can be dead without knowing it, all of them, after a server's restart. */
const ATTEMPTS = 3
export interface Lent {
  readonly link: Link
  readonly server: ServerFacts
  readonly statements: Statements
  /** Of the XA transaction that is open on it. */
  readonly xid: string
  /** What puts the session back as it was, if anything has to. */
  readonly restores: string | undefined
}

export interface LendingFacts {
  readonly app: string
  readonly name: string
  readonly driver: Driver
  readonly world: World
  /** The user's option. */
  readonly statements: Statements | undefined
  /** Told how long the pool took to give a connection, in milliseconds. */
  readonly onWaited: ((ms: number) => void) | undefined
}

/** @throws AssentError */
export async function lend(facts: LendingFacts, request: JoinRequest): Promise<Lent> {
  for (let attempt = 1; ; attempt += 1) {
    const askedAt = facts.world.now()
    const link = await take(facts, request)
    facts.onWaited?.(facts.world.now() - askedAt)
    const callOff = request.waiting.whenOver(() => {
      link.cut()
    })
    try {
      const server = knownFacts(link) ?? (await readFacts(facts.name, link))
      if (server.access === 'read-only' && request.access === 'write') throw replica(facts.name)
      requireNone(facts.name, statementsFindings(facts.statements, server))
      return await begin(facts, link, server, request)
    } catch (error) {
      link.cut()
      const isFinal = error instanceof AssentError || attempt >= ATTEMPTS || request.waiting.isOver
      if (isFinal) throw connectError(facts.name, error)
    } finally {
      callOff()
    }
  }
}

/**
 * XA START comes first, always, and for readers too: it answers 1400 where somebody has left a transaction open, and behind
 * it nothing can end the transaction but XA END. (The time-out before it is the session's: of whatever else is refused
 * here, nothing is left.)
 *
 * @throws what the server answered instead
 */
async function begin(
  facts: LendingFacts,
  link: Link,
  server: ServerFacts,
  { isolation, access, timeoutMs, gid, txid }: JoinRequest,
): Promise<Lent> {
  const idle = lendIdleSql(server, timeoutMs)
  const modes = [
    ...(isolation === undefined ? [] : [`ISOLATION LEVEL ${isolation.toUpperCase()}`]),
    ...(access === 'read' ? ['READ ONLY'] : []),
  ]
  // Nobody ever looks for a reader's.
  const { app, name } = facts
  const own = { app, register: name, epoch: NO_EPOCH, txid, branch: name }
  const xid = formatXid(access === 'read' ? own : (gid ?? own), server.owner)
  const statements = statementsFor(facts.statements, server)
  const texts = [
    ...(idle === undefined ? [] : [idle]),
    // Of the next transaction alone. Inside somebody's it is refused (1568).
    ...(modes.length === 0 ? [] : [`SET TRANSACTION ${modes.join(', ')}`]),
    `XA START ${xid}`,
  ]
  for (const text of messagesOf(statements, texts)) await ok(link, text)
  const restores = idle === undefined ? undefined : giveBackIdleSql(server)
  return { link, server, statements, xid, restores }
}

/** Gives a connection back as it was. Nobody waits: whatever is sent on it next goes behind this. */
export function giveBack({ link, restores }: Lent): void {
  if (restores !== undefined) void link.send(restores)
  link.release()
}

async function ok(link: Link, text: string): Promise<void> {
  const reply = await link.send(text)
  if (reply.kind !== 'answered') throw causeOf(reply)
}

/** A connection of the pool, or an error once time is over; one that comes later goes back. */
function take({ name, driver }: LendingFacts, { waiting }: JoinRequest): Promise<Link> {
  return new Promise((resolve, reject) => {
    const callOff = waiting.whenOver(() => {
      reject(connectError(name, new Error('its pool had no connection in time')))
    })
    driver.take().then(
      (link) => {
        callOff()
        // The error is told by `whenOver`, and may be still to come.
        if (waiting.isOver) link.release()
        else resolve(link)
      },
      (cause: unknown) => {
        callOff()
        reject(connectError(name, cause))
      },
    )
  })
}

function replica(name: string): AssentError {
  return new AssentError({
    code: 'ASSENT_REPLICA',
    outcome: 'aborted',
    message:
      `Participant ${name} is read_only: a replica, most likely. Connect to the primary, or declare ` +
      `it: { reads: ['${name}'] }.`,
  })
}

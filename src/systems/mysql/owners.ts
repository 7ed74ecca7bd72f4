/**
 * The connections that own prepared branches on MariaDB.
 *
 * Owns: whether a branch's connection is gone, and ending one that keeps a decided branch from everybody.
 * Promises: a branch is called free only when its connection was gone in two looks that are well apart;
 * a connection is ended only if it is the one that prepared the branch (same start of this server, same
 * number, same user), and has long been idle.
 *
 * Why two looks: a connection leaves the list of processes a moment before InnoDB has let go of its
 * branch. An XA COMMIT or XA ROLLBACK in that moment is answered with an OK and does nothing, and nobody
 * can end the branch until the server is restarted (MariaDB 10.11 without a binary log: 14 of 8,000).
 */
import type { World } from '../../ports/index.ts'
import type { ServiceConnection } from './service-connections.ts'
import type { Xid } from './xid.ts'

/** How far apart the two looks are, at the least. */
const APART_MS = 100
/** Whoever has just prepared is about to be told the decision: he is not disturbed. */
const IDLE_S = 2

export type Ownership =
  | 'free'
  /** Its connection lives, or has just gone. */
  | 'owned'

export class Owners {
  readonly #world: World
  /** When the connection of a branch was first found gone, on `World.now()`, by gid. */
  readonly #goneSince = new Map<string, number>()

  constructor(world: World) {
    this.#world = world
  }

  /** Looks at all that are listed at once, so that most are free when their end is due. */
  async look(connection: ServiceConnection, xids: readonly Xid[]): Promise<void> {
    const owned = xids.filter((xid) => mayBeOwned(connection, xid))
    const alive = owned.length === 0 ? new Set<string>() : await connectionsOf(connection)
    const listed = new Set(owned.map(({ gid }) => gid))
    for (const gid of this.#goneSince.keys()) if (!listed.has(gid)) this.#goneSince.delete(gid)
    for (const { gid, owner } of owned) {
      const number = owner?.connection ?? 0
      const isSeen = alive.has(String(number)) || this.#goneSince.has(gid)
      this.#note(gid, isSeen ? alive.has(String(number)) : await isOthers(connection, number))
    }
  }

  /** Whether a listed branch can be ended from elsewhere; sees to it that it can be, later. */
  async free(connection: ServiceConnection, xid: Xid): Promise<Ownership> {
    const { gid, owner } = xid
    if (owner === undefined || !mayBeOwned(connection, xid)) return 'free'
    const number = owner.connection
    let state = await stateOf(connection, number)
    this.#note(gid, state !== 'gone')
    const since = this.#goneSince.get(gid) ?? this.#world.now()
    if (state === 'gone' && this.#world.now() - since >= APART_MS) return 'free'
    await this.#world.rest(APART_MS)
    const before = state
    state = await stateOf(connection, number)
    this.#note(gid, state !== 'gone')
    if (state === 'gone') return before === 'gone' ? 'free' : 'owned'
    if (state === 'idle' && before === 'idle') await connection.send(`KILL CONNECTION ${number}`)
    return 'owned'
  }

  #note(gid: string, isAlive: boolean): void {
    if (isAlive) this.#goneSince.delete(gid)
    else if (!this.#goneSince.has(gid)) this.#goneSince.set(gid, this.#world.now())
  }
}

/** On MySQL a prepared branch is nobody's; after a restart none is. */
function mayBeOwned({ server }: ServiceConnection, { owner }: Xid): boolean {
  return server.flavour === 'mariadb' && owner?.start === server.owner.start
}

/** Without a privilege only this user's are shown. */
async function connectionsOf(connection: ServiceConnection): Promise<ReadonlySet<string>> {
  const rows = await connection.rows('SELECT ID FROM information_schema.PROCESSLIST')
  return new Set(rows.map(([id]) => id ?? ''))
}

/**
 * Whether a connection that is not shown is there all the same: another user's. Asking to end the
 * statement that runs there is refused for that (1095); of one that is gone it is said so (1094).
 */
async function isOthers(connection: ServiceConnection, number: number): Promise<boolean> {
  const reply = await connection.send(`KILL SOFT QUERY ${number}`)
  return !(reply.kind === 'refused' && reply.error.errno === NO_SUCH_THREAD)
}

const NO_SUCH_THREAD = 1094

async function stateOf(
  connection: ServiceConnection,
  number: number,
): Promise<'gone' | 'idle' | 'busy'> {
  const [row] = await connection.rows(
    `SELECT USER = SUBSTRING_INDEX(USER(), '@', 1) AND COMMAND = 'Sleep' AND TIME >= ${IDLE_S}
FROM information_schema.PROCESSLIST WHERE ID = ${number}`,
  )
  if (row === undefined) return (await isOthers(connection, number)) ? 'busy' : 'gone'
  return row[0] === '1' ? 'idle' : 'busy'
}

/** Ends a connection that this process itself had and has given up. */
export async function endConnection(connection: ServiceConnection, number: number): Promise<void> {
  await connection.send(`KILL CONNECTION ${number}`)
}

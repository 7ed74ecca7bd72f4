/**
 * A MariaDB server in memory: as much of it as ending a branch from another connection asks for.
 *
 * Why: the moments that matter there last for microseconds on a real one (14 of 8,000), which the long tests
 * meet by chance. What the statements answer is what MariaDB 10.11 and 11.4 did.
 */
import type { World } from '../../src/ports/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'
import type { Answered, Reply, Rows } from '../../src/systems/mysql/driver.ts'
import type {
  ServiceConnection,
  ServiceConnections,
} from '../../src/systems/mysql/service-connections.ts'
import type { Owner } from '../../src/systems/mysql/xid.ts'

/** A connection of the server, as its list of processes has it. */
export interface Session {
  /** Another user's is shown to nobody who lacks the privilege. */
  readonly user: 'ours' | 'another'
  readonly state: 'idle' | 'busy'
}

export const START = 1_790_000_000

export class ScriptedMariadb {
  /** By their numbers. */
  readonly sessions = new Map<number, Session>()
  /** What XA RECOVER lists: formatID, length of the gtrid, data. */
  prepared: (readonly [string, string, string])[] = []
  readOnly: '0' | '1' = '0'
  /** Every statement that changes something. */
  readonly done: string[] = []
  /** Called while somebody rests. */
  onRest: () => void = () => undefined
  #now = 1_000

  readonly world: World = {
    ...nodeWorld,
    now: () => this.#now,
    rest: (ms) => {
      this.passTime(ms)
      this.onRest()
      return Promise.resolve()
    },
  }

  passTime(ms: number): void {
    this.#now += ms
  }

  /** One of the connections that Assent keeps for itself. */
  readonly connection = {
    identity: this,
    server: {
      flavour: 'mariadb',
      version: '11.4.5-MariaDB',
      owner: { connection: 1, start: START } satisfies Owner,
      access: 'writable',
      binlog: 'off',
      idleSeconds: 0,
    },
    send: (text: string) => Promise.resolve(this.#answer(text)),
    rows: (text: string) => Promise.resolve((this.#answer(text) as Answered).rows),
    rollBack: () => Promise.resolve(answered()),
  } as unknown as ServiceConnection

  readonly connections = {
    use: <T>(use: (connection: ServiceConnection) => Promise<T>) => use(this.connection),
  } as unknown as ServiceConnections

  #answer(text: string): Reply {
    const number = Number(/(?:QUERY|CONNECTION|ID =) (\d+)$/.exec(text)?.[1])
    const session = this.sessions.get(number)
    if (text === 'XA RECOVER') {
      return answered(this.prepared.map(([format, length, data]) => [format, length, '0', data]))
    }
    if (text === 'SELECT @@global.read_only') return answered([[this.readOnly]])
    if (/_LOCK\(/.test(text)) return answered([['1']])
    if (text.startsWith('SELECT ID FROM')) {
      const shown = [...this.sessions].filter(([, { user }]) => user === 'ours')
      return answered(shown.map(([id]) => [String(id)]))
    }
    if (text.startsWith('SELECT USER =')) {
      if (session?.user !== 'ours') return answered()
      return answered([[session.state === 'idle' ? '1' : '0']])
    }
    // Never does anything here: it tells whether there is such a connection.
    if (text.startsWith('KILL SOFT')) return refused(session === undefined ? 1094 : 1095)
    this.done.push(text)
    if (text.startsWith('XA ')) this.prepared = []
    return answered()
  }
}

function answered(rows: Rows = []): Reply {
  return { kind: 'answered', rows, affected: 0, warnings: 0 }
}

function refused(errno: number): Reply {
  const error = Object.assign(new Error(`error ${errno}`), { errno, sqlState: 'HY000' })
  return { kind: 'refused', error }
}

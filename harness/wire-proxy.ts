/**
 * Owns: a TCP proxy before one database server that can stop any message before the server sees
 * it, or any answer before the client sees it, and keeps a transcript of both.
 * Promises: nothing of a held message or answer is forwarded, whatever happens to either side; and
 * when a client is gone while something is held, its server session is ended as well, so that what
 * the client had not yet got through is as lost as if it had never been sent.
 * Never: changes, reorders or invents a byte; decrypts (a TLS session is refused, with the reason
 * in the transcript).
 */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { within } from './eventually.ts'
import { ProxiedConnection } from './proxied-connection.ts'
import type { BackendAnswer, FrontendMessage, Wire } from './wire.ts'
import { POSTGRES_WIRE } from './wire-frames.ts'

export interface ConnectionInfo {
  /** 1 for the first connection that the proxy accepted, and so on. */
  readonly ordinal: number
  /** application_name of the startup packet, MySQL's attribute program_name, or ''. */
  readonly application: string
  readonly user: string
  readonly database: string
}

export interface NamedMessage {
  readonly name: string
  readonly message: FrontendMessage
  readonly connection: ConnectionInfo
}

/**
 * `hold` keeps it for ever (until a side closes); to release it later, answer with a promise and
 * resolve that with `pass`. While the promise is pending, it counts as held.
 */
export type Verdict = 'pass' | 'hold' | 'drop-connection'
export type MaybeLater<T> = T | Promise<T>

/** Not readonly: a test may set them anew between two cases. */
export interface ProxyHooks {
  /** `undefined`: this message and its answer pass, without hooks and without a transcript. */
  name?: (message: FrontendMessage, connection: ConnectionInfo) => string | undefined
  /** The whole message is here, none of it was forwarded (but see FrontendItem 'early'). */
  onRequest?: (named: NamedMessage) => MaybeLater<Verdict>
  /** The whole answer is here, none of it was forwarded (but see BackendItem 'early'). */
  onAnswer?: (named: NamedMessage, answer: BackendAnswer) => MaybeLater<Verdict>
}

export interface WireProxyOptions extends ProxyHooks {
  /** The server's port on 127.0.0.1. */
  readonly targetPort: number
  /** What is spoken with it. Default: PostgreSQL's protocol. */
  readonly wire?: Wire
}

export type TranscriptEntry =
  | {
      readonly point: 'request'
      /** `abandoned`: the client was gone before the hook had decided. */
      readonly fate: 'passed' | 'held' | 'dropped' | 'abandoned'
      readonly named: NamedMessage
    }
  | {
      readonly point: 'answer'
      /** `undeliverable`: decided to pass, but the client was gone. */
      readonly fate: 'passed' | 'held' | 'dropped' | 'undeliverable'
      readonly named: NamedMessage
      readonly answer: BackendAnswer
    }
  | {
      /** Both sockets are closed. */
      readonly point: 'closed'
      readonly connection: ConnectionInfo
      readonly reason: string
    }

export class WireProxy {
  readonly transcript: TranscriptEntry[] = []
  /** May be changed at any time; a new hook sees what comes after. */
  readonly hooks: ProxyHooks
  /** May be changed too: new connections go there. */
  targetPort: number
  readonly #wire: Wire
  readonly #listener: Server
  readonly #connections = new Set<ProxiedConnection>()
  readonly #ports = new Set<number>()
  readonly #watchers = new Set<() => void>()
  #accepted = 0

  static async listen(options: WireProxyOptions): Promise<WireProxy> {
    const proxy = new WireProxy(options)
    await new Promise<void>((resolve, reject) => {
      proxy.#listener.once('error', reject)
      proxy.#listener.listen({ host: '127.0.0.1', port: 0 }, resolve)
    })
    return proxy
  }

  private constructor({ targetPort, wire = POSTGRES_WIRE, ...hooks }: WireProxyOptions) {
    this.targetPort = targetPort
    this.#wire = wire
    this.hooks = hooks
    // allowHalfOpen: the end of one direction is a fact to pass on, not one to answer by ourselves.
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      this.#accept(client)
    })
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port
  }

  get connectionCount(): number {
    return this.#connections.size
  }

  /** The ports that its connections to the server came from, also of those that are closed. */
  get serverSidePorts(): readonly number[] {
    return [...this.#ports]
  }

  /** The server's url, leading through this proxy. */
  url(serverUrl: string): string {
    const url = new URL(serverUrl)
    url.port = String(this.port)
    return url.href
  }

  /** Resolves with the first entry, past or future, that fits. */
  async waitFor<E extends TranscriptEntry>(
    what: string,
    fits: (entry: TranscriptEntry) => entry is E,
    timeoutMs?: number,
  ): Promise<E>
  async waitFor(
    what: string,
    fits: (entry: TranscriptEntry) => boolean,
    timeoutMs?: number,
  ): Promise<TranscriptEntry>
  async waitFor(
    what: string,
    fits: (entry: TranscriptEntry) => boolean,
    timeoutMs = defaultWaitMs,
  ): Promise<TranscriptEntry> {
    let watcher: () => void = () => undefined
    const found = new Promise<TranscriptEntry>((resolve) => {
      watcher = () => {
        const entry = this.transcript.find(fits)
        if (entry !== undefined) resolve(entry)
      }
    })
    this.#watchers.add(watcher)
    try {
      watcher()
      return await within(`${what} in the transcript`, found, timeoutMs)
    } finally {
      this.#watchers.delete(watcher)
    }
  }

  /** Resolves when the named message stands still at this point. */
  async whenHeld(point: 'request' | 'answer', name: string, timeoutMs?: number): Promise<void> {
    const fits = (entry: TranscriptEntry) =>
      entry.point === point && entry.fate === 'held' && entry.named.name === name
    await this.waitFor(`${point} ${name} held`, fits, timeoutMs)
  }

  /** Cuts every connection, on both sides. */
  dropAll(): void {
    for (const connection of this.#connections) connection.sever('dropped by the test')
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) =>
      this.#listener.close(() => {
        resolve()
      }),
    )
    this.dropAll()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #accept(client: Socket): void {
    this.#accepted += 1
    const connection: ProxiedConnection = new ProxiedConnection({
      client,
      ordinal: this.#accepted,
      targetPort: this.targetPort,
      wire: this.#wire,
      connected: (port) => this.#ports.add(port),
      hooks: () => this.hooks,
      record: (entry) => {
        if (entry.point === 'closed') this.#connections.delete(connection)
        this.transcript.push(entry)
        for (const watcher of this.#watchers) watcher()
      },
    })
    this.#connections.add(connection)
  }
}

const defaultWaitMs = 10_000

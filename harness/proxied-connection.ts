/**
 * Owns: one client's connection through the wire proxy: two sockets, two parsers, two lines in
 * which items wait for their verdict.
 * Promises: items of one direction are forwarded in order, each only after its verdict. Once the
 * connection is severed, nothing that waited is forwarded.
 * Never: stops reading from a socket, because only a read tells that the other side is gone. What
 * waits is therefore bounded by `maxWaitingBytes` and not by back-pressure.
 */
import { connect, type Socket } from 'node:net'
import type {
  BackendAnswer,
  BackendItem,
  ClientStream,
  FrontendItem,
  FrontendMessage,
  ServerStream,
  Wire,
} from './wire.ts'
import type {
  ConnectionInfo,
  NamedMessage,
  ProxyHooks,
  TranscriptEntry,
  Verdict,
} from './wire-proxy.ts'

interface Setting {
  readonly client: Socket
  readonly ordinal: number
  readonly targetPort: number
  readonly wire: Wire
  /** Told once the server is reached, from which port. */
  readonly connected: (port: number) => void
  readonly hooks: () => ProxyHooks
  readonly record: (entry: TranscriptEntry) => void
}

type Ending = { readonly kind: 'end'; readonly bytes: Buffer }
type Life =
  | { readonly kind: 'open' }
  /** The client is gone, and nothing of it was held: the server still works on what it got. */
  | { readonly kind: 'client-gone'; readonly reason: string }
  | { readonly kind: 'severed'; readonly reason: string }

const maxWaitingBytes = 64 * 1024 * 1024

export class ProxiedConnection {
  readonly #setting: Setting
  readonly #client: Socket
  readonly #server: Socket
  readonly #frontend: ClientStream
  readonly #backend: ServerStream
  readonly #requests: Line<FrontendItem | Ending>
  readonly #answers: Line<BackendItem | Ending>
  /** Forwarded messages whose answer isn't complete, oldest first; `undefined` has no name. */
  readonly #unanswered: (NamedMessage | undefined)[] = []
  #info: ConnectionInfo
  #life: Life = { kind: 'open' }
  #serverEnding: string | undefined
  #openSockets = 2

  constructor(setting: Setting) {
    this.#setting = setting
    const { frontend, backend } = setting.wire.open()
    this.#frontend = frontend
    this.#backend = backend
    this.#info = { ordinal: setting.ordinal, application: '', user: '', database: '' }
    this.#requests = new Line((item) => this.#forwardRequest(item))
    this.#answers = new Line((item) => this.#forwardAnswer(item))
    this.#client = setting.client
    this.#server = connect({
      host: '127.0.0.1',
      port: setting.targetPort,
      allowHalfOpen: true,
      noDelay: true,
    })
    this.#server.on('connect', () => {
      setting.connected(this.#server.localPort ?? 0)
    })
    this.#client.on('data', (chunk) => {
      this.#guard(() => {
        this.#requests.add(...this.#frontend.push(chunk))
      })
    })
    this.#server.on('data', (chunk) => {
      this.#guard(() => {
        this.#answers.add(...this.#backend.push(chunk))
      })
    })
    this.#client.on('end', () => {
      this.#clientEnded('the client closed')
    })
    this.#server.on('end', () => {
      this.#serverEnded('the server closed')
    })
    this.#client.on('error', (error) => {
      this.#clientEnded(`the client closed: ${error.message}`)
    })
    this.#server.on('error', (error) => {
      this.#serverEnded(`the server closed: ${error.message}`)
    })
    this.#client.on('close', () => {
      this.#closed(this.#server)
    })
    this.#server.on('close', () => {
      this.#closed()
    })
  }

  /** Closes both sides; whatever waits is lost. */
  sever(reason: string): void {
    if (this.#life.kind === 'severed') return
    this.#life = { kind: 'severed', reason }
    this.#client.destroy()
    this.#server.destroy()
  }

  #clientEnded(reason: string): void {
    if (this.#life.kind !== 'open') return
    // Whatever waits for a verdict must not reach the server later than its client's death.
    if (this.#requests.isBusy || this.#answers.isBusy) {
      this.sever(`${reason}, something was held`)
      return
    }
    this.#life = { kind: 'client-gone', reason }
    this.#requests.add({ kind: 'end', bytes: Buffer.alloc(0) })
  }

  #serverEnded(reason: string): void {
    this.#serverEnding ??= reason
    // While a hook still decides about an answer, that answer may be delivered after its server's
    // death, as from a slow network. A held one never will be: then the client learns the end now.
    if (this.#answers.isStopped) this.sever(`${reason}, an answer was held`)
    else this.#answers.add({ kind: 'end', bytes: this.#backend.rest() })
  }

  #closed(other?: Socket): void {
    this.#openSockets -= 1
    if (this.#openSockets > 0) {
      if (other !== undefined) this.#finish(other)
      return
    }
    const told = this.#life.kind === 'open' ? undefined : this.#life.reason
    const reason = told ?? this.#serverEnding ?? 'both sides closed'
    this.#setting.record({ point: 'closed', connection: this.#info, reason })
  }

  /** Lets what was written to it still go out. */
  #finish(socket: Socket): void {
    if (socket.writable) socket.end(() => socket.destroy())
    else socket.destroy()
  }

  async #forwardRequest(item: FrontendItem | Ending): Promise<Step> {
    if (this.#life.kind === 'severed') return 'stop'
    switch (item.kind) {
      case 'startup': {
        const { application_name = '', user = '', database = user } = item.parameters
        this.#info = { ...this.#info, application: application_name, user, database }
        break
      }
      case 'encryption-request':
        this.#backend.expectNegotiation()
        break
      case 'early':
      case 'message': {
        const step = await this.#judgeRequest(item)
        if (step !== 'next') return step
        break
      }
      case 'end':
        this.#server.end()
        return 'next'
      case 'cancel-request':
      case 'outside':
        break
    }
    this.#server.write(item.bytes)
    return 'next'
  }

  async #judgeRequest(item: {
    kind: 'early' | 'message'
    message: FrontendMessage
  }): Promise<Step> {
    const { message } = item
    // The verdict on its first part, and the place of its answer, hold for the rest too.
    if (message.continued) return 'next'
    const { onRequest } = this.#setting.hooks()
    const named = this.#named(message)
    if (named === 'failed') return 'stop'
    if (named !== undefined) {
      const verdict = await this.#ask(() => onRequest?.(named) ?? 'pass')
      const fate = this.#isSevered() ? 'abandoned' : fateOf[verdict]
      this.#setting.record({ point: 'request', fate, named })
      if (fate === 'dropped') this.sever(`dropped at request ${named.name}`)
      if (fate !== 'passed') return 'stop'
    }
    this.#unanswered.push(named)
    this.#backend.expectAnswer({ letGoEarly: item.kind === 'early' })
    return 'next'
  }

  #named(message: FrontendMessage): NamedMessage | undefined | 'failed' {
    try {
      const name = this.#setting.hooks().name?.(message, this.#info)
      return name === undefined ? undefined : { name, message, connection: this.#info }
    } catch (error) {
      this.sever(`a name failed: ${(error as Error).message}`)
      return 'failed'
    }
  }

  async #forwardAnswer(item: BackendItem | Ending): Promise<Step> {
    if (this.#life.kind === 'severed') return 'stop'
    if (item.kind === 'answer') {
      const named = this.#unanswered.shift()
      const step = named === undefined ? 'next' : await this.#judgeAnswer(named, item.answer)
      if (step !== 'next') return step
    }
    if (item.bytes.length > 0 && this.#isClientThere()) this.#client.write(item.bytes)
    if (item.kind === 'end') this.#finish(this.#client)
    return 'next'
  }

  async #judgeAnswer(named: NamedMessage, answer: BackendAnswer): Promise<Step> {
    const { onAnswer } = this.#setting.hooks()
    const verdict = await this.#ask(() => onAnswer?.(named, answer) ?? 'pass')
    const isPassedToNobody = verdict === 'pass' && !this.#isClientThere()
    const fate = isPassedToNobody ? 'undeliverable' : fateOf[verdict]
    this.#setting.record({ point: 'answer', fate, named, answer })
    if (fate === 'dropped') this.sever(`dropped at answer ${named.name}`)
    if (fate === 'held' && this.#serverEnding !== undefined) {
      this.sever(`${this.#serverEnding}, an answer was held`)
    }
    return fate === 'passed' || fate === 'undeliverable' ? 'next' : 'stop'
  }

  #isSevered(): boolean {
    return this.#life.kind === 'severed'
  }

  #isClientThere(): boolean {
    return this.#life.kind === 'open' && this.#client.writable
  }

  /** A hook that throws must not let its message slip through. */
  async #ask(hook: () => Verdict | Promise<Verdict>): Promise<Verdict> {
    try {
      return await hook()
    } catch (error) {
      this.sever(`a hook failed: ${(error as Error).message}`)
      return 'hold'
    }
  }

  #guard(work: () => void): void {
    try {
      work()
      const waiting = this.#requests.waitingBytes + this.#answers.waitingBytes
      if (waiting > maxWaitingBytes) this.sever(`more than ${maxWaitingBytes} bytes are held`)
    } catch (error) {
      this.sever((error as Error).message)
    }
  }
}

const fateOf = { pass: 'passed', hold: 'held', 'drop-connection': 'dropped' } as const

/** `stop`: this item and all behind it stay where they are, for ever. */
type Step = 'next' | 'stop'

/** Items in order of arrival, worked on one at a time. */
class Line<Item extends { readonly bytes: Buffer }> {
  readonly #items: Item[] = []
  readonly #work: (item: Item) => Promise<Step>
  #state: 'idle' | 'working' | 'stopped' = 'idle'

  constructor(work: (item: Item) => Promise<Step>) {
    this.#work = work
  }

  /** True while an item waits for its verdict, or was held. */
  get isBusy(): boolean {
    return this.#state !== 'idle'
  }

  get isStopped(): boolean {
    return this.#state === 'stopped'
  }

  get waitingBytes(): number {
    return this.#items.reduce((sum, item) => sum + item.bytes.length, 0)
  }

  add(...items: readonly Item[]): void {
    this.#items.push(...items)
    if (this.#state === 'idle') void this.#run()
  }

  async #run(): Promise<void> {
    this.#state = 'working'
    for (let item = this.#items.shift(); item !== undefined; item = this.#items.shift()) {
      if ((await this.#work(item)) === 'stop') {
        this.#state = 'stopped'
        return
      }
    }
    this.#state = 'idle'
  }
}

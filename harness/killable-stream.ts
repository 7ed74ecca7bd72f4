/**
 * Owns: a socket for the `stream` option of node-postgres or mysql2, for use inside a process that is to die at an
 * exact point of its conversation with the server.
 * Promises: beforeWrite is called when a message is complete and none of its bytes has left this
 * process, while everything before it has been handed to the kernel; afterAnswer is called right
 * after the driver was given the last byte of an answer, before any code that awaits it runs on.
 * Never: changes or reorders a byte, or works under TLS (connecting fails with a WireError).
 */
import { Socket } from 'node:net'
import { POSTGRES_WIRE } from './wire-frames.ts'
import {
  type BackendAnswer,
  type ClientStream,
  type FrontendMessage,
  type ServerStream,
  type StartupParameters,
  type Wire,
  WireError,
} from './wire.ts'

export interface KillPoints {
  readonly beforeWrite?: (message: FrontendMessage, connection: KillableConnection) => void
  readonly afterAnswer?: (
    answer: BackendAnswer,
    message: FrontendMessage,
    connection: KillableConnection,
  ) => void
}

export interface KillableConnection {
  /** 1 for the first socket that this factory made, and so on. */
  readonly ordinal: number
  readonly parameters: StartupParameters
}

/** `new pg.Client({ …, stream: killableStream({ beforeWrite, afterAnswer }) })`, or a Pool. */
export function killableStream(points: KillPoints): () => Socket {
  let made = 0
  return () => {
    made += 1
    return new KillableSocket(points, made, POSTGRES_WIRE)
  }
}

/** The same for mysql2, which wants a socket that is on its way: `createPool({ …, stream })`. */
export function killableMysqlStream(
  points: KillPoints,
  wire: Wire,
): (options: { readonly config: { readonly host: string; readonly port: number } }) => Socket {
  let made = 0
  return ({ config: { host, port } }) => {
    made += 1
    const socket = new KillableSocket(points, made, wire)
    socket.connect(port, host)
    socket.setNoDelay(true)
    return socket
  }
}

/** Dies as by `kill -9`, here and now: no exit handler, no buffered write, no next line. */
export function dieNow(): never {
  process.kill(process.pid, 'SIGKILL')
  // A signal to oneself is delivered before kill(2) returns; should a system differ, wait for it.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  throw new Error('survived SIGKILL')
}

type WriteCallback = (error?: Error | null) => void

class KillableSocket extends Socket {
  readonly #points: KillPoints
  readonly #frontend: ClientStream
  readonly #backend: ServerStream
  readonly #unanswered: FrontendMessage[] = []
  #connection: KillableConnection

  constructor(points: KillPoints, ordinal: number, wire: Wire) {
    super()
    const { frontend, backend } = wire.open()
    this.#points = points
    this.#frontend = frontend
    this.#backend = backend
    this.#connection = { ordinal, parameters: {} }
  }

  /** Node's connect() assigns Socket.prototype.write to the object, over a subclass's method. */
  override connect(...values: unknown[]): this {
    super.connect(...(values as [number, string]))
    Reflect.deleteProperty(this, 'write')
    return this
  }

  /** node-postgres writes one message in several calls: they are kept until it is whole. */
  override write(
    chunk: Uint8Array | string,
    encodingOrDone?: BufferEncoding | WriteCallback,
    done?: WriteCallback,
  ): boolean {
    const encoding = typeof encodingOrDone === 'string' ? encodingOrDone : 'utf8'
    const callback = typeof encodingOrDone === 'function' ? encodingOrDone : done
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
    let isRoomLeft = true
    const items = this.#frontend.push(bytes)
    for (const item of items) {
      if (item.kind === 'encryption-request') {
        this.destroy(new WireError('a killable stream sees nothing under TLS, so it refuses it'))
        return false
      }
      if (item.kind === 'startup') {
        this.#connection = { ...this.#connection, parameters: item.parameters }
      }
      if ((item.kind === 'early' || item.kind === 'message') && !item.message.continued) {
        this.#points.beforeWrite?.(item.message, this.#connection)
        this.#unanswered.push(item.message)
        this.#backend.expectAnswer({ letGoEarly: item.kind === 'early' })
      }
      const isLast = item === items.at(-1)
      isRoomLeft = super.write(item.bytes, isLast ? callback : undefined)
    }
    if (items.length === 0 && callback) queueMicrotask(callback)
    return isRoomLeft
  }

  // Whole messages are written anyway. Corked, an earlier message of the same turn would still be
  // in this process when beforeWrite is called for the next.
  override cork(): void {}
  override uncork(): void {}

  override emit(event: string | symbol, ...values: unknown[]): boolean {
    if (event === 'data') return this.#deliver(values[0] as Buffer)
    if (event === 'end') {
      const lastWords = this.#backend.rest()
      if (lastWords.length > 0) super.emit('data', lastWords)
    }
    return super.emit(event as 'data', ...(values as [Buffer]))
  }

  #deliver(chunk: Buffer): boolean {
    let isHeard = this.listenerCount('data') > 0
    for (const item of this.#backend.push(chunk)) {
      isHeard = super.emit('data', item.bytes)
      if (item.kind !== 'answer') continue
      const message = this.#unanswered.shift()
      if (message === undefined) throw new Error('an answer without a message')
      this.#points.afterAnswer?.(item.answer, message, this.#connection)
    }
    return isHeard
  }
}

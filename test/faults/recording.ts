/**
 * Owns: what a process said to its databases, byte by byte, and saying it again from elsewhere: what
 * a machine does that is resumed from a snapshot, with the random numbers that it had.
 * Never: repeats the way in. Each repetition logs in by itself.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import pg from 'pg'
import { FrontendParser } from '../../harness/wire-frames.ts'
import { kindOfMessage } from '../support/message-kinds.ts'
import type { MessageKind } from '../support/message-kinds.ts'

interface Said {
  readonly to: string
  readonly kind: MessageKind | undefined
  readonly bytes: Buffer
}

export class Recording {
  readonly said: Said[] = []
  readonly #listeners: Server[] = []

  /** The url, leading through a listener that writes down every message. */
  async through(to: string, serverUrl: string): Promise<string> {
    const url = new URL(serverUrl)
    const target = Number(url.port)
    const listener = createServer((client) => {
      const server = connect({ host: '127.0.0.1', port: target })
      const parser = new FrontendParser()
      client.on('data', (chunk) => {
        for (const item of parser.push(chunk)) {
          if (item.kind !== 'message') continue
          this.said.push({ to, kind: kindOfMessage(item.message), bytes: item.bytes })
        }
      })
      client.pipe(server)
      server.pipe(client)
      for (const socket of [client, server]) socket.on('error', () => undefined)
    })
    this.#listeners.push(listener)
    await new Promise<void>((resolve) => {
      listener.listen({ host: '127.0.0.1', port: 0 }, resolve)
    })
    url.port = String((listener.address() as AddressInfo).port)
    return url.href
  }

  /** The message of a kind, once it was said. */
  find(kind: MessageKind): Buffer | undefined {
    return this.said.find((each) => each.kind === kind)?.bytes
  }

  close(): void {
    for (const listener of this.#listeners) listener.close()
  }
}

/** A connection on which recorded messages are said again; each is answered before the next. */
export class Repeater {
  readonly #wire: Wire

  static async connect(url: string): Promise<Repeater> {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    return new Repeater(client)
  }

  private constructor(client: pg.Client) {
    this.#wire = (client as unknown as { connection: Wire }).connection
    // The driver knows nothing of these messages and must not see their answers.
    this.#wire.removeAllListeners()
    this.#wire.on('error', () => undefined)
  }

  /** The tags and error codes that the server answered with. */
  async say(bytes: Buffer): Promise<readonly string[]> {
    const heard: string[] = []
    const onTag = (message: { text: string }): void => void heard.push(message.text)
    const onError = (error: { code: string }): void => void heard.push(`!${error.code}`)
    this.#wire.on('commandComplete', onTag)
    this.#wire.on('errorMessage', onError)
    await new Promise<void>((resolve) => {
      this.#wire.once('readyForQuery', () => {
        resolve()
      })
      this.#wire.stream.write(bytes)
    })
    this.#wire.removeListener('commandComplete', onTag)
    this.#wire.removeListener('errorMessage', onError)
    return heard
  }

  close(): void {
    this.#wire.stream.destroy()
  }
}

interface Wire extends NodeJS.EventEmitter {
  readonly stream: Socket
}

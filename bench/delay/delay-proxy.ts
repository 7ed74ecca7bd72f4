/**
 * Owns: a TCP proxy on 127.0.0.1 that makes a server look further away.
 * Promises: every byte comes out `delayMs` after it came in, never earlier, in order, in both
 * directions; so does the end of a direction. A broken connection breaks the other side at once.
 * Never: looks at a byte, or holds back a fast sender: what is on its way is kept in memory.
 */
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { Alarm, now } from './alarm.ts'

/** Something to do when its time has come. */
interface Due {
  readonly at: number
  readonly act: () => void
}

export class DelayProxy {
  readonly #delayMs: number
  readonly #targetPort: number
  readonly #listener: Server
  readonly #alarm: Alarm
  readonly #sockets = new Set<Socket>()
  /** All wait equally long, so the oldest is always the next. */
  #queue: Due[] = []
  #next = 0

  /** The path through it takes `delayMs` in each direction. */
  static async listen(targetPort: number, delayMs: number): Promise<DelayProxy> {
    const proxy = new DelayProxy(targetPort, delayMs)
    await new Promise<void>((resolve, reject) => {
      proxy.#listener.once('error', reject)
      proxy.#listener.listen({ host: '127.0.0.1', port: 0 }, resolve)
    })
    return proxy
  }

  private constructor(targetPort: number, delayMs: number) {
    this.#targetPort = targetPort
    this.#delayMs = delayMs
    this.#alarm = new Alarm(() => {
      this.#ring()
    })
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      this.#accept(client)
    })
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#listener.close(() => {
        resolve()
      })
    })
    for (const socket of this.#sockets) socket.destroy()
    await closed
    await this.#alarm.close()
  }

  #accept(client: Socket): void {
    const target = { host: '127.0.0.1', port: this.#targetPort, allowHalfOpen: true, noDelay: true }
    const server = connect(target)
    this.#carry(client, server)
    this.#carry(server, client)
  }

  #carry(from: Socket, to: Socket): void {
    this.#sockets.add(from)
    from.on('data', (chunk) => {
      this.#later(() => {
        to.write(chunk)
      })
    })
    from.on('end', () => {
      this.#later(() => {
        to.end()
      })
    })
    // A client that vanished must be seen vanishing.
    from.on('error', () => {
      to.destroy()
    })
    from.on('close', () => {
      this.#sockets.delete(from)
    })
  }

  #later(act: () => void): void {
    const at = now() + this.#delayMs
    this.#queue.push({ at, act })
    // Otherwise the alarm is set already, for the one before.
    if (this.#queue.length - this.#next === 1) this.#alarm.set(at)
  }

  #ring(): void {
    const moment = now()
    for (let due = this.#queue[this.#next]; due !== undefined; due = this.#queue[this.#next]) {
      if (due.at > moment) {
        this.#alarm.set(due.at)
        return
      }
      this.#next += 1
      due.act()
    }
    this.#queue = []
    this.#next = 0
  }
}

/**
 * Owns: a TCP proxy that lets a part of one answer through, counted in bytes, and nothing after it.
 * Promises: knows nothing of the protocol, so it cuts a TLS record as well as a plain message; every
 * other byte passes as it is.
 * Never: changes a byte.
 *
 * Requests are counted by turns: the first bytes of a client behind the server's last ones. That is
 * exact for a client that waits for each answer.
 */
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net'

export interface Cut {
  /** The answer to this request is cut, counted from 1 from now on, over all connections. */
  readonly request: number
  /** How many bytes of so many still pass. */
  readonly keep: (bytes: number) => number
  /** `close`: both sides are closed behind them. `stall`: both stay open, and silent. */
  readonly then: 'close' | 'stall'
}

export class CuttingProxy {
  readonly #targetPort: number
  readonly #listener: Server
  readonly #sockets = new Set<Socket>()
  #cut: Cut | undefined
  #requests = 0
  /** How many answers were cut. */
  cuts = 0

  static async listen(targetPort: number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(targetPort)
    await new Promise<void>((resolve, reject) => {
      proxy.#listener.once('error', reject)
      proxy.#listener.listen({ host: '127.0.0.1', port: 0 }, resolve)
    })
    return proxy
  }

  private constructor(targetPort: number) {
    this.#targetPort = targetPort
    this.#listener = createServer({ noDelay: true }, (client) => {
      this.#accept(client)
    })
  }

  /** The server's url, leading through this proxy. */
  url(serverUrl: string): string {
    const url = new URL(serverUrl)
    url.port = String((this.#listener.address() as AddressInfo).port)
    return url.href
  }

  cut(cut: Cut): void {
    this.#cut = cut
    this.#requests = 0
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) =>
      this.#listener.close(() => {
        resolve()
      }),
    )
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #accept(client: Socket): void {
    const server = connect({ host: '127.0.0.1', port: this.#targetPort, noDelay: true })
    let turn: 'client' | 'server' = 'server'
    let life: 'open' | 'cut' = 'open'
    client.on('data', (bytes) => {
      if (turn === 'server') this.#requests += 1
      turn = 'client'
      if (life === 'open') server.write(bytes)
    })
    server.on('data', (bytes) => {
      if (life === 'cut') return
      const cut = turn === 'client' ? this.#due() : undefined
      turn = 'server'
      if (cut === undefined) {
        client.write(bytes)
        return
      }
      life = 'cut'
      this.cuts += 1
      client.write(bytes.subarray(0, cut.keep(bytes.length)))
      if (cut.then === 'stall') return
      client.end()
      server.destroy()
    })
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.end()
      })
    }
  }

  /** The cut, if the answer that comes now is the one. */
  #due(): Cut | undefined {
    const cut = this.#cut
    if (cut?.request !== this.#requests) return undefined
    this.#cut = undefined
    return cut
  }
}

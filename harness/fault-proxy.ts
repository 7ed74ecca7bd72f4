/**
 * Owns: a TCP proxy before one server that treats bytes as a bad network does: late, lost and sent
 * again, not at all, or cut off in the middle. (wire-proxy.ts knows messages; this one doesn't.)
 * Promises: bytes of one direction are delivered in order, none twice and none left out, as TCP
 * promises; what a black hole has taken is delivered when it is healed, as by retransmission, unless
 * the connection has ended meanwhile. A side that lies in a black hole learns nothing of the other
 * side's end.
 * Never: changes a byte, or looks at one.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

export type Direction = 'to-server' | 'to-client'

export type Fault =
  | { readonly kind: 'none' }
  /** Everything arrives this much later. */
  | { readonly kind: 'delay'; readonly delayMs: number }
  /** Bytes are taken, and nothing is delivered. */
  | { readonly kind: 'black-hole' }
  /**
   * A share of the segments is lost. TCP hides that: a lost one is sent again after 200 ms, then
   * 400 ms, …, and everything behind it waits.
   */
  | { readonly kind: 'loss'; readonly share: number; readonly random: () => number }
  /** So many bytes more are delivered on each connection, then both of its sides are closed. */
  | { readonly kind: 'truncation'; readonly afterBytes: number }

const NONE: Fault = { kind: 'none' }
const BOTH = ['to-server', 'to-client'] as const
/** Linux' shortest time-out for a retransmission, and how often it is doubled here at most. */
const RETRANSMIT_MS = 200
const MOST_DOUBLINGS = 4

export class FaultProxy {
  /** May be changed at any time: new connections go there, as after a change of DNS. */
  targetPort: number
  /** What has happened so far. */
  readonly counts = { lostSegments: 0, refusedConnections: 0, truncatedConnections: 0, flaps: 0 }
  readonly #listener: Server
  readonly #links = new Set<Link>()
  readonly #faults: Record<Direction, Fault> = { 'to-server': NONE, 'to-client': NONE }
  #state: 'up' | 'down' = 'up'

  static async listen({ targetPort }: { readonly targetPort: number }): Promise<FaultProxy> {
    const proxy = new FaultProxy(targetPort)
    await new Promise<void>((resolve, reject) => {
      proxy.#listener.once('error', reject)
      proxy.#listener.listen({ host: '127.0.0.1', port: 0 }, resolve)
    })
    return proxy
  }

  private constructor(targetPort: number) {
    this.targetPort = targetPort
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      this.#accept(client)
    })
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port
  }

  get connectionCount(): number {
    return this.#links.size
  }

  /** The server's url, leading through this proxy. */
  url(serverUrl: string): string {
    const url = new URL(serverUrl)
    url.port = String(this.port)
    return url.href
  }

  /** Bytes that wait in this direction, over all connections. */
  waitingBytes(direction: Direction): number {
    return [...this.#links].reduce((sum, link) => sum + link.flows[direction].waitingBytes, 0)
  }

  /** From now on, on connections that are open and on new ones. */
  inflict(direction: Direction | 'both', fault: Fault): void {
    for (const each of direction === 'both' ? BOTH : [direction]) {
      this.#faults[each] = fault
      for (const link of this.#links) link.flows[each].suffer(fault)
    }
  }

  /** Ends every fault. What was held is delivered. */
  heal(): void {
    this.#state = 'up'
    this.inflict('both', NONE)
  }

  /** Closes every connection on both sides, and refuses new ones until it is healed. */
  takeDown(): void {
    this.#state = 'down'
    this.dropAll()
  }

  /** Closes every connection, on both sides. */
  dropAll(): void {
    for (const link of this.#links) link.sever()
  }

  /** One side of every connection is gone; the other isn't told, and may wait for ever. */
  loseSide(side: 'client' | 'server'): void {
    for (const link of this.#links) link.loseSide(side)
  }

  /** Down and up again, every so often. The last state of all is up. */
  flap(everyMs: number): Disposable {
    const timer = setInterval(() => {
      this.counts.flaps += 1
      if (this.#state === 'up') this.takeDown()
      else this.#state = 'up'
    }, everyMs)
    return {
      [Symbol.dispose]: () => {
        clearInterval(timer)
        this.#state = 'up'
      },
    }
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#listener.close(() => {
        resolve()
      })
    })
    this.dropAll()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #accept(client: Socket): void {
    if (this.#state === 'down') {
      this.counts.refusedConnections += 1
      client.on('error', () => undefined)
      client.destroy()
      return
    }
    const link = new Link(client, this.targetPort, {
      onLoss: () => (this.counts.lostSegments += 1),
      onTruncation: () => (this.counts.truncatedConnections += 1),
      onClosed: () => this.#links.delete(link),
    })
    this.#links.add(link)
    for (const direction of BOTH) link.flows[direction].suffer(this.#faults[direction])
  }
}

interface LinkEvents {
  readonly onLoss: () => void
  readonly onTruncation: () => void
  readonly onClosed: () => void
}

/** One connection: two sockets and what flows between them. */
class Link {
  readonly flows: Readonly<Record<Direction, Flow>>
  readonly #client: Socket
  readonly #server: Socket
  readonly #events: LinkEvents

  constructor(client: Socket, targetPort: number, events: LinkEvents) {
    const server = connect({
      host: '127.0.0.1',
      port: targetPort,
      allowHalfOpen: true,
      noDelay: true,
    })
    this.#client = client
    this.#server = server
    this.#events = events
    const flowEvents = {
      onLoss: events.onLoss,
      onTruncated: () => {
        events.onTruncation()
        this.sever()
      },
    }
    this.flows = {
      'to-server': new Flow(client, server, flowEvents),
      'to-client': new Flow(server, client, flowEvents),
    }
    for (const socket of [client, server]) {
      socket.on('close', () => {
        this.#onClosed()
      })
    }
  }

  sever(): void {
    this.#client.destroy()
    this.#server.destroy()
    for (const direction of BOTH) this.flows[direction].stop()
  }

  loseSide(side: 'client' | 'server'): void {
    for (const direction of BOTH) this.flows[direction].stop()
    if (side === 'client') this.#client.destroy()
    else this.#server.destroy()
  }

  #onClosed(): void {
    if (this.#client.destroyed && this.#server.destroyed) this.#events.onClosed()
  }
}

type Item =
  | { readonly kind: 'bytes'; readonly bytes: Buffer; dueAt: number }
  /** The other side has closed: in order, or by a failure. */
  | { readonly kind: 'end'; readonly how: 'end' | 'destroy'; dueAt: number }

interface FlowEvents {
  readonly onLoss: () => void
  readonly onTruncated: () => void
}

/** One direction of one connection. */
class Flow {
  readonly #to: Socket
  readonly #events: FlowEvents
  readonly #items: Item[] = []
  #fault: Fault = NONE
  #bytesLeft = Infinity
  #timer: NodeJS.Timeout | undefined
  #state: 'flowing' | 'stopped' = 'flowing'

  constructor(from: Socket, to: Socket, events: FlowEvents) {
    this.#to = to
    this.#events = events
    from.on('data', (bytes) => {
      this.#add({ kind: 'bytes', bytes, dueAt: this.#dueAt() })
    })
    from.on('end', () => {
      this.#add({ kind: 'end', how: 'end', dueAt: this.#dueAt() })
    })
    from.on('error', () => {
      this.#add({ kind: 'end', how: 'destroy', dueAt: this.#dueAt() })
    })
  }

  get waitingBytes(): number {
    return this.#items.reduce(
      (sum, item) => sum + (item.kind === 'bytes' ? item.bytes.length : 0),
      0,
    )
  }

  suffer(fault: Fault): void {
    this.#fault = fault
    this.#bytesLeft = fault.kind === 'truncation' ? fault.afterBytes : Infinity
    // What lies in a black hole goes on by the new rule; what is only late keeps its time.
    for (const item of this.#items) if (item.dueAt === Infinity) item.dueAt = this.#dueAt()
    this.#pump()
  }

  stop(): void {
    this.#state = 'stopped'
    this.#items.length = 0
    clearTimeout(this.#timer)
  }

  #add(item: Item): void {
    if (this.#state === 'stopped') return
    this.#items.push(item)
    this.#pump()
  }

  #dueAt(): number {
    const now = performance.now()
    switch (this.#fault.kind) {
      case 'none':
      case 'truncation':
        return now
      case 'delay':
        return now + this.#fault.delayMs
      case 'black-hole':
        return Infinity
      case 'loss':
        return now + this.#retransmissionsMs(this.#fault)
    }
  }

  #retransmissionsMs({ share, random }: Extract<Fault, { kind: 'loss' }>): number {
    let lateMs = 0
    for (let tries = 0; tries <= MOST_DOUBLINGS && random() < share; tries += 1) {
      this.#events.onLoss()
      lateMs += RETRANSMIT_MS * 2 ** tries
    }
    return lateMs
  }

  #pump(): void {
    clearTimeout(this.#timer)
    for (;;) {
      const [head] = this.#items
      if (head === undefined || this.#state === 'stopped' || head.dueAt === Infinity) return
      const lateMs = head.dueAt - performance.now()
      if (lateMs > 0) {
        this.#timer = setTimeout(() => {
          this.#pump()
        }, Math.ceil(lateMs))
        return
      }
      this.#items.shift()
      this.#deliver(head)
    }
  }

  #deliver(item: Item): void {
    if (item.kind === 'end') {
      if (item.how === 'end') this.#to.end()
      else this.#to.destroy()
      return
    }
    const bytes = item.bytes.subarray(0, this.#bytesLeft)
    this.#bytesLeft -= bytes.length
    if (this.#to.writable) this.#to.write(bytes)
    if (this.#bytesLeft > 0) return
    // What was written still goes out before the end.
    const { onTruncated } = this.#events
    this.#state = 'stopped'
    if (this.#to.writable) this.#to.end(onTruncated)
    else onTruncated()
  }
}

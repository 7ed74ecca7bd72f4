/**
 * A process with delay proxies, so that they don't compete with what is measured for one event loop.
 *
 * Owns: one line out, the proxies' ports by the servers' names; it ends when its input does.
 */
import { orderGiven } from '../child-process.ts'
import { DelayProxy } from './delay-proxy.ts'

export interface DelayOrder {
  readonly ports: Readonly<Record<string, number>>
  /** In each direction. */
  readonly delayMs: number
}

const { ports, delayMs } = orderGiven() as DelayOrder
process.on('SIGINT', () => undefined)
const proxies: DelayProxy[] = []
const listening: Record<string, number> = {}
for (const [name, port] of Object.entries(ports)) {
  const proxy = await DelayProxy.listen(port, delayMs)
  proxies.push(proxy)
  listening[name] = proxy.port
}
process.stdout.write(`${JSON.stringify(listening)}\n`)
process.stdin.resume()
process.stdin.once('end', () => {
  void Promise.all(proxies.map((proxy) => proxy.close()))
})

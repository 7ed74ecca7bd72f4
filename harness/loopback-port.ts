/**
 * Owns: choosing a loopback port for a server, and asking whether something listens on one.
 * Promises: the port was free when it was looked at, and no outgoing connection is given it.
 * Never: keeps the port; between the look and the server's own bind another may take it.
 */
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'

/**
 * Finds a free port below the range from which the system takes ports for outgoing connections.
 *
 * Port 0 would choose one inside that range, and that breaks restarts: while the server is down,
 * a client that reconnects to 127.0.0.1:P may itself be given P as its own port, connect to itself
 * (TCP's simultaneous open), and so keep the server from ever binding P again.
 */
export async function freeLoopbackPort(): Promise<number> {
  const ceiling = Math.min(firstOutgoingPort(), defaultFirstOutgoingPort)
  if (ceiling - lowestPort >= minChoices) {
    for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
      const port = lowestPort + Math.floor(Math.random() * (ceiling - lowestPort))
      if ((await bindOnce(port)) !== undefined) return port
    }
  }
  const port = await bindOnce(0)
  if (port === undefined) throw new Error('no free port on 127.0.0.1')
  return port
}

/** True if a connection to the port is accepted. */
export function portAnswers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    const answer = (accepted: boolean) => {
      socket.destroy()
      resolve(accepted)
    }
    socket.setTimeout(connectTimeoutMs, () => {
      answer(false)
    })
    socket.once('connect', () => {
      answer(true)
    })
    socket.once('error', () => {
      answer(false)
    })
  })
}

const lowestPort = 15_000
const defaultFirstOutgoingPort = 32_768
const minChoices = 1_000
const maxAttempts = 100
const connectTimeoutMs = 1_000

function firstOutgoingPort(): number {
  try {
    const range = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')
    return Number(range.split(/\s+/)[0])
  } catch {
    return defaultFirstOutgoingPort // macOS begins at 49152, so this is below its range as well.
  }
}

function bindOnce(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => {
      resolve(undefined)
    })
    probe.listen({ host: '127.0.0.1', port }, () => {
      const address = probe.address()
      const bound = typeof address === 'object' && address !== null ? address.port : undefined
      probe.close(() => {
        resolve(bound)
      })
    })
  })
}

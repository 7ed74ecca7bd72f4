/**
 * The system kills one backend of a server, for want of memory: the server ends all others and starts
 * anew by itself. The process that runs the transaction lives on.
 */
import { expect, test } from 'vitest'
import pg from 'pg'
import { eventually } from '../../harness/eventually.ts'
import type { Verdict } from '../../harness/wire-proxy.ts'
import type { PostgresServer } from '../../harness/postgres-server.ts'
import { send } from '../../harness/process-table.ts'
import { freshDatabase } from '../support/databases.ts'
import { ownDatabase, ownServer } from '../support/own-server.ts'
import { Network } from '../faults/network.ts'
import type { NetworkMessage } from '../faults/network.ts'

type Point = 'onArrival' | 'onAnswer'

test.each<['orders' | 'stock', NetworkMessage, Point, 'committed' | 'aborted']>([
  ['orders', 'orders first-claim', 'onAnswer', 'aborted'],
  ['stock', 'stock vote', 'onArrival', 'aborted'],
  ['stock', 'stock vote', 'onAnswer', 'committed'],
  ['orders', 'orders decide', 'onArrival', 'aborted'],
  ['orders', 'orders decide', 'onAnswer', 'committed'],
  ['stock', 'stock apply', 'onArrival', 'committed'],
])('a backend of %s is killed at %s, %s (fault 84): %s', async (victim, message, point, fate) => {
  const server = await ownServer('short-of-memory')
  const network = await Network.open({
    databaseOf: async (name) => (name === victim ? ownDatabase(server) : freshDatabase('second')),
  })
  await network.write()
  const struck = Promise.withResolvers<undefined>()
  network[point].set(message, async (): Promise<Verdict> => {
    network[point].delete(message)
    await killBystander(server)
    struck.resolve(undefined)
    return 'pass'
  })
  expect(await network.told(10_000)).toBe(fate)
  await struck.promise
  const rows = fate === 'committed' ? 2 : 1
  await network.settles([rows, rows])
})

/** Kills a backend that has nothing to do with the transaction; returns when all are new. */
async function killBystander(server: PostgresServer): Promise<void> {
  const [bystander, other] = [await connected(server), await connected(server)]
  const { rows } = await bystander.query<{ pid: number }>('select pg_backend_pid() as pid')
  let isOtherGone = false
  other.on('end', () => {
    isOtherGone = true
  })
  send(rows[0]?.pid ?? 0, 'SIGKILL')
  await eventually('every session to be ended', () => isOtherGone)
  await eventually('the server to be back', async () => {
    const client = await connected(server).catch(() => undefined)
    await client?.end()
    return client !== undefined
  })
}

async function connected(server: PostgresServer): Promise<pg.Client> {
  const client = new pg.Client(server.url())
  client.on('error', () => undefined)
  await client.connect()
  return client
}

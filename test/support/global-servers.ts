/**
 * The servers that test files share: each file makes databases of its own on them.
 *
 * Owns: two servers that prepare, and one with max_prepared_transactions = 0. Tests that kill a
 * server start their own.
 */
import type { TestProject } from 'vitest/node'
import { installExitCleanup } from '../../harness/exit-cleanup.ts'
import { PostgresServer } from '../../harness/postgres-server.ts'

export interface ServerUrls {
  readonly first: string
  readonly second: string
  readonly unprepared: string
}

declare module 'vitest' {
  export interface ProvidedContext {
    servers: ServerUrls
  }
}

export default async function startServers(project: TestProject): Promise<() => Promise<void>> {
  installExitCleanup()
  const servers = await Promise.all([
    PostgresServer.create({ name: 'first' }),
    PostgresServer.create({ name: 'second' }),
    PostgresServer.create({ name: 'unprepared', settings: { max_prepared_transactions: '0' } }),
  ])
  await Promise.all(servers.map((server) => server.start()))
  const [first, second, unprepared] = servers.map((server) => server.url())
  project.provide('servers', {
    first: first ?? '',
    second: second ?? '',
    unprepared: unprepared ?? '',
  })
  return async () => {
    await Promise.all(servers.map((server) => server.remove()))
  }
}

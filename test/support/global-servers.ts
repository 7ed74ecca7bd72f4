/**
 * The servers that test files share: each file makes databases of its own on them.
 *
 * Owns: two PostgreSQL servers that prepare, and one with max_prepared_transactions = 0; a MariaDB
 * server, and one that also writes a binary log. Tests that kill a server start their own.
 */
import type { TestProject } from 'vitest/node'
import { installExitCleanup } from '../../harness/exit-cleanup.ts'
import { MariadbServer } from '../../harness/mariadb-server.ts'
import { PostgresServer } from '../../harness/postgres-server.ts'

export interface ServerUrls {
  readonly first: string
  readonly second: string
  readonly unprepared: string
}

export interface MariadbUrls {
  readonly maria: string
  readonly mariaBinlog: string
}

declare module 'vitest' {
  export interface ProvidedContext {
    servers: ServerUrls
    mariadbServers: MariadbUrls
  }
}

/** A binary log as durable as InnoDB's own. */
export const BINLOG = {
  log_bin: 'binlog',
  binlog_format: 'ROW',
  sync_binlog: '1',
  server_id: '1',
}

export default async function startServers(project: TestProject): Promise<() => Promise<void>> {
  installExitCleanup()
  const servers = await Promise.all([
    PostgresServer.create({ name: 'first' }),
    PostgresServer.create({ name: 'second' }),
    PostgresServer.create({ name: 'unprepared', settings: { max_prepared_transactions: '0' } }),
    MariadbServer.create({ name: 'maria' }),
    MariadbServer.create({ name: 'binlog', settings: BINLOG }),
  ])
  await Promise.all(servers.map((server) => server.start()))
  const [first, second, unprepared, maria, mariaBinlog] = servers
  project.provide('servers', {
    first: first.url(),
    second: second.url(),
    unprepared: unprepared.url(),
  })
  project.provide('mariadbServers', { maria: maria.url(), mariaBinlog: mariaBinlog.url() })
  return async () => {
    await Promise.all(servers.map((server) => server.remove()))
  }
}

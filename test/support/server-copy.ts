/**
 * Servers out of the files of a server: a replica, a snapshot that is put back, and a recovery up
 * to a point in time.
 */
import { spawnSync } from 'node:child_process'
import { appendFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { eventually } from '../../harness/eventually.ts'
import { PostgresServer } from '../../harness/postgres-server.ts'

/** Stops the original and copies it; both are stopped then, and trust whoever connects. */
export async function copyServer(
  original: PostgresServer,
  name: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresServer> {
  const copy = await PostgresServer.create({ name, settings })
  await original.stop()
  // The password in the files is the original's: each server has to accept the other's.
  const rules = join(dataOf(original), 'pg_hba.conf')
  const trust = ['all', 'replication'].map((what) => `host ${what} all 127.0.0.1/32 trust\n`)
  writeFileSync(rules, trust.join('') + readFileSync(rules, 'utf8'))
  copyFolder(dataOf(original), dataOf(copy))
  return copy
}

/** Starts it as a read-only replica: of nobody, or of the primary that answers at this port. */
export async function startAsReplica(server: PostgresServer, primaryPort?: number): Promise<void> {
  writeFileSync(join(dataOf(server), 'standby.signal'), '')
  if (primaryPort !== undefined) {
    const primary = `host=127.0.0.1 port=${primaryPort} user=${server.user} application_name=replica`
    configure(server, [`primary_conninfo = '${primary}'`, "wal_retrieve_retry_interval = '100ms'"])
  }
  await server.start()
}

/** The files of a server at one moment. The server was stopped for it, and runs again. */
export interface Snapshot {
  /** The server is as it was then. It looks like itself: the same timeline, the same identifier. */
  putBack(): Promise<void>
  /** The server is as it was at the restore point, which came later. It has a new timeline. */
  recoverTo(restorePoint: string): Promise<void>
}

export async function takeSnapshot(server: PostgresServer): Promise<Snapshot> {
  const kept = freshFolder(server, 'snapshot')
  await server.stop()
  copyFolder(dataOf(server), kept)
  await server.start()
  return {
    putBack: async () => {
      await server.kill()
      copyFolder(kept, dataOf(server))
      await server.start()
    },
    recoverTo: async (restorePoint) => {
      // Killed, so that no checkpoint has cleared the log away: it is the archive.
      await server.kill()
      const archive = freshFolder(server, 'archive')
      renameSync(dataOf(server), archive)
      copyFolder(kept, dataOf(server))
      writeFileSync(join(dataOf(server), 'recovery.signal'), '')
      configure(server, [
        `restore_command = 'cp "${join(archive, 'pg_wal')}/%f" "%p"'`,
        `recovery_target_name = '${restorePoint}'`,
        "recovery_target_action = 'promote'",
      ])
      await server.start()
      const text = 'select pg_is_in_recovery() as is'
      const hasEnded = async () => (await ask<{ is: boolean }>(server, text))[0]?.is === false
      await eventually(`${server.name} to end its recovery`, hasEnded)
    },
  }
}

/** Of a primary. Changes when a replica is promoted, and when a recovery has ended. */
export async function timelineOf(server: PostgresServer): Promise<number> {
  const text = 'select left(pg_walfile_name(pg_current_wal_lsn()), 8) as id'
  return parseInt((await ask<{ id: string }>(server, text))[0]?.id ?? '', 16)
}

/** One statement, on a connection of its own. */
export async function ask<Row extends object>(
  server: PostgresServer,
  text: string,
): Promise<readonly Row[]> {
  const client = new pg.Client(server.url())
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query<Row>(text)).rows
  } finally {
    await client.end()
  }
}

let serial = 0

function freshFolder(server: PostgresServer, kind: string): string {
  serial += 1
  return join(server.folder, `${kind}-${serial}`)
}

function dataOf(server: PostgresServer): string {
  return join(server.folder, 'data')
}

function configure(server: PostgresServer, lines: readonly string[]): void {
  appendFileSync(join(dataOf(server), 'postgresql.auto.conf'), `\n${lines.join('\n')}\n`)
}

function copyFolder(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true })
  const { status, stderr } = spawnSync('cp', ['-a', from, to], { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
}

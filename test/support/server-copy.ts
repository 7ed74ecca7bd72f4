/**
 * A second server out of the files of a first: what a base backup, a replica or a clone begins with.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PostgresServer } from '../../harness/postgres-server.ts'

/** Stops the original and copies it; both are stopped then, and trust whoever connects. */
export async function copyServer(original: PostgresServer, name: string): Promise<PostgresServer> {
  const copy = await PostgresServer.create({ name })
  await original.stop()
  const [from, to] = [original, copy].map((server) => join(server.folder, 'data'))
  // The password in the files is the original's: each server has to accept the other's.
  const rules = join(from!, 'pg_hba.conf')
  writeFileSync(rules, `host all all 127.0.0.1/32 trust\n${readFileSync(rules, 'utf8')}`)
  rmSync(to!, { recursive: true })
  const { status, stderr } = spawnSync('cp', ['-a', from!, to!], { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return copy
}

/** Starts it as a read-only replica, of nobody. */
export async function startAsReplica(server: PostgresServer): Promise<void> {
  writeFileSync(join(server.folder, 'data', 'standby.signal'), '')
  await server.start()
}

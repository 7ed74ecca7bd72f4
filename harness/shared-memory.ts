/**
 * Owns: the one System V shared memory segment that a killed PostgreSQL server leaves behind.
 * Promises: after a killed server's folder is deleted, its segment is gone too, where the system's
 * ipcrm is there. (A restart reuses it; only kill and delete would leak one, and macOS has 32.)
 * Never: touches a segment to which a process is attached, or that another process made.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Call when every process of the server is gone, before its data folder is deleted. */
export function forgetSharedMemory(dataFolder: string): void {
  const path = join(dataFolder, 'postmaster.pid')
  if (!existsSync(path)) return // A clean shutdown removed file and segment.
  // Line 1 is the postmaster's id, line 7 the segment's key and id (PostgreSQL's pidfile.h).
  const lines = readFileSync(path, 'utf8').split('\n')
  const [key, id] = (lines[6] ?? '').trim().split(/\s+/)
  if (id === undefined || !isAbandoned(String(key), id, String(lines[0]))) return
  spawnSync('ipcrm', ['-m', id], { stdio: 'ignore' })
}

function isAbandoned(key: string, id: string, creator: string): boolean {
  const table = '/proc/sysvipc/shm'
  if (!existsSync(table)) return true // Elsewhere than on Linux the file's word must do.
  const rows = readFileSync(table, 'utf8').split('\n').slice(1)
  return rows.some((row) => {
    // Columns: key shmid perms size cpid lpid nattch …
    const column = row.trim().split(/\s+/)
    return (
      (Number(column[0]) | 0) === (Number(key) | 0) &&
      column[1] === id &&
      column[4] === creator &&
      column[6] === '0'
    )
  })
}

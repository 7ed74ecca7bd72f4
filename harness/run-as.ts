/**
 * Owns: as whom the servers of the harness run, and the folders that such a user reaches.
 * Promises: one user for all of them, so that what is made for one server (a certificate, say) can
 * be read by every other.
 * Never: root, where this process is root: PostgreSQL refuses that, and MariaDB should.
 */
import { chmodSync, chownSync, mkdtempSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

/** `uid` and `gid` for spawn when this process is root; nothing when it is an ordinary user. */
export type RunAs = { readonly uid: number; readonly gid: number } | Readonly<Record<string, never>>

/** As root: user postgres if there is one, else nobody. Otherwise: whoever we are. */
export function runAs(): RunAs {
  if (process.getuid?.() !== 0) return {}
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  for (const wanted of ['postgres', '_postgres', 'nobody']) {
    const user = users.find(([name]) => name === wanted)
    if (user) return { uid: Number(user[2]), gid: Number(user[3]) }
  }
  throw new Error('running as root, and /etc/passwd has neither postgres nor nobody to run as')
}

/** A new folder that belongs to that user. */
export function makeFolderFor(user: RunAs, prefix: string, parent?: string): string {
  const folder = mkdtempSync(join(parent ?? reachableTemporaryFolder(user), prefix))
  chmodSync(folder, 0o755) // mkdtemp makes 0700, which the server's user couldn't enter.
  giveTo(user, folder)
  return folder
}

export function giveTo(user: RunAs, path: string): void {
  if ('uid' in user) chownSync(path, user.uid, user.gid)
}

/** True if the user can enter the folder: it is ours and so are we, or it is open to everyone. */
export function isReachableBy(user: RunAs, folder: string): boolean {
  return !('uid' in user) || isOpenToOthers(folder)
}

/** A folder below which that user reaches its own files. Root's TMPDIR may be closed to others. */
function reachableTemporaryFolder(user: RunAs): string {
  const folder = realpathSync(tmpdir())
  return isReachableBy(user, folder) ? folder : '/tmp'
}

function isOpenToOthers(folder: string): boolean {
  const executableByOthers = 0o001
  for (let each = resolve(folder); ; each = dirname(each)) {
    if ((statSync(each).mode & executableByOthers) === 0) return false
    if (each === dirname(each)) return true
  }
}

/**
 * Owns: programs that come in an archive on the web: downloaded once, checked, unpacked in part.
 * Promises: exactly the bytes whose sha256 is pinned here; a folder that is there is complete, also
 * when several processes want it at once, or one is killed in the middle: it gets its name last.
 * Never: unpacks a path that was not asked for; downloads again what is there.
 *
 * The folder is in the user's cache, not in node_modules, so that it outlives `npm ci` and a fresh
 * clone: these archives are large.
 */
import { createHash, randomBytes } from 'node:crypto'
import { createWriteStream, existsSync } from 'node:fs'
import { chmod, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Entry, openPromise, type ZipFile } from 'yauzl'
import { isReachableBy, type RunAs } from './run-as.ts'

export interface Archive {
  /** Such as `mariadb-11.4.5`: the beginning of the folder's name. */
  readonly name: string
  /** Of a zip file. */
  readonly url: string
  readonly sha256: string
  readonly megabytes: number
  /** The folder of the archive that is unpacked, with its slash, or ''. */
  readonly root: string
  /** Paths below it that are needed. */
  readonly files: readonly string[]
  /** Those that are executed. */
  readonly programs: readonly string[]
}

const downloadTimeoutMs = 30 * 60_000
/** Nobody downloads for longer: the process was killed. */
const abandonedAfterMs = 2 * downloadTimeoutMs

const unpacking = new Map<string, Promise<string>>()

/** The folder with the files, downloaded if it isn't there. */
export function unpackedArchive(archive: Archive, user: RunAs): Promise<string> {
  let folder = unpacking.get(archive.url)
  if (folder === undefined) {
    folder = unpackOnce(archive, user)
    unpacking.set(archive.url, folder)
  }
  return folder
}

async function unpackOnce(archive: Archive, user: RunAs): Promise<string> {
  const cache = await cacheFolder(user)
  const folder = join(cache, `${archive.name}-${fingerprint(archive)}`)
  if (existsSync(folder)) return folder
  await sweep(cache)
  const partial = join(cache, `partial-${randomBytes(6).toString('hex')}`)
  await makeFolder(partial)
  try {
    const zip = join(partial, 'archive.zip')
    await download(archive, zip)
    await unpack(archive, zip, partial)
    await rm(zip)
    await rename(partial, folder).catch((error: unknown) => {
      // Another process was faster; what it made is the same.
      if (!existsSync(folder)) throw error
    })
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return folder
}

/** The usual one, if the servers' user can enter it: root's home is mostly closed to others. */
async function cacheFolder(user: RunAs): Promise<string> {
  const given = process.env['XDG_CACHE_HOME'] ?? ''
  const usual = given === '' ? join(homedir(), '.cache') : given
  await mkdir(usual, { recursive: true })
  const cache = join(isReachableBy(user, usual) ? usual : '/var/cache', 'assent')
  if (!existsSync(cache)) await makeFolder(cache)
  return cache
}

/** Of all that decides what the folder has, so that a change here is never served an old one. */
function fingerprint(archive: Archive): string {
  return createHash('sha256').update(JSON.stringify(archive)).digest('hex').slice(0, 12)
}

async function download({ name, url, sha256, megabytes }: Archive, to: string): Promise<void> {
  process.stderr.write(`Downloading ${name}, once (${megabytes} MB) …\n`)
  const hash = createHash('sha256')
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(downloadTimeoutMs) })
    if (!answer.ok || answer.body === null) throw new Error(`status ${answer.status}`)
    const bytes = Readable.fromWeb(answer.body)
    bytes.on('data', (chunk: Buffer) => hash.update(chunk))
    await pipeline(bytes, createWriteStream(to))
  } catch (cause) {
    // fetch itself says only "fetch failed".
    const reason = (((cause as Error).cause ?? cause) as Error).message
    throw new Error(`${url} could not be downloaded: ${reason}`, { cause })
  }
  const got = hash.digest('hex')
  if (got !== sha256) throw new Error(`${url} has the sha256 ${got}, expected ${sha256}`)
}

async function unpack(archive: Archive, path: string, folder: string): Promise<void> {
  const missing = new Set([...archive.files, ...archive.programs])
  const zip = await openPromise(path, { lazyEntries: true, autoClose: false })
  try {
    await eachEntry(zip, async (entry) => {
      if (!entry.fileName.startsWith(archive.root)) return
      const file = entry.fileName.slice(archive.root.length)
      // Only what was asked for by its very name is written, so no name leads out of the folder.
      if (!missing.delete(file)) return
      const target = join(folder, file)
      await makeFolder(dirname(target))
      await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(target))
      await chmod(target, archive.programs.includes(file) ? 0o755 : 0o644)
    })
  } finally {
    zip.close()
  }
  if (missing.size > 0) throw new Error(`${archive.url} lacks ${[...missing].join(', ')}`)
}

async function eachEntry(zip: ZipFile, visit: (entry: Entry) => Promise<void>): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    zip.on('error', reject)
    zip.on('end', resolve)
    zip.on('entry', (entry: Entry) => {
      visit(entry).then(() => {
        zip.readEntry()
      }, reject)
    })
    zip.readEntry()
  })
}

/** Whatever our umask is, the servers' user has to enter. */
async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await chmod(folder, 0o755)
}

/** Removes what processes that were killed have left. */
async function sweep(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (!name.startsWith('partial-')) continue
    const path = join(cache, name)
    const changed = await stat(path).catch(() => undefined) // Its owner may just be done.
    if (changed === undefined || Date.now() - changed.mtimeMs < abandonedAfterMs) continue
    await rm(path, { recursive: true, force: true })
  }
}

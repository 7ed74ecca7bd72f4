/**
 * Owns: the proof of what fetched-archive.ts promises, on a small archive and a server of our own.
 */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Archive } from './fetched-archive.ts'

/** A zip file: root/bin/tool (prints `it runs`), root/words.txt (`words`) and root/unwanted. */
const zip = Buffer.from(
  [
    'UEsDBAoAAAAAAGt2fl2Osm4AFwAAABcAAAANAAAAcm9vdC9iaW4vdG9vbCMhL2Jpbi9zaAplY2hvIGl0IHJ1bnMKUEsD',
    'BAoAAAAAAGt2fl2GtKjWBgAAAAYAAAAOAAAAcm9vdC93b3Jkcy50eHR3b3JkcwpQSwMECgAAAAAAa3Z+XU6huL8DAAAA',
    'AwAAAA0AAAByb290L3Vud2FudGVkbm8KUEsBAh4DCgAAAAAAa3Z+XY6ybgAXAAAAFwAAAA0AAAAAAAAAAQAAAKSBAAAA',
    'AHJvb3QvYmluL3Rvb2xQSwECHgMKAAAAAABrdn5dhrSo1gYAAAAGAAAADgAAAAAAAAABAAAApIFCAAAAcm9vdC93b3Jk',
    'cy50eHRQSwECHgMKAAAAAABrdn5dTqG4vwMAAAADAAAADQAAAAAAAAABAAAApIF0AAAAcm9vdC91bndhbnRlZFBLBQYA',
    'AAAAAwADALIAAACiAAAAAAA=',
  ].join(''),
  'base64',
)
const sha256 = '91fee769eb75cf200215159edfe73d0241f01a253b47f8862654dc44a1d93547'

let web: Server
let archive: Archive
let requests = 0
let cache: string

beforeEach(async () => {
  requests = 0
  web = createServer((_request, response) => {
    requests += 1
    response.end(zip)
  })
  web.listen({ host: '127.0.0.1', port: 0 })
  await once(web, 'listening')
  const url = `http://127.0.0.1:${(web.address() as AddressInfo).port}/a.zip`
  const wanted = { root: 'root/', files: ['words.txt'], programs: ['bin/tool'] }
  archive = { name: 'small-1', url, sha256, megabytes: 0, ...wanted }
  cache = mkdtempSync(join(tmpdir(), 'assent-cache-'))
  vi.stubEnv('XDG_CACHE_HOME', cache)
})

afterEach(() => {
  vi.unstubAllEnvs()
  web.close()
  rmSync(cache, { recursive: true })
})

test('unpacks what was asked for and nothing else, and programs run', async () => {
  const folder = await inAnotherProcess(archive)
  expect(readdirSync(folder).sort()).toEqual(['bin', 'words.txt'])
  expect(readFileSync(join(folder, 'words.txt'), 'utf8')).toBe('words\n')
  expect(spawnSync(join(folder, 'bin/tool'), { encoding: 'utf8' }).stdout).toBe('it runs\n')
})

test('what is there is not downloaded again', async () => {
  const folder = await inAnotherProcess(archive)
  expect(await inAnotherProcess(archive)).toBe(folder)
  expect(requests).toBe(1)
})

test('several processes that want it at once all get it, and nothing else is left', async () => {
  const processes = [await anotherProcess(), await anotherProcess(), await anotherProcess()]
  const folders = await Promise.all(processes.map((fetched) => fetched(archive, {})))
  expect(new Set(folders).size).toBe(1)
  expect(requests).toBe(3)
  expect(readdirSync(join(cache, 'assent'))).toHaveLength(1)
})

test.each([
  ['other bytes', { sha256: sha256.replace('9', '8') }, /has the sha256 91fee.*, expected 81fee/],
  ['a missing file', { files: ['gone.txt'] }, /lacks gone.txt/],
])('%s: an error, and nothing is left', async (_, change, message) => {
  await expect(inAnotherProcess({ ...archive, ...change })).rejects.toThrow(message)
  expect(readdirSync(join(cache, 'assent'))).toEqual([])
})

async function inAnotherProcess(wanted: Archive): Promise<string> {
  return (await anotherProcess())(wanted, {})
}

/** A process remembers what it has fetched: this is one that remembers nothing. */
async function anotherProcess() {
  vi.resetModules()
  return (await import('./fetched-archive.ts')).unpackedArchive
}

/**
 * What `assent doctor` says of real servers, each as no database should be; docs/operate/doctor.md has the whole
 * answers.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { MariadbServer } from '../../harness/mariadb-server.ts'
import { mysql56Folder } from '../../harness/mysql56.ts'
import { root } from '../docs/markdown.ts'
import { assent, json } from '../support/command-line.ts'
import type { Ended } from '../support/command-line.ts'
import { freshDatabase } from '../support/databases.ts'
import { ownMariadb } from '../support/mariadb-databases.ts'
import { ReplicatedServer } from '../support/replicated-server.ts'

const examine = (url: string, ...more: readonly string[]): Promise<Ended> =>
  assent(['doctor', '--app', 'shop', '--participant', 'orders=env:ORDERS_URL', ...more], {
    env: { ORDERS_URL: url },
  })

/** A server of each kind, the exit code, and the first thing to do. */
const SERVERS: readonly (readonly [string, () => Promise<string>, number, RegExp])[] = [
  [
    'PostgreSQL without two-phase commit',
    () => Promise.resolve(inject('servers').unprepared),
    4,
    /^1\. orders \(advice\): max_prepared_transactions is 0: it can decide/m,
  ],
  [
    'a replica',
    async () => {
      const replicated = await ReplicatedServer.start('asynchronous')
      const { name } = await replicated.database()
      await replicated.caughtUp()
      return replicated.replica.url(name)
    },
    9,
    /^1\. orders \(must change\): it is a read-only replica\.\n {3}Connect to the primary/m,
  ],
  [
    'MariaDB with a binary log',
    () => Promise.resolve(inject('mariadbServers').mariaBinlog),
    4,
    /MDEV-21469, MDEV-31949, MDEV-32830/,
  ],
  [
    'MariaDB with relaxed flushing',
    async () => (await ownMariadb('relaxed', { innodb_flush_log_at_trx_commit: '2' })).url(),
    9,
    /^1\. orders \(must change\): innodb_flush_log_at_trx_commit is 2, .*\n {3}Run SET GLOBAL/m,
  ],
  [
    'MySQL 5.6',
    async () => {
      const binaries = await mysql56Folder()
      const server = await MariadbServer.create({ name: 'mysql56', binaries })
      onTestFinished(() => server.remove())
      await server.start()
      return server.url()
    },
    9,
    /ASSENT_UNSUPPORTED: Participant orders is mysql 5\.6\.14\. Assent needs MySQL 8\.0\.30/,
  ],
  [
    'wrong credentials',
    () => Promise.resolve(inject('servers').first.replace(/:[^:@/]*@/, ':secret@')),
    9,
    /^1\. orders \(must change\): PostgreSQL refused the connection: .*\n {3}Check the user/m,
  ],
  [
    'no server',
    () => Promise.resolve('mariadb://shop:secret@127.0.0.1:1/orders'),
    9,
    /ASSENT_UNREACHABLE: Participant orders: no connection could be had/,
  ],
]

test.each(SERVERS)(
  'doctor says what to change first: %s',
  async (_, open, code, says) => {
    const url = await open()
    const examined = await examine(url)
    expect(examined).toMatchObject({ code, errors: '' })
    expect(examined.out).toMatch(says)
    expect(examined.out).not.toContain('secret')
    expect(examined.out).not.toContain(new URL(url).password)
  },
  600_000,
)

test('doctor creates nothing, and measures a forced write once the tables are there', async () => {
  const database = await freshDatabase('first')
  const tables = "select to_regclass('assent.mark') is not null as there"
  const before = json(await examine(database.url, '--json'))
  expect(before).toMatchObject({ participants: { orders: { canPrepare: true } } })
  expect(await database.sql(tables)).toEqual([{ there: false }])
  await assent(['migrate', '--app', 'shop', '--participant', 'orders=env:URL'], {
    env: { URL: database.url },
  })
  const after = json(await examine(database.url, '--json'))
  expect(after).toMatchObject({
    participants: { orders: { forcedWriteMs: expect.any(Number) as number } },
  })
})

describe('a configuration file', () => {
  test('in TypeScript, shared with the program, is found and may be a function', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'assent-config-'))
    onTestFinished(() => {
      rmSync(folder, { recursive: true })
    })
    mkdirSync(path.join(folder, 'node_modules'))
    symlinkSync(root, path.join(folder, 'node_modules/assent'))
    symlinkSync(path.join(root, 'node_modules/pg'), path.join(folder, 'node_modules/pg'))
    const { url } = await freshDatabase('first')
    writeFileSync(path.join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(
      path.join(folder, 'assent.config.ts'),
      `import pg from 'pg'
import { defineConfig } from 'assent'
import { pg as participant } from 'assent/pg'

export default async () => {
  const pool = new pg.Pool({ connectionString: process.env['URL'] as string })
  await pool.query('select 1') // still open at the end: it does not keep the command alive
  return defineConfig({ app: 'shop', participants: { orders: participant(pool) } })
}
`,
    )
    const listed = await assent(['list'], { folder, env: { URL: url } })
    expect(listed).toEqual({
      code: 0,
      out: 'Nothing of app shop is prepared in orders.\n',
      errors: '',
    })
  })
})

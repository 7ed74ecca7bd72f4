/**
 * `assent demo`, on real servers: what it promises of databases of the user's own.
 */
import { expect, test } from 'vitest'
import { assent, json } from '../support/command-line.ts'
import type { Ended } from '../support/command-line.ts'
import { freshDatabase } from '../support/databases.ts'
import { freshApp, openStore } from '../support/pairs.ts'
import type { Kind, Store } from '../support/pairs.ts'

const TABLES = `select count(*) as count from information_schema.tables
  where table_name like 'assent_demo%'`

function demo(app: string, urls: Readonly<Record<string, string>>, ...more: string[]) {
  const named = Object.entries(urls).flatMap(([name, url]) => ['--participant', `${name}=${url}`])
  return assent(['demo', '--app', app, '--time', '4s', ...named, ...more])
}

async function tablesIn({ sql }: Pick<Store, 'sql'>): Promise<number> {
  const [row] = await sql(TABLES)
  return Number(row?.['count'])
}

test.for<readonly [Kind, Kind]>([
  ['postgres', 'postgres'],
  ['mariadb by mysql2', 'postgres'],
  ['mariadb by mariadb', 'mariadb with a binary log'],
])(
  'on %s and %s: processes are killed, nothing disagrees, and nothing is left',
  async ([first, second]) => {
    const app = freshApp()
    const stores = [await openStore(first, app), await openStore(second, app)] as const
    const urls = { a: stores[0].reached.url, b: stores[1].reached.url }
    const schema = stores.map(({ reached }) => reached.schema).find((name) => name !== undefined)
    const ended = await demo(app, urls, '--json', ...(schema ? ['--schema', schema] : []))
    expect(ended).toMatchObject({ code: 0, errors: '' })
    const { told, killed, moved, disagreements } = json(ended) as unknown as {
      told: Record<'committed' | 'nothing', number>
      killed: { all: number; busy: number }
      moved: number
      disagreements: readonly string[]
    }
    expect(disagreements).toEqual([])
    expect(killed.all).toBeGreaterThan(3)
    expect(killed.busy).toBeGreaterThan(0)
    expect(told.committed).toBeGreaterThan(0)
    expect(moved).toBeGreaterThanOrEqual(told.committed)
    for (const store of stores) {
      expect(await store.prepared(app)).toEqual([])
      expect(await tablesIn(store)).toBe(0)
    }
  },
)

test('it refuses to touch tables that are there, and says what it can’t do without', async () => {
  const [a, b] = [await freshDatabase('first'), await freshDatabase('second')]
  await b.sql('create table assent_demo_accounts (id int primary key, coins bigint)')
  await b.sql('insert into assent_demo_accounts values (0, 7)')
  const refused: Ended = await demo(freshApp(), { a: a.url, b: b.url })
  expect(refused).toMatchObject({ code: 7, out: '' })
  expect(refused.errors).toMatch(/^assent: b has tables of this name already\. .*\n$/)
  expect(await b.sql('select * from assent_demo_accounts')).toEqual([{ id: 0, coins: '7' }])
  expect(await tablesIn(a)).toBe(0)

  const unable = [await freshDatabase('unprepared'), await freshDatabase('unprepared')] as const
  const ended = await demo(freshApp(), { a: unable[0].url, b: unable[1].url })
  expect(ended).toMatchObject({ code: 7 })
  expect(ended.errors).toMatch(/^assent: nothing could be moved: .*assent doctor says more\n$/)
  for (const each of unable) expect(await tablesIn(each)).toBe(0)
})

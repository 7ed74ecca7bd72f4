/**
 * The other tests prove something of the versions that they ran on, so those are told exactly, and
 * are the ones that were asked for.
 */
import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import pg from 'pg'
import { packageFolder } from '../../harness/on-demand.ts'
import { freshDatabase } from '../support/databases.ts'

const { ASSENT_POSTGRES, ASSENT_DRIVER, ASSENT_NODE } = process.env

test.runIf(ASSENT_POSTGRES === undefined || /^\d+$/.test(ASSENT_POSTGRES))(
  `runs on PostgreSQL ${ASSENT_POSTGRES ?? 18}`,
  async () => {
    const told = new Set<string>()
    for (const server of ['first', 'second', 'unprepared'] as const) {
      const database = await freshDatabase(server)
      const [row] = await database.sql('show server_version')
      const version = String(row?.['server_version'])
      told.add(version)
      expect(version.split('.')[0]).toBe(ASSENT_POSTGRES ?? '18')
    }
    console.log(`PostgreSQL ${[...told].join(', ')}`)
  },
)

test(`runs on node-postgres ${ASSENT_DRIVER ?? 'of the development dependencies'}`, () => {
  const here = createRequire(import.meta.url)
  const folder = ASSENT_DRIVER ? packageFolder('drivers', `pg-${ASSENT_DRIVER}`) : 'pg'
  const { version } = here(`${folder}/package.json`) as { version: string }
  console.log(`pg ${version}`)
  expect(pg.Client).toBe((here(folder) as typeof pg).Client)
  expect(version.startsWith(`${ASSENT_DRIVER ?? version.split('.', 2).join('.')}.`)).toBe(true)
})

test(`runs on Node ${ASSENT_NODE ?? 'of the development dependencies'}`, () => {
  console.log(`Node ${process.versions.node}`)
  expect(process.versions.node.split('.')[0]).toBe(ASSENT_NODE ?? '24')
})

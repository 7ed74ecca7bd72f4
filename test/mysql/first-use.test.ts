/**
 * First use creates Assent's tables. DDL is no transaction on MySQL and MariaDB, so whoever creates
 * them can be killed between any two statements.
 */
import { expect, onTestFinished, test } from 'vitest'
import { mysql2 } from 'assent/mysql2'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { schemaNames, schemaStatements } from '../../src/systems/mysql/schema.ts'
import { freshMariadb } from '../support/mariadb-databases.ts'
import { freshApp } from '../support/pairs.ts'

const TABLES = ['mark', 'epoch', 'server', 'resolution']

test('tables whose creation was cut short anywhere are completed by the next first use', async () => {
  const database = await freshMariadb('maria')
  const { name: schema, pool } = database
  const sql = (text: string) => database.sql(text)
  const statements = schemaStatements(schemaNames(schema))
  for (const run of statements.keys()) {
    await sql(`DROP TABLE IF EXISTS ${TABLES.join(', ')}`)
    for (const statement of statements.slice(0, run)) await sql(statement)

    const context = { app: freshApp(), name: 'stock', world: nodeWorld, retentionMs: 86_400_000 }
    const stock = mysql2(pool, { schema }).open(context)
    onTestFinished(() => stock.close())
    await stock.readyToMark()
    const tables = await sql('SHOW TABLES')
    expect(tables.flatMap((row) => Object.values(row))).toEqual(expect.arrayContaining(TABLES))
    expect(await sql('SELECT version FROM server')).toEqual([{ version: 1 }])
    expect(await sql('SELECT txid FROM mark')).toEqual([{ txid: '-' }])
  }
})

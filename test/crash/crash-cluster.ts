/**
 * Owns: the servers of a crash test, one for each participant.
 * Never: uses Assent, so what it reports is a witness of its own.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installExitCleanup } from '../../harness/exit-cleanup.ts'
import { startDatabase } from './crash-database.ts'
import type { Database, DatabaseSpec } from './crash-database.ts'

export class CrashCluster {
  readonly databases: readonly Database[]
  /** For what the owners write down. */
  readonly folder = mkdtempSync(join(tmpdir(), 'assent-crash-'))
  #items = 0

  static async start(specs: readonly DatabaseSpec[]): Promise<CrashCluster> {
    installExitCleanup()
    return new CrashCluster(await Promise.all(specs.map(startDatabase)))
  }

  private constructor(databases: readonly Database[]) {
    this.databases = databases
  }

  database(name: string): Database {
    const found = this.databases.find((database) => database.name === name)
    if (found === undefined) throw new Error(`no database ${name}`)
    return found
  }

  /** A fresh item, of which every database has one. */
  async newItem(): Promise<string> {
    this.#items += 1
    const item = `item-${this.#items}`
    await Promise.all(this.databases.map((each) => each.addItems([item, `${item}-warm-up`])))
    return item
  }

  /** What is prepared, by database: `stock A1.…`. Read on every server as a whole. */
  async prepared(): Promise<readonly string[]> {
    const lists = await Promise.all(
      this.databases.map(async (each) => (await each.prepared()).map((id) => `${each.name} ${id}`)),
    )
    return lists.flat()
  }

  async remove(): Promise<void> {
    await Promise.all(this.databases.map((database) => database.close()))
    rmSync(this.folder, { recursive: true, force: true })
  }
}

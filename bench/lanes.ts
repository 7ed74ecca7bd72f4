/**
 * The contenders, each in a process of its own.
 *
 * Why: an engine compiles code for what it has seen. In one process everybody's code would be compiled
 * for what all the others do, and be slower than in any program; most for whoever has most of it.
 *
 * Owns: those processes.
 * Promises: they stay for all settings of a run, so what was compiled once stays so.
 */
import { startChild } from './child-process.ts'
import type { Child } from './child-process.ts'
import type { ContenderName } from './contenders.ts'
import type { LaneOrder, Told } from './lane-process.ts'
import type { Race } from './race.ts'
import type { Urls } from './workload.ts'

export class Lanes {
  readonly names: readonly ContenderName[]
  readonly #children: ReadonlyMap<ContenderName, Child>

  constructor(names: readonly ContenderName[]) {
    this.names = names
    this.#children = new Map(
      names.map((name) => {
        const order: LaneOrder = { name }
        return [name, startChild('./lane-process.ts', order)] as const
      }),
    )
  }

  /** Opens everybody's connections there, uses them, and closes them. */
  async on<T>(urls: Urls, use: () => Promise<T>): Promise<T> {
    await this.#tellAll({ open: urls })
    const used = await use()
    await this.#tellAll({ close: true })
    return used
  }

  async race(name: ContenderName, atOnce: number, durationMs: number): Promise<Race> {
    return JSON.parse(await this.#tell(name, { race: { atOnce, durationMs } })) as Race
  }

  /** Each closes what it has open, and ends. */
  async end(): Promise<void> {
    await Promise.all([...this.#children.values()].map((child) => child.end()))
  }

  async #tellAll(told: Told): Promise<void> {
    await Promise.all(this.names.map((name) => this.#tell(name, told)))
  }

  #tell(name: ContenderName, told: Told): Promise<string> {
    const child = this.#children.get(name)
    if (child === undefined) throw new Error(`${name} has no lane`)
    child.tell(JSON.stringify(told))
    return child.line()
  }
}

/**
 * An exhaustive search, breadth first, over whatever has moves.
 *
 * Owns: the queue, the set of worlds already seen, and the way that led to each.
 * Promises: every world that can be reached is looked at once, unless `limit` stops the search, and
 * then `drained` says so; a schedule that breaks a promise is as short as any.
 * Never: knows what a world is.
 */

export interface Move<World> {
  readonly label: string
  readonly world: World
  /** A `fault` may never come: a world in which only faults can follow is quiet. */
  readonly kind: 'progress' | 'fault'
}

/** Collects what can happen next. */
export class Moves<World> {
  readonly all: Move<World>[] = []
  progress(label: string, world: World | undefined): void {
    if (world !== undefined) this.all.push({ label, world, kind: 'progress' })
  }
  fault(label: string, world: World | undefined): void {
    if (world !== undefined) this.all.push({ label, world, kind: 'fault' })
  }
}

export interface System<World> {
  readonly initial: World
  readonly moves: (world: World) => readonly Move<World>[]
  /** Two worlds with the same key behave alike. */
  readonly key: (world: World) => string
  /** The promise that this world breaks. */
  readonly broken: (world: World) => string | undefined
  /** The promise that it breaks by being quiet. */
  readonly brokenWhenQuiet: (world: World) => string | undefined
}

export interface Violation {
  readonly promise: string
  readonly schedule: readonly string[]
}

export interface Exploration {
  readonly states: number
  readonly transitions: number
  readonly depth: number
  readonly quiet: number
  readonly seconds: number
  readonly drained: boolean
  readonly violation: Violation | undefined
  /** Every kind of event that led to a new world. */
  readonly events: ReadonlySet<string>
}

/** Where each world came from: enough to tell the way to it without keeping the world. */
class Trail {
  readonly #parents: number[] = []
  readonly #labels: string[] = []
  readonly #words = new Map<string, string>()

  add(parent: number, label: string): number {
    const word = this.#words.get(label) ?? label
    if (word === label) this.#words.set(label, word)
    this.#labels.push(word)
    return this.#parents.push(parent) - 1
  }

  events(): ReadonlySet<string> {
    return new Set(this.#words.keys())
  }

  schedule(index: number): readonly string[] {
    const labels: string[] = []
    for (let at = index; at > 0; at = this.#parents[at] ?? 0) labels.unshift(this.#labels[at] ?? '')
    return labels
  }
}

export function explore<World>(system: System<World>, limit: number): Exploration {
  const started = performance.now()
  const seen = new Set<string>([system.key(system.initial)])
  const trail = new Trail()
  let frontier: [number, World][] = [[trail.add(0, 'the beginning'), system.initial]]
  const count = { transitions: 0, depth: 0, quiet: 0 }
  const end = (drained: boolean, promise?: string, index = 0): Exploration => ({
    ...count,
    states: seen.size,
    seconds: (performance.now() - started) / 1_000,
    drained,
    events: trail.events(),
    violation: promise === undefined ? undefined : { promise, schedule: trail.schedule(index) },
  })

  while (frontier.length > 0) {
    const following: [number, World][] = []
    for (const [index, world] of frontier) {
      const moves = system.moves(world)
      if (moves.every((move) => move.kind === 'fault')) {
        count.quiet += 1
        const promise = system.brokenWhenQuiet(world)
        if (promise !== undefined) return end(false, promise, index)
      }
      for (const move of moves) {
        count.transitions += 1
        const key = system.key(move.world)
        if (seen.has(key)) continue
        if (seen.size >= limit) return end(false)
        seen.add(key)
        const added = trail.add(index, move.label)
        const promise = system.broken(move.world)
        if (promise !== undefined) return end(false, promise, added)
        following.push([added, move.world])
      }
    }
    if (following.length > 0) count.depth += 1
    frontier = following
  }
  return end(true)
}

/** One line with the numbers, and the numbered schedule if there is one. */
export function describeExploration(name: string, found: Exploration): string {
  const { states, transitions, depth, quiet, seconds, drained, violation } = found
  const numbers =
    `${states.toLocaleString('en')} states, ${transitions.toLocaleString('en')} transitions, ` +
    `depth ${depth}, ${quiet.toLocaleString('en')} quiet, ${seconds.toFixed(1)} s`
  if (violation === undefined) {
    return `${name}: ${numbers}, ${drained ? 'drained' : 'NOT drained'}, no promise broken`
  }
  const steps = violation.schedule.map((label, at) => `  ${String(at + 1).padStart(2)}. ${label}`)
  return [
    `${name}: broken after ${violation.schedule.length} steps: ${violation.promise} (${numbers})`,
    ...steps,
  ].join('\n')
}

/**
 * The exploration of two-phase commit, recovery and forgetting: the model's parts, put together.
 */
import type { forgetting, recovery, twoPhase, witness } from '../../src/protocol/index.ts'
import { MOST_STATES } from './bounds.ts'
import type { Bounds } from './bounds.ts'
import { explore } from './explore.ts'
import type { Exploration } from './explore.ts'
import { movesOf } from './moves.ts'
import { PROMISES, Settle, brokenPromise, brokenWhenQuiet } from './promises.ts'
import type { PromiseName } from './promises.ts'
import { machinesOf } from './rules.ts'
import type { Rules } from './rules.ts'
import { initialWorld, keyOf } from './world.ts'

const ALL: ReadonlySet<PromiseName> = new Set(Object.keys(PROMISES) as PromiseName[])

export interface Explored extends Exploration {
  /** Every state that a machine was seen in. */
  readonly owners: readonly twoPhase.TwoPhaseState[]
  readonly recoveries: readonly recovery.RecoveryState[]
  readonly forgettings: readonly forgetting.ForgettingState[]
  readonly looks: readonly witness.WitnessState[]
}

export function exploreProtocol(
  rules: Rules,
  bounds: Bounds,
  promises: ReadonlySet<PromiseName> = ALL,
): Explored {
  const machines = machinesOf(rules)
  const settle = new Settle()
  const found = explore(
    {
      initial: initialWorld(bounds, machines),
      moves: (world) => movesOf(world, machines),
      key: keyOf,
      broken: (world) => brokenPromise(world, machines, settle, promises),
      brokenWhenQuiet: (world) => brokenWhenQuiet(world, machines, bounds, promises),
    },
    MOST_STATES,
  )
  return {
    ...found,
    owners: machines.owner.states(),
    recoveries: machines.recovery.states(),
    forgettings: machines.forgetting.states(),
    looks: machines.witness.states(),
  }
}

/**
 * What one party would do whom nothing disturbs, once everybody else has stopped.
 *
 * Owns: the end that every branch comes to when it is left alone; an undisturbed round of recovery,
 * pass of forgetting, and look of the witness.
 * Promises: the machines are those of the exploration, with its planted faults if there are any.
 */
import { forgetting, recovery, witness } from '../../src/protocol/index.ts'
import type { RecoveryMessage, WitnessMessage } from '../../src/protocol/index.ts'
import { afterSession, finished, holdsKey, shownRow, showsMark } from './database.ts'
import type { BranchWord, Site } from './database.ts'
import { isRemembered, isShown, wholeEpoch } from './epochs.ts'
import type { Machines } from './rules.ts'
import { askAnswerOf, foundWord } from './words.ts'
import type { AskWord } from './words.ts'
import type { World } from './world.ts'

/** Two databases without anybody, in which a pass changes what it changes at once. */
export interface Still {
  readonly branches: Record<Site, BranchWord>
  readonly memory: 'remembered' | 'forgotten'
  readonly epoch: 'listed' | 'unlisted'
}

export function leftAlone(world: World, machines: Machines): Still {
  const still: World = { ...world, epoch: wholeEpoch(world.epoch) }
  return {
    branches: { D: endOf(world.branches.D), P: endOf(world.branches.P) },
    memory: isRemembered(still, machines) ? 'remembered' : 'forgotten',
    epoch: isShown(still.epoch) ? 'listed' : 'unlisted',
  }
}

function endOf(branch: BranchWord): BranchWord {
  const alone = afterSession(branch)
  return finished(alone) ?? alone
}

function asked({ branches, memory }: Still, site: Site): ReturnType<typeof askAnswerOf> {
  return askAnswerOf(wordOf(branches[site], memory))
}

function wordOf(branch: BranchWord, memory: Still['memory']): AskWord {
  const row = shownRow(branch)
  if (row !== 'nothing') return foundWord(row)
  if (holdsKey(branch)) return 'waits'
  return memory === 'remembered' ? 'absent' : 'forgotten'
}

// --- recovery ---------------------------------------------------------------------------------

/** Changes `still` as it goes. */
export function recover(still: Still, machines: Machines): void {
  const { recoveryStep } = machines.rules
  let { state, effects } = recoveryStep(recovery.LISTED, { type: 'start' })
  for (let message = effects[0]; message !== undefined && state.verdict === 'open';) {
    ;({ state, effects } = recoveryStep(state, recoveryAnswer(message, still)))
    message = effects[0]
  }
}

function recoveryAnswer(message: RecoveryMessage, still: Still): recovery.RecoveryEvent {
  switch (message) {
    case 'ask-register':
    case 'ask-register-again':
      return { type: 'register-asked', answer: asked(still, 'D') }
    case 'ask-receipt':
      return { type: 'receipt-asked', answer: asked(still, 'P') }
    case 'look-for-receipts':
      return { type: 'receipts-looked-for', answer: 'no receipt' }
    case 'commit-prepared':
    case 'rollback-prepared': {
      const { branches } = still
      const wasPrepared = branches.P === 'prepared'
      if (wasPrepared) branches.P = message === 'commit-prepared' ? 'committed' : 'gone'
      return { type: 'ended', answer: { answer: wasPrepared ? 'done' : 'missing' } }
    }
    case 'alarm-lost-vote':
      return { type: 'start' }
  }
}

// --- forgetting -------------------------------------------------------------------------------

/** Changes `still` as it goes. */
export function forget(still: Still, machines: Machines): forgetting.ForgettingState['verdict'] {
  const { forgettingStep } = machines.rules
  let { state, effects } = forgettingStep(forgetting.begin(['P']), { type: 'start' })
  while (state.verdict === 'open' && effects.length > 0) {
    const answers = effects.map((effect) => forgettingAnswer(effect.send, still))
    const sent: forgetting.ForgettingEffect[] = []
    for (const answer of answers) {
      ;({ state, effects } = forgettingStep(state, answer))
      sent.push(...effects)
    }
    effects = sent
  }
  return state.verdict
}

function forgettingAnswer(
  send: forgetting.ForgettingEffect['send'],
  still: Still,
): forgetting.ForgettingEvent {
  const { branches, epoch } = still
  const row = shownRow(branches.D)
  const participant = 'P'
  switch (send) {
    case 'read-decision': {
      const reading =
        row === 'nothing'
          ? ({ answer: 'gone' } as const)
          : ({ answer: 'found', decision: row, epoch } as const)
      return { type: 'decision-read', reading }
    }
    case 'read-receipt': {
      const answer = showsMark(branches.P) ? 'found' : 'not seen'
      return { type: 'receipt-read', participant, answer }
    }
    case 'ask-receipt':
      return { type: 'receipt-asked', participant, answer: asked(still, 'P') }
    case 'ask-register':
      return { type: 'register-asked', answer: asked(still, 'D') }
    case 'settle':
      if (row !== 'nothing') branches.D = 'settled'
      return { type: 'settled', answer: row === 'nothing' ? 'unknown' : 'done' }
    case 'forget-receipt':
      if (showsMark(branches.P)) branches.P = 'deleted'
      return { type: 'receipt-forgotten', participant, answer: 'done' }
    case 'forget-decision':
      if (row !== 'nothing') branches.D = 'deleted'
      return { type: 'decision-forgotten', answer: 'done' }
    case 'alarm-lost-vote':
      return { type: 'start' }
  }
}

// --- the witness ------------------------------------------------------------------------------

export function look(still: Still, machines: Machines): witness.WitnessState['verdict'] {
  const { witnessStep } = machines.rules
  let { state, effects } = witnessStep(witness.UNREAD, { type: 'start' })
  for (let message = effects[0]; message !== undefined && state.verdict === 'open';) {
    ;({ state, effects } = witnessStep(state, witnessAnswer(message, still)))
    message = effects[0]
  }
  return state.verdict
}

function witnessAnswer(message: WitnessMessage, still: Still): witness.WitnessEvent {
  switch (message) {
    case 'read-receipt': {
      const answer = showsMark(still.branches.P) ? 'found' : 'not seen'
      return { type: 'receipt-read', answer }
    }
    case 'ask-register':
      return { type: 'register-asked', answer: asked(still, 'D') }
    case 'ask-receipt-again':
      return { type: 'receipt-asked', answer: asked(still, 'P') }
    case 'alarm-lost-decision':
      return { type: 'start' }
  }
}

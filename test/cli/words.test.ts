import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { completionFor } from '../../src/cli/completion.ts'
import { adviseDecider } from '../../src/cli/decider-advice.ts'
import { EXIT_CODES, exitCodesText, worst } from '../../src/cli/exit-codes.ts'
import { isTooOld } from '../../src/cli/node-version.ts'
import { makeProgram } from '../../src/cli/program.ts'
import { durationOf } from '../../src/cli/words.ts'
import { planResolution } from '../../src/protocol/index.ts'
import type { AskAnswer, ResolutionFacts } from '../../src/protocol/index.ts'
import { read, table } from '../docs/markdown.ts'

describe('exit codes', () => {
  const page = read('docs/operate/command-line.md')

  test('are in the documentation as they are in the table', () => {
    expect(table(page, '| code | means |')).toEqual(
      Object.values(EXIT_CODES).map(({ code, meaning }) => [String(code), meaning]),
    )
    for (const { code, meaning } of Object.values(EXIT_CODES)) {
      expect(exitCodesText()).toContain(`${code}  ${meaning}\n`)
    }
  })

  test('differ, and of several the highest counts', () => {
    const codes = Object.values(EXIT_CODES).map(({ code }) => code)
    expect(new Set(codes).size).toBe(codes.length)
    expect(worst('stays', 'alarm', 'ok')).toBe('alarm')
  })

  test.each(makeProgram('0', () => undefined).commands.map((each) => each.name()))(
    '%s is documented',
    (name) => {
      expect(page).toMatch(new RegExp(`^## assent ${name}`, 'm'))
    },
  )
})

describe('completion', () => {
  const program = makeProgram('0', () => undefined)
  const hasBash = spawnSync('bash', ['--version']).status === 0

  test.runIf(hasBash).each([
    ['assent re', 'recover resolve restored'],
    ['assent resolve --re', '--reason --register-lost'],
    ['assent completion ', 'bash zsh --help'],
  ])('of %j in bash', (line, words) => {
    const typed = line.split(' ')
    const script = `${completionFor('bash', program)}
COMP_WORDS=(${typed.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${typed.length - 1}
_assent; echo "\${COMPREPLY[@]}"`
    const { stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' })
    expect({ stdout, stderr }).toEqual({ stdout: `${words}\n`, stderr: '' })
  })

  test('in zsh has every command and flag', () => {
    const script = completionFor('zsh', program)
    for (const command of program.commands) {
      expect(script).toContain(`'${command.name()}:`)
      for (const { long } of command.options) expect(script).toContain(`'${long ?? ''}:`)
    }
  })
})

test.each([
  [0, '0 ms'],
  [180, '180 ms'],
  [61_000, '1 min 1 s'],
  [7_200_000, '2 h'],
  [90_000_000, '1 d 1 h'],
  [Infinity, 'unknown'],
])('%d ms are %s', (ms, words) => {
  expect(durationOf(ms)).toBe(words)
})

describe('who should decide', () => {
  const pg = { name: 'orders', canPrepare: true, asDecider: 'no matter' } as const
  const maria = { name: 'stock', canPrepare: true, asDecider: 'better' } as const
  const unable = { name: 'vault', canPrepare: false, asDecider: 'no matter' } as const

  test.each([
    ['any of two PostgreSQL', [pg, { ...pg, name: 'other' }], undefined, undefined],
    ['MariaDB beside PostgreSQL', [pg, maria], undefined, "Set decider: 'stock'"],
    ['MariaDB, as it does', [pg, maria], 'stock', undefined],
    ['what can’t prepare, before all', [maria, unable], 'stock', "Set decider: 'vault'"],
    [
      'nobody, of two that can’t prepare',
      [unable, { ...unable, name: 'b' }],
      undefined,
      'Set max_',
    ],
  ] as const)('%s', (_, examined, decider, run) => {
    const [finding] = adviseDecider(examined, decider)
    expect(finding?.severity).toBe(run === undefined ? 'ok' : 'advice')
    if (run !== undefined)
      expect(finding).toMatchObject({ run: expect.stringContaining(run) as string })
  })
})

describe('a decision by hand', () => {
  const answers: readonly ResolutionFacts['register'][] = [
    { answer: 'not-configured' },
    { answer: 'unknown', cause: undefined },
    { answer: 'waits' },
    { answer: 'absent', memory: 'remembered' },
    { answer: 'absent', memory: 'forgotten' },
    ...(['commit', 'settled', 'abort', 'heuristic-commit', 'heuristic-abort'] as const).map(
      (decision): AskAnswer => ({ answer: 'found', decision }),
    ),
  ]
  const wishes = ['commit', 'abort'] as const
  const lists = [[], ['stock']] as const
  /** All that can be known, in every combination. */
  const all: readonly ResolutionFacts[] = answers.flatMap((register) =>
    wishes.flatMap((wish) =>
      (['expected', 'called lost'] as const).flatMap((registerIs) =>
        lists.flatMap((receipts) =>
          lists.flatMap((unread) =>
            lists.flatMap((prepared) =>
              (['allowed', 'of another owner'] as const).flatMap((ends) =>
                (['prepared', 'not prepared'] as const).map((decider) => {
                  const memory = receipts.length > 0 ? 'contradicted' : 'as it says'
                  const known = { wish, register, registerIs, receipts, memory, unread } as const
                  return { ...known, prepared, ends, decider }
                }),
              ),
            ),
          ),
        ),
      ),
    ),
  )

  test('never contradicts a register or a receipt, nor does what recovery can do', () => {
    let planned = 0
    for (const given of all) {
      const { plan } = planResolution(given)
      if (plan === 'refuse') continue
      planned += 1
      const { register, registerIs, receipts, unread, prepared, wish, ends, decider } = given
      const isHeld = register.answer === 'absent' && register.memory === 'forgotten'
      const isSilent = register.answer === 'unknown' || register.answer === 'not-configured'
      expect(plan).toBe(isHeld ? 'decide-there' : 'without-register')
      expect(isHeld || (isSilent && registerIs === 'called lost')).toBe(true)
      expect(wish === 'commit' || receipts.length === 0).toBe(true)
      expect(unread).toEqual([])
      expect(prepared).not.toEqual([])
      expect([ends, decider]).toEqual(['allowed', 'not prepared'])
    }
    expect([all.length, planned]).toEqual([1_280, 12])
  })

  test('is possible where a person is needed, both ways', () => {
    const held: ResolutionFacts = {
      wish: 'abort',
      register: { answer: 'absent', memory: 'forgotten' },
      registerIs: 'expected',
      receipts: [],
      memory: 'as it says',
      unread: [],
      prepared: ['stock'],
      ends: 'allowed',
      decider: 'not prepared',
    }
    expect(planResolution(held)).toEqual({ plan: 'decide-there' })
    expect(planResolution({ ...held, wish: 'commit' })).toEqual({ plan: 'decide-there' })
    const absent = { answer: 'absent', memory: 'remembered' } as const
    expect(planResolution({ ...held, register: absent, memory: 'contradicted' })).toEqual({
      plan: 'refuse',
      why: 'contradicted',
    })
    const lost = { answer: 'unknown', cause: undefined } as const
    expect(planResolution({ ...held, register: lost })).toEqual({
      plan: 'refuse',
      why: 'register-silent',
    })
  })
})

test.each([
  ['20.20.2', true],
  ['22.18.9', true],
  ['22.19.0', false],
  ['24.0.0', false],
])('Node %s is too old: %s', (running, expected) => {
  expect(isTooOld('>=22.19', running)).toBe(expected)
})

import { describe, expect, test } from 'vitest'
import { HELP, readArguments } from '../../bench/options.ts'
import { CONTENDER_NAMES, GUARANTEE_NAMES, PAIR_NAMES } from '../../bench/contenders.ts'

describe('the arguments of npm run bench', () => {
  test('none: everyone, everywhere, on servers of our own', () => {
    expect(readArguments([])).toEqual({
      kind: 'measure',
      options: {
        contenders: CONTENDER_NAMES,
        atOnce: [1, 16],
        addedMs: [0, 1, 10],
        rounds: undefined,
        pace: 'full',
        urls: new Map(),
        binlog: 'off',
        json: undefined,
        growth: 100_000,
      },
    })
  })

  test('all of them, as two words or as one', () => {
    const [orders, stock] = ['postgresql://a/b?x=1', 'postgres://c/d']
    const given = [
      '--only',
      'by-hand,assent-applied',
      '--at-once=4',
      '--round-trip',
      '0,2',
      '--quick',
    ]
    const more = ['--rounds=5', '--url', `orders=${orders}`, `--url=stock=${stock}`, '--json', 'f']
    expect(readArguments([...given, ...more])).toEqual({
      kind: 'measure',
      options: {
        contenders: ['by-hand', 'assent-applied'],
        atOnce: [4],
        addedMs: [0, 2],
        rounds: 5,
        pace: 'quick',
        urls: new Map([
          ['orders', orders],
          ['stock', stock],
        ]),
        binlog: 'off',
        json: 'f',
        growth: 100_000,
      },
    })
    expect(readArguments(['--profile']).kind).toBe('profile')
    expect(readArguments(['--growth', '2000'])).toMatchObject({
      kind: 'growth',
      options: { growth: 2_000 },
    })
    expect(readArguments(['--quick', '--help']).kind).toBe('help')
  })

  test('--guarantees: the whole ladder, next door; or some of its steps, elsewhere', () => {
    expect(readArguments(['--guarantees'])).toMatchObject({
      kind: 'guarantees',
      options: { contenders: GUARANTEE_NAMES, atOnce: [1, 16], addedMs: [0] },
    })
    const given = ['--guarantees', '--only=with-marks,assent-receipt', '--round-trip=1']
    expect(readArguments(given)).toMatchObject({
      kind: 'guarantees',
      options: { contenders: ['with-marks', 'assent-receipt'], addedMs: [1] },
    })
  })

  test('--pairs: PostgreSQL and MariaDB beside two of PostgreSQL, on servers of our own or given', () => {
    expect(readArguments(['--pairs'])).toMatchObject({
      kind: 'pairs',
      options: { contenders: PAIR_NAMES, addedMs: [0, 1, 10], binlog: 'off' },
    })
    const mariadb = 'mysql://a/b'
    const given = [
      '--pairs',
      '--binlog',
      '--only=by-hand,mixed-by-hand',
      `--url=mariadb=${mariadb}`,
    ]
    expect(readArguments(given)).toMatchObject({
      kind: 'pairs',
      options: {
        contenders: ['by-hand', 'mixed-by-hand'],
        urls: new Map([['mariadb', mariadb]]),
        binlog: 'on',
      },
    })
    for (const alone of [['--binlog'], [`--url=mariadb=${mariadb}`], ['--only=mixed-by-hand']]) {
      expect(readArguments(alone)).toMatchObject({ kind: 'wrong' })
    }
  })

  test('only those of the same table can be compared, and a profile can be taken of anyone', () => {
    for (const given of [['--only=with-marks'], ['--guarantees', '--only=by-hand']]) {
      expect(readArguments(given)).toMatchObject({ kind: 'wrong' })
    }
    for (const name of ['with-marks', 'by-hand'] as const) {
      expect(readArguments(['--profile', `--only=${name}`])).toMatchObject({
        kind: 'profile',
        options: { contenders: [name] },
      })
    }
  })

  test.each([
    [['--fast'], 'unknown argument "--fast"; --help lists what there is'],
    [['quick'], 'unknown argument "quick"; --help lists what there is'],
    [['--rounds'], '--rounds needs a value, and got nothing'],
    [['--rounds=0'], '--rounds needs whole numbers from 1 to 100, and got "0"'],
    [['--at-once', '1,x'], '--at-once needs whole numbers from 1 to 64, and got "x"'],
    [['--growth', '10'], '--growth needs whole numbers from 1000 to 1000000, and got "10"'],
    [['--round-trip', '0.5'], '--round-trip needs whole numbers from 0 to 100, and got "0.5"'],
    [['--url', 'orders=postgres://a/b'], '--url needs both, orders=… and stock=…, and got one'],
  ])('%j is refused with what is expected', (given, message) => {
    expect(readArguments(given)).toEqual({ kind: 'wrong', message })
  })

  test('an unknown contender is answered with those there are', () => {
    const reading = readArguments(['--only', 'by-hand,magic'])
    expect(reading).toMatchObject({ kind: 'wrong' })
    for (const name of ['"magic"', ...CONTENDER_NAMES]) {
      expect('message' in reading && reading.message).toContain(name)
    }
  })

  test('a url that is refused is not repeated: it may hold a password', () => {
    const reading = readArguments(['--url', 'order=postgres://me:secret@host/db'])
    expect(reading).toMatchObject({ kind: 'wrong' })
    expect(JSON.stringify(reading)).not.toContain('secret')
  })

  test('the help names every contender and fits a terminal', () => {
    for (const name of [...CONTENDER_NAMES, ...GUARANTEE_NAMES, ...PAIR_NAMES]) {
      expect(HELP).toContain(name)
    }
    expect(HELP.split('\n').filter((line) => line.length > 100)).toEqual([])
  })
})

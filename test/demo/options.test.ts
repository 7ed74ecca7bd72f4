import { describe, expect, test } from 'vitest'
import { HELP, readArguments } from '../../demo/options.ts'

describe('the arguments of npm start', () => {
  test('none: half a minute, over PostgreSQL alone', () => {
    expect(readArguments([])).toMatchObject({
      kind: 'run',
      options: { databases: ['postgres'], seconds: 30, workers: 4 },
    })
  })

  test('all of them, as two words or as one', () => {
    const given = ['--databases', 'postgres,mariadb', '--seconds=20', '--workers', '2', '--seed=7']
    expect(readArguments(given)).toEqual({
      kind: 'run',
      options: { databases: ['postgres', 'mariadb'], seconds: 20, workers: 2, seed: 7 },
    })
  })

  test.each([
    ['mariadb', ['mariadb']],
    ['mariadb,postgres', ['postgres', 'mariadb']],
  ])('--databases %s', (given, databases) => {
    expect(readArguments([`--databases=${given}`])).toMatchObject({ options: { databases } })
  })

  test.each([
    [['--databases', 'oracle'], '"oracle"'],
    [['--databases', 'postgres,oracle'], '"postgres,oracle"'],
    [['--databases', 'postgres,postgres'], '"postgres,postgres"'],
    [['--databases', 'postgres,'], '"postgres,"'],
    [['--databases='], '""'],
    [['--databases'], 'nothing'],
  ])('%j is refused with the systems that there are', (given, got) => {
    const message = `--databases needs postgres, mariadb or postgres,mariadb, and got ${got}`
    expect(readArguments(given)).toEqual({ kind: 'wrong', message })
  })

  test.each([
    [['--fast'], 'unknown argument "--fast"; --help lists what there is'],
    [['--seconds', '0'], '--seconds needs a whole number from 1 to 86400, and got "0"'],
    [['--seconds'], '--seconds needs a whole number from 1 to 86400, and got nothing'],
    [['--trace', '--databases', 'mariadb'], '--trace takes no other option'],
  ])('%j is refused with what is expected', (given, message) => {
    expect(readArguments(given)).toEqual({ kind: 'wrong', message })
  })

  test('the help says that MariaDB is downloaded, and fits a terminal', () => {
    expect(readArguments(['--seconds', '5', '--help'])).toEqual({ kind: 'help' })
    expect(HELP).toMatch(/--databases postgres,mariadb\n.*MariaDB.*downloaded.*once/s)
    expect(HELP.split('\n').filter((line) => line.length > 100)).toEqual([])
  })
})

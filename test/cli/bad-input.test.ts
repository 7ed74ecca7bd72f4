/**
 * What an operator gets wrong: one clear line on stderr, the right exit code, and nothing changed.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { EXIT_CODES } from '../../src/cli/exit-codes.ts'
import { assent } from '../support/command-line.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'assent-cli-'))
  const write = (name: string, text: string): void => {
    writeFileSync(path.join(folder, name), text)
  }
  write('broken.ts', 'export default {\n')
  write('throws.mjs', "throw new Error('the vault is closed\\nsecond line')\n")
  write('nothing.mjs', 'export const setting = {}\n')
  write('assent-object.mjs', 'export default { transaction: () => undefined }\n')
  write('broken.json', '{ "app": "shop", "participants": { "orders": "postgres://a:secret@b" ')
  write('unknown.json', '{ "app": "shop", "participants": {}, "retention": 1 }')
  write('scheme.json', '{ "app": "shop", "participants": { "orders": "oracle://a:secret@b/c" } }')
  write('no-url.json', '{ "app": "shop", "participants": { "orders": "secret@b" } }')
  write('empty.json', '{ "app": "shop", "participants": {} }')
  write(
    'down.json',
    '{ "app": "shop", "participants": { "orders": "postgres://a:secret@127.0.0.1:1/b" } }',
  )
})

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** A command, how it ends, and what it says. */
const CASES: readonly (readonly [string, keyof typeof EXIT_CODES, RegExp])[] = [
  ['lst', 'usage', /unknown command 'lst' \(Did you mean one of list, lost\?\)/],
  ['list --al', 'usage', /unknown option '--al' \(Did you mean --all\?\)/],
  ['show', 'usage', /missing required argument 'id'/],
  ['list --config a.json --app shop', 'usage', /--config contradicts --app/],
  ['list --app shop', 'usage', /both are needed: --app NAME and --participant NAME=URL/],
  ['list --app shop --participant orders', 'usage', /--participant expects NAME=URL/],
  ['list --app shop --participant a=env:A --participant a=env:A', 'usage', /given twice for a/],
  ['resolve x --commit --abort --yes --config down.json', 'usage', /--commit contradicts --abort/],
  ['resolve x --yes --config down.json', 'usage', /needs a decision: --commit or --abort/],
  ['resolve x --commit --config down.json', 'refused', /no terminal to ask at. Say --yes/],
  [
    'drain --timeout soon --config down.json',
    'usage',
    /"soon" was given; expected a time like 60s/,
  ],
  ['help lst', 'usage', /there is no help for "lst"/],
  ['completion fish', 'usage', /"fish" is no shell that is known: bash, zsh/],
  ['show nonsense --config down.json', 'usage', /"nonsense" is no transaction id. Expected A1\./],
  [
    'show A1.bank.orders.YU44scfP.GaBsznZVL2UdcQsaAYjh --config down.json',
    'usage',
    /is of app bank, and this is app shop/,
  ],
  ['list', 'configuration', /no assent\.config\.\{ts,js,mjs,json\} is in /],
  ['list --config gone.ts', 'configuration', /gone\.ts is not there/],
  ['list --config broken.ts', 'configuration', /broken\.ts could not be loaded: /],
  ['list --config throws.mjs', 'configuration', /could not be loaded: the vault is closed$/],
  ['list --config nothing.mjs', 'configuration', /has no default export with `app`/],
  ['list --config assent-object.mjs', 'configuration', /exports what createAssent\(\) returned/],
  ['list --config broken.json', 'configuration', /broken\.json could not be loaded: it is no JSON/],
  ['list --config unknown.json', 'configuration', /unknown field "retention". Known: app/],
  ['list --config scheme.json', 'configuration', /orders has a URL of an unknown kind \(oracle:/],
  ['list --config no-url.json', 'configuration', /orders was given something that is no URL/],
  ['list --config empty.json', 'configuration', /has no participants/],
  [
    'list --app shop --participant a=env:NOT_SET',
    'configuration',
    /variable NOT_SET, which is not/,
  ],
  ['list --app sh.op --participant a=postgres://b', 'configuration', /app name "sh\.op" can't be/],
  ['list --config down.json', 'unreachable', /^assent: Participant orders: no connection could be/],
  ['recover --config down.json', 'unreachable', /^assent: Participant orders: no connection could/],
  ['migrate --config down.json', 'unreachable', /^assent: Participant orders: no connection could/],
  ['demo', 'usage', /demo takes no configuration, but two databases or more: --participant/],
  ['demo --config down.json', 'usage', /demo takes no configuration/],
  [
    'demo --workers 99 --participant a=env:A --participant b=env:B',
    'usage',
    /--workers "99" was given; expected 1 to 16/,
  ],
  [
    'demo --time soon --participant a=env:A --participant b=env:B',
    'usage',
    /--time "soon" was given; expected a time like 60s/,
  ],
  [
    'demo --app sh.op --participant a=postgres://b:1/x --participant c=postgres://b:1/y',
    'configuration',
    /app name "sh\.op" can't be/,
  ],
  [
    'demo --participant a=postgres://x:secret@127.0.0.1:1/x --participant c=postgres://b:1/y',
    'unreachable',
    /^assent: a: connect ECONNREFUSED/,
  ],
  // An id that looks like a flag.
  ['show -w27Qu6o5yD-cuOuix8e --config down.json', 'unreachable', /no connection could be had/],
]

/** Each start costs a third of a second: the first of each kind here, all of them in the long tests. */
const SOME =
  process.env['ASSENT_FULL'] === undefined ? CASES.filter((_, at) => at % 8 === 3) : CASES

test.each(SOME)('assent %s', async (line, exit, says) => {
  const { code, out, errors } = await assent(line.split(' '), { folder })
  expect({ code, lines: errors.split('\n').length }).toEqual({
    code: EXIT_CODES[exit].code,
    lines: 2,
  })
  expect(errors.trimEnd()).toMatch(/^assent: /)
  expect(errors.trimEnd()).toMatch(says)
  expect(out + errors).not.toContain('secret')
  if (exit !== 'unreachable') expect(out).toBe('')
})

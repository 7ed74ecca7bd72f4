import { expect, test } from 'vitest'
import { effectsOf } from '../../src/systems/pg/statements.ts'

const effects = (text: string): readonly string[] => effectsOf(text).map(({ effect }) => effect)

test.each([
  ['commit', ['control']],
  ['  /* a /* nested */ comment */ COMMIT', ['control']],
  ['-- a comment\rcommit', ['control']],
  ['-- a comment\ncommit', ['control']],
  ['-- commit', []],
  ['/* commit */', []],
  ["select 'commit; begin'", ['none']],
  ["select 'it''s'; commit", ['none', 'control']],
  ["select e'\\'; commit; --'", ['none']],
  ["select E'\\\\'; commit", ['none', 'control']],
  ['select "a""b;"; commit', ['none', 'control']],
  ['select $$ ; commit $$; commit', ['none', 'control']],
  ['select $a$ $$ ; commit $a$', ['none']],
  ['select é$$; commit; --$$', ['none', 'control']],
  ['select x$a$; commit; --$a$', ['none', 'control']],
  ['select $1; commit', ['none', 'control']],
  ['rollback to a', ['rollback-to']],
  ['rollback work to savepoint a', ['rollback-to']],
  ['rollback', ['control']],
  ['rollback and chain', ['control']],
  ['savepoint a; release a', ['none', 'none']],
  ["prepare transaction 'x'", ['control']],
  ["prepare transaction'x'", ['control']],
  ['set"synchronous_commit"=off', ['session']],
  ['set"idle_in_transaction_session_timeout"=0', ['idle']],
  ['rollback to"a"', ['rollback-to']],
  ['prepare p as select 1', ['none']],
  ['set transaction read write', ['mode']],
  ['set local transaction_read_only = off', ['mode']],
  ['set search_path = a', ['session']],
  ['set local search_path = a', ['none']],
  ["select set_config('a.b', 'c', false)", ['session']],
  [
    'create function f() returns int begin atomic select 1; select 2; end',
    ['none', 'none', 'none'],
  ],
  [
    'create function f() returns int begin atomic select 1; end; commit',
    ['none', 'none', 'control'],
  ],
  ['', []],
  [';;', []],
])('%j does %j to its transaction', (text, expected) => {
  expect(effects(text)).toEqual(expected)
})

test.each([
  ['set default_transaction_read_only = on', true],
  ['reset default_transaction_read_only', true],
  ['set session characteristics as transaction read only', true],
  ['set u&"def\\0061ult_tr\\0061nsaction_read_only" = on', true],
  ['set transaction isolation level serializable', true],
  ["select set_config('default_transaction_read_only', 'on', false)", true],
  ['select set_config($1, $2, true)', true],
  ["select set_config('default_' || 'transaction_isolation', 'serializable', true)", true],
  ["select set_config('app.tenant', $1, true), set_config($2, $3, true)", true],
  ["select set_config(e'app.tenant', $1, true)", true],
  ["select set_config('app.tenant', $1, true), pg_catalog.set_config ( 'a.b' , 'c', false)", false],
  ['set search_path to a, b', false],
  ['reset search_path', false],
  ['set constraints all deferred', false],
  ['set role none', false],
  ['update t set x = 1', false],
])('%j may set the mode of this or later transactions: %j', (text, expected) => {
  expect(effectsOf(text).map(({ setsMode }) => setsMode)).toEqual([expected])
})

test.each([
  ['set local client_min_messages = error', true],
  ['SET synchronous_commit TO off', true],
  ['reset all', true],
  ['discard plans', true],
  [`select x, set_config('a.b', $1, true) from t`, true],
  ['select "set_config"($1, $2, true)', true],
  [`update pg_catalog.pg_settings set setting = 'off' where name = 'synchronous_commit'`, true],
  [`select u&"set\\005fconfig"('a.b', '', true)`, true],
  ['do $$ begin end $$', true],
  ['call p()', true],
  ['execute p', true],
  ['explain analyze execute p', true],
  [`select 'x\\' /* ', set_config('synchronous_commit', 'off', true) --*/`, true],
  ['update settings set value = 1', false],
  ['insert into resets values (1)', false],
  ['select f()', false],
])('%j may set something: %j', (text, expected) => {
  expect(effectsOf(text).map(({ setsSettings }) => setsSettings)).toEqual([expected])
})

test('no text takes long to read', () => {
  const text = `${'select 1; '.repeat(2_000)}${"'".repeat(2_001)}${'/*'.repeat(2_000)}`
  expect(effects(text)).toHaveLength(2_001)
})

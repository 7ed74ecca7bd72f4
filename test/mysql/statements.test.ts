import { describe, expect, test } from 'vitest'
import { controlIn } from '../../src/systems/mysql/statements.ts'

describe('the text of a statement', () => {
  test.each([
    'commit',
    ' COMMIT AND CHAIN',
    'rollback',
    'ROLLBACK WORK',
    'begin',
    'BEGIN WORK',
    'start transaction read only',
    "xa end 'x'",
    'set autocommit = 0',
    'SET @@session.autocommit=1',
    'select 1; commit',
    '/* a comment */ commit',
    '-- a comment\ncommit',
    '# a comment\ncommit',
    '/*! commit */',
    '/*M!100100 commit */',
    '/*!50003 set autocommit=0 */',
  ])('shows that it is transaction control: %s', (text) => {
    expect(controlIn(text)?.kind).toBe('control')
  })

  test.each([
    'create table x (i int)',
    'CREATE OR REPLACE TABLE x (i int)',
    'create index i on t (x)',
    'alter table t add y int',
    'drop table t',
    'truncate t',
    'rename table t to u',
    'lock tables t write',
    'UNLOCK TABLES',
    'analyze table t',
    'grant select on t to x',
    'flush tables',
    "set password = password('x')",
  ])('shows that the server would commit with it: %s', (text) => {
    expect(controlIn(text)?.kind).toBe('commits')
  })

  test.each([
    'select 1',
    "insert into t values ('commit; rollback')",
    'select "commit; begin"',
    'select `commit` from t',
    "select 'it''s; commit'",
    "select 'it\\'s; commit'",
    'select 1 -- ; commit',
    'select 5 --1',
    'savepoint a',
    'rollback to a',
    'ROLLBACK WORK TO SAVEPOINT a',
    'release savepoint a',
    'create temporary table x (i int)',
    'drop temporary table x',
    'drop prepare p',
    'begin not atomic select 1; end',
    'set @commit = 1',
    'set names utf8mb4',
    'call commit_order()',
    'with t as (select 1) select * from t',
    "insert into truncated values ('x')",
  ])('shows no harm: %s', (text) => {
    expect(controlIn(text)).toBeUndefined()
  })
})

import { expect, test } from 'vitest'
import type { JoinRequest } from '../../src/ports/index.ts'
import { beginStatements } from '../../src/systems/pg/begin.ts'
import type { ConnectionFacts } from '../../src/systems/pg/connection-facts.ts'

const CONNECTION: ConnectionFacts = {
  canPrepare: true,
  role: 'primary',
  timeouts: 'all',
  session: 'plain',
  route: 'direct',
  replication: 'none',
}

type Request = Pick<JoinRequest, 'isolation' | 'access' | 'timeoutMs'>
const REQUEST: Request = { isolation: undefined, access: 'write', timeoutMs: 29_999.9 }

test('what a connection has begun with before is the very same list, however much time is left', () => {
  const connection = { ...CONNECTION }
  const read: Request = { ...REQUEST, access: 'read' }
  const voter = beginStatements(REQUEST, connection, 'not watched')
  const decider = beginStatements(REQUEST, connection, 'watched')
  const reader = beginStatements(read, connection, 'not watched')
  const later = { ...REQUEST, timeoutMs: 29_000.1 }
  expect(beginStatements(later, connection, 'not watched')).toBe(voter)
  expect(beginStatements(later, connection, 'watched')).toBe(decider)
  expect(beginStatements(read, connection, 'not watched')).toBe(reader)
})

test('whatever a transaction asks for, it begins with that', () => {
  const connection = { ...CONNECTION }
  const begin = (request: Request, watch: 'watched' | 'not watched'): readonly string[] =>
    beginStatements(request, connection, watch).map(({ text }) => text)
  const idle = 'SET LOCAL idle_in_transaction_session_timeout'
  const watch = 'SET LOCAL default_transaction_read_only = on'
  const prove = 'SET CONSTRAINTS ALL IMMEDIATE'
  for (const timeoutMs of [400, 1_000, 1_001, 30_000, 60_000, 120_000]) {
    const request = { ...REQUEST, timeoutMs }
    const wait = `${idle} = ${Math.ceil(timeoutMs / 1_000) * 1_000 + 5_000}`
    expect(begin(request, 'not watched')).toEqual(['BEGIN', prove, wait])
    expect(begin(request, 'watched')).toEqual(['BEGIN', prove, wait, watch])
    expect(begin({ ...request, access: 'read' }, 'not watched')).toEqual([
      'BEGIN READ ONLY',
      prove,
      wait,
    ])
    expect(begin({ ...request, isolation: 'serializable' }, 'not watched')).toEqual([
      'BEGIN ISOLATION LEVEL SERIALIZABLE',
      prove,
      wait,
    ])
  }
})

/**
 * The trace of the demo knows each message by its SQL. What that is today stands in the transcript
 * of the crash suite.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { phaseOf } from '../../demo/wire-story.ts'
import type { Phase } from '../../demo/wire-story.ts'
import type { FrontendMessage } from '../../harness/wire-frames.ts'

const transcript = path.resolve(import.meta.dirname, '../crash/two-databases.golden.txt')

/** The SQL of each message that is sent, by its name. */
function sent(): ReadonlyMap<string, FrontendMessage> {
  const text = readFileSync(transcript, 'utf8')
  const messages = [...text.matchAll(/^(\w+ \w+ \d+) sent\n((?: {4}.*\n)*)/gm)]
  return new Map(
    messages.map(([, name = '', body = '']) => {
      const lines = body.split('\n').filter((line) => line !== '')
      const statements = lines.map((line) => ({ sql: line.slice(4), executed: true }))
      return [name, { statements } as unknown as FrontendMessage]
    }),
  )
}

test.each<[string, Phase]>([
  ['stock vote 1', 'vote'],
  ['orders decide 1', 'decide'],
  ['stock apply 1', 'apply'],
])('%s is told as %s', (name, phase) => {
  const message = sent().get(name)
  expect(message?.statements.length).toBeGreaterThan(0)
  expect(message === undefined ? undefined : phaseOf(message, false)).toBe(phase)
})

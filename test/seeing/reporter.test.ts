/**
 * A listener to reports can break nothing, however it fails.
 */
import { expect, onTestFinished, test } from 'vitest'
import { nodeTracing } from '../../src/platform/channels.ts'
import { reporter } from '../../src/transaction/reporter.ts'

const LISTENERS: readonly (readonly [string, () => unknown, RegExp])[] = [
  ['throws', () => raise(new Error('oops')), /onReport failed: oops/],
  ['rejects', () => Promise.reject(new Error('later')), /onReport failed: later/],
  ['throws what no text can be made of', () => raise(Object.create(null)), /failed: object/],
]

function raise(what: unknown): never {
  throw what
}

test.each(LISTENERS)('one that %s is told in a warning', async (_how, listener, says) => {
  const warnings: string[] = []
  const hear = (warning: Error): void => void warnings.push(warning.message)
  process.on('warning', hear)
  onTestFinished(() => void process.off('warning', hear))
  const report = reporter('shop', nodeTracing, listener)
  report({ type: 'scan-failed', participant: 'stock', error: new Error('down') })
  await expect.poll(() => warnings).toEqual([expect.stringMatching(says)])
})

/**
 * What a txid is made of: what is made together lies together, and none can be guessed.
 */
import { expect, test } from 'vitest'
import { nodeWorld } from '../../src/platform/node-world.ts'
import { makeTxid } from '../../src/transaction/txid.ts'

const MOMENT = Date.UTC(2026, 10, 30, 12)

function at(
  wallMs: number,
  randomBytes = (length: number) => nodeWorld.randomBytes(length),
): string {
  return makeTxid({ ...nodeWorld, wallMs: () => wallMs, randomBytes })
}

function bitsOf(txid: string): string {
  return [...Buffer.from(txid, 'base64url')]
    .map((byte) => byte.toString(2).padStart(8, '0'))
    .join('')
}

test('it is twenty characters that need no quoting anywhere', () => {
  expect(makeTxid(nodeWorld)).toMatch(/^[A-Za-z0-9_-]{20}$/)
})

test('all that is made in the same seconds shares four characters, behind one of sixty-four', () => {
  const made = Array.from({ length: 2_000 }, (_, index) => at(MOMENT + index))
  expect(new Set(made.map((txid) => txid.slice(1, 5))).size).toBe(1)
  expect(new Set(made.map((txid) => txid[0])).size).toBe(64)
  expect(at(MOMENT + 4_000).slice(1, 5)).not.toBe(made[0]?.slice(1, 5))
})

test('every bit but those of the second is one that the world has drawn', () => {
  const zeros = bitsOf(at(MOMENT, (length) => new Uint8Array(length)))
  const ones = bitsOf(at(MOMENT, (length) => new Uint8Array(length).fill(255)))
  const second = (Math.floor(MOMENT / 1_000) % 2 ** 26).toString(2).padStart(26, '0')
  expect(zeros).toBe(`${'0'.repeat(6)}${second}${'0'.repeat(88)}`)
  expect(ones).toBe(`${'1'.repeat(6)}${second}${'1'.repeat(88)}`)
})

test('whatever the clock on the wall says, there is an id', () => {
  for (const wallMs of [-1, 0, 2 ** 26 * 1_000 - 1, 2 ** 26 * 1_000, 8.64e15]) {
    expect(at(wallMs), String(wallMs)).toMatch(/^[A-Za-z0-9_-]{20}$/)
  }
})

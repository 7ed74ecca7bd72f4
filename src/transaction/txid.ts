/**
 * The id of a new transaction.
 *
 * Owns: what it is made of.
 * Promises: 94 of its bits are random, so that no two are ever equal and none can be guessed. What is
 * made in the same seconds lies together in every index.
 *
 *   1 character    random: sixty-four places at a time, so that few wait for each other at one
 *   4 characters   the second in which it was made, but for its two last bits; it comes again after
 *                  776 days
 *   15 characters  those two bits, and random ones
 *
 * Why: marks are kept for a day and more, and in an index over random ids each new one falls on another
 * page. After a checkpoint PostgreSQL writes a page that is changed for the first time to the log as a
 * whole: beside 2.5 million marks a transaction wrote 9,799 bytes of log, and 1,519 so (measured).
 */
import { TXID_BYTES } from '../protocol/index.ts'
import type { World } from '../ports/index.ts'

const RANDOM_BITS = 0xfc000000
const SECOND_BITS = 0x03ffffff

export function makeTxid(world: World): string {
  const bytes = Buffer.from(world.randomBytes(TXID_BYTES))
  const second = Math.floor(world.wallMs() / 1_000)
  const beginning = (bytes.readUInt32BE(0) & RANDOM_BITS) | (second & SECOND_BITS)
  bytes.writeInt32BE(beginning, 0)
  return bytes.toString('base64url')
}

/**
 * A transaction over two databases ends the same way in both, whenever its process is killed with
 * SIGKILL: at every message of a healthy transaction, before, between and after.
 */
import { expect } from 'vitest'
import { isProcessed } from './crash-points.ts'
import type { CrashPoint } from './crash-points.ts'
import { crashEverywhere } from './crash-suite.ts'
import { goldenOfTwo, writesInTwo } from './two-databases.ts'

crashEverywhere({
  databases: ['orders', 'stock'],
  scenario: writesInTwo,
  golden: goldenOfTwo,
  check: ({ point, leftPrepared }) => {
    expect(leftPrepared).toEqual(isPreparedAfter(point) ? ['stock'] : [])
  },
})

/** From the moment that the vote was processed until the moment that the end was. */
function isPreparedAfter({ message, stage }: CrashPoint): boolean {
  const at = (name: string): number => goldenOfTwo.messages.indexOf(name)
  const here = at(message) + (isProcessed(stage) ? 1 : 0)
  return here > at('stock vote 1') && here <= at('stock apply 1')
}

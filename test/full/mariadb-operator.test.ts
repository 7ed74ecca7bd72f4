/**
 * What somebody on call does where MariaDB takes part: the same, whichever of the two decides.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { assent, json } from '../support/command-line.ts'
import { leaveBehind, open } from '../support/pair-leftover.ts'
import type { Kind } from '../support/pairs.ts'

const PAIRS: readonly (readonly [Kind, Kind])[] = [
  ['postgres', 'mariadb by mysql2'],
  ['mariadb with a binary log', 'postgres'],
  ['mariadb by mariadb', 'mariadb with a binary log'],
]

describe.each(PAIRS)('orders on %s, stock on %s', (orders, stock) => {
  test.each(['commit', 'abort'] as const)('what is held is decided by hand: %s', async (wish) => {
    const { app, stores } = await open(orders, stock)
    const folder = mkdtempSync(path.join(tmpdir(), 'assent-operator-'))
    onTestFinished(() => {
      rmSync(folder, { recursive: true })
    })
    const participants = { orders: stores.orders.reached, stock: stores.stock.reached }
    writeFileSync(path.join(folder, 'assent.config.json'), JSON.stringify({ app, participants }))
    const run = (...args: readonly string[]) => assent(args, { folder })
    const leftover = await leaveBehind(app, stores, 'voted')
    expect(json(await run('list', '--json'))).toMatchObject({ branches: [{ reason: 'running' }] })
    leftover.vanish()
    expect(await run('restored', 'orders')).toMatchObject({ code: 0, errors: '' })
    await expect
      .poll(async () => json(await run('list', '--json')), { timeout: 15_000 })
      .toMatchObject({ branches: [{ reason: 'held', participant: 'stock' }] })
    expect(await run('recover')).toMatchObject({ code: 5 })
    const given = ['--yes', '--by', 'ada', '--reason', `it's "restored" \\ ü`]
    const resolved = await run('resolve', leftover.id, `--${wish}`, ...given)
    expect(resolved).toMatchObject({ code: 0, errors: '' })
    const shown = await run('show', leftover.id)
    expect(shown).toMatchObject({ code: 0, errors: '' })
    expect(shown.out).toContain(`(heuristic-${wish})`)
    expect(shown.out).toContain(`ada decided ${wish} for stock by hand: it's "restored" \\ ü\n`)
    expect(await stores.stock.count()).toBe(wish === 'commit' ? 1 : 0)
    expect(await stores.stock.prepared(app)).toEqual([])
    expect(await run('drain', '--timeout', '10s')).toMatchObject({ code: 0, errors: '' })
  })
})

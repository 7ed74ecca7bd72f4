import { describe, expect, test } from 'vitest'
import { Recovery, Scan } from '../../src/engine/index.ts'
import type { Report } from '../../src/engine/index.ts'
import type { Participant, PreparedBranch, World } from '../../src/ports/index.ts'
import type { AskAnswer } from '../../src/protocol/index.ts'

/** A world whose time passes only while somebody rests. */
function simulatedWorld(): World & { run(ms: number): Promise<void> } {
  let now = 0
  const sleepers = new Set<{ at: number; wake: () => void }>()
  const rest = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const sleeper = { at: now + ms, wake: resolve }
      if (signal?.aborted === true) {
        resolve()
        return
      }
      sleepers.add(sleeper)
      signal?.addEventListener('abort', () => {
        sleepers.delete(sleeper)
        resolve()
      })
    })
  return {
    now: () => now,
    random: () => 0.5,
    wallMs: () => 0,
    randomBytes: (length) => new Uint8Array(length),
    timer: (ms, then) => {
      const sleeper = { at: now + ms, wake: then }
      sleepers.add(sleeper)
      return () => sleepers.delete(sleeper)
    },
    sleep: rest,
    rest,
    async run(ms) {
      const until = now + ms
      for (;;) {
        // Lets everything that is ready run, before time passes.
        await new Promise((resolve) => setImmediate(resolve))
        const [next] = [...sleepers].sort((a, b) => a.at - b.at)
        if (next === undefined || next.at > until) break
        sleepers.delete(next)
        now = next.at
        next.wake()
      }
      now = until
    },
  }
}

const GID = 'A1.shop.orders.AAAAAAAA.AAAAAAAAAAAAAAAAAAAA.stock'

function gid(register: string, serial: number): string {
  return `A1.shop.${register}.AAAAAAAA.${String(serial).padStart(20, '0')}.stock`
}

interface Scene {
  readonly listings: number[]
  readonly reports: Report[]
  readonly ended: string[]
  readonly world: ReturnType<typeof simulatedWorld>
  readonly stop: AbortController
}

function scanning(
  list: (at: number) => readonly PreparedBranch[],
  ask: (register: string) => Promise<AskAnswer>,
  processes = 1,
): Scene {
  const world = simulatedWorld()
  const stop = new AbortController()
  const scene: Scene = { listings: [], reports: [], ended: [], world, stop }
  const participant = (name: string): Participant =>
    ({
      name,
      ask: () => ask(name),
      listPrepared: () => {
        scene.listings.push(world.now())
        return Promise.resolve().then(() => ({ branches: list(world.now()), processes }))
      },
      endPrepared: (of: { txid: string }) => {
        scene.ended.push(of.txid)
        return Promise.resolve({ answer: 'done' })
      },
    }) as unknown as Participant
  const stock = participant('stock')
  const participants = new Map(
    ['orders', 'silent', 'stock'].map((name) => [name, participant(name)]),
  )
  const report = (each: Report): void => {
    scene.reports.push(each)
  }
  const setting = { participants, world, report, signal: stop.signal }
  void new Scan('shop', setting, new Recovery(setting)).loop(stock)
  return scene
}

const branch = (name: string, ageMs = 1_000): PreparedBranch => ({
  gid: name,
  ageMs,
  preparedForMs: ageMs,
  mayEnd: true,
  owner: 'role shop',
})
const WAITS = (): Promise<AskAnswer> => Promise.resolve({ answer: 'waits' })

describe('the scans', () => {
  test('of one process are about one a second, of N processes about one each', async () => {
    for (const processes of [1, 10]) {
      const { listings, world, stop } = scanning(() => [], WAITS, processes)
      await world.run(100_000)
      stop.abort()
      expect(listings.length).toBeGreaterThan(80 / processes)
      expect(listings.length).toBeLessThan(120 / processes + 2)
    }
  })

  test('do not storm a database that went down while something of it is in doubt', async () => {
    const list = (at: number): readonly PreparedBranch[] => {
      if (at > 5_000) throw new Error('down')
      return [branch(GID)]
    }
    const { listings, reports, world, stop } = scanning(list, WAITS)
    await world.run(30_000)
    stop.abort()
    expect(listings.filter((at) => at > 5_000).length).toBeLessThan(40)
    expect(reports.filter((report) => report.type === 'scan-failed').length).toBeGreaterThan(15)
  })

  test('do not storm the other databases while much is recovered in one', async () => {
    const processes = 10
    const world = simulatedWorld()
    const stop = new AbortController()
    const left = new Set(Array.from({ length: 300 }, (_, serial) => gid('orders', serial)))
    const listed: Record<string, number> = { orders: 0, stock: 0, ledger: 0 }
    const participant = (name: string): Participant =>
      ({
        name,
        ask: () => world.rest(20).then(() => ({ answer: 'absent', memory: 'remembered' })),
        endPrepared: ({ txid }: { txid: string }) => {
          for (const each of left) if (each.includes(txid)) left.delete(each)
          return world.rest(20).then(() => ({ answer: 'done' }))
        },
        listPrepared: () => {
          listed[name] = (listed[name] ?? 0) + 1
          const branches = name === 'stock' ? [...left].map((each) => branch(each)) : []
          return Promise.resolve({ branches, processes })
        },
      }) as unknown as Participant
    const participants = new Map(Object.keys(listed).map((name) => [name, participant(name)]))
    const setting = { participants, world, report: () => undefined, signal: stop.signal }
    const scan = new Scan('shop', setting, new Recovery(setting))
    for (const each of participants.values()) void scan.loop(each)
    await world.run(4_000)
    stop.abort()
    expect(left.size).toBeLessThan(200)
    // Each of ten processes: once in 1.5 s at the most, however much it finds.
    expect(listed['ledger']).toBeLessThan(5)
  })

  test('look at what stays in doubt more often, with growing waits, and never storm (fault 66)', async () => {
    const { listings, world, stop } = scanning(() => [branch(GID)], WAITS)
    await world.run(2_000)
    const early = listings.length
    await world.run(60_000)
    stop.abort()
    expect(early).toBeGreaterThan(4)
    expect(listings.length - early).toBeLessThan(90)
  })

  test('leave a young branch a moment, and are back soon after', async () => {
    const asked: number[] = []
    const scene = scanning(
      (at) => [branch(GID, 10 + at - (scene.listings[0] ?? at))],
      () => {
        asked.push(scene.world.now())
        return Promise.resolve({ answer: 'absent', memory: 'remembered' })
      },
    )
    await scene.world.run(2_000)
    scene.stop.abort()
    const [first = 0] = scene.listings
    expect((asked[0] ?? Infinity) - first).toBeLessThan(500)
    expect((asked[0] ?? 0) - first).toBeGreaterThan(100)
  })

  test('are not held up by a register that is silent', async () => {
    const silent = Array.from({ length: 24 }, (_, serial) => branch(gid('silent', serial)))
    const { ended, world, stop } = scanning(
      () => [...silent, branch(gid('orders', 99))],
      (register) =>
        register === 'silent'
          ? new Promise<AskAnswer>(() => undefined)
          : Promise.resolve({ answer: 'absent', memory: 'remembered' }),
    )
    await world.run(3_000)
    stop.abort()
    expect(ended).toContain('99'.padStart(20, '0'))
  })

  test('end hundreds in doubt without listing them again and again', async () => {
    const many = Array.from({ length: 600 }, (_, serial) => branch(gid('orders', serial)))
    const { ended, listings, world, stop } = scanning(
      () => many.filter((each) => !ended.includes(each.gid.split('.')[4] ?? '')),
      () => Promise.resolve({ answer: 'absent', memory: 'remembered' }),
    )
    await world.run(1_500)
    stop.abort()
    expect(new Set(ended).size).toBe(600)
    expect(listings.length).toBeLessThan(20)
  })

  test('of ten processes list a database no more often because hundreds stay in doubt', async () => {
    const many = Array.from({ length: 600 }, (_, serial) => branch(gid('orders', serial)))
    const { listings, world, stop } = scanning(() => many, WAITS, 10)
    await world.run(60_000)
    stop.abort()
    // Of one process; the ten of them share what the database has to answer.
    expect(listings.length).toBeLessThan(60)
  })

  test('do not report what another app is about to end, but what stays', async () => {
    const other = 'A1.other.orders.AAAAAAAA.AAAAAAAAAAAAAAAAAAAA.stock'
    const { reports, world, stop } = scanning((at) => [branch(other, at - 2_000)], WAITS)
    await world.run(6_000)
    expect(reports).toEqual([])
    await world.run(60_000)
    stop.abort()
    expect(reports).toMatchObject([{ type: 'in-doubt', inDoubt: { reason: 'other-app' } }])
  })
})

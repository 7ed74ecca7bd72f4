import { describe, expect, test } from 'vitest'
import { Pauses } from '../../src/engine/pauses.ts'
import type { World } from '../../src/ports/index.ts'

/** A clock that stands still until it is told to go on, with its timers. */
class Clock {
  #now = 0
  #timers = new Set<{ readonly at: number; readonly then: () => void }>()
  /** How often a timer fired. */
  wakings = 0

  readonly world = {
    now: () => this.#now,
    timer: (ms: number, then: () => void) => {
      const timer = { at: this.#now + ms, then }
      this.#timers.add(timer)
      return () => this.#timers.delete(timer)
    },
  } as unknown as World

  get timers(): number {
    return this.#timers.size
  }

  async goOnTo(moment: number): Promise<void> {
    for (;;) {
      const [next] = [...this.#timers].toSorted((a, b) => a.at - b.at)
      if (next === undefined || next.at > moment) break
      this.#now = next.at
      this.#timers.delete(next)
      this.wakings += 1
      next.then()
    }
    this.#now = moment
    await Promise.resolve()
  }
}

function resting() {
  const clock = new Clock()
  const pauses = new Pauses(clock.world)
  const ended: string[] = []
  const rest = (name: string, mayEndAt: number, endsAt: number): void => {
    void pauses.rest(name, () => ({ mayEndAt, endsAt })).then(() => ended.push(name))
  }
  return { clock, pauses, ended, rest }
}

describe('the pauses before scans', () => {
  test('end when they are due, and with them those that may: one waking for both', async () => {
    const { clock, ended, rest } = resting()
    rest('a', 700, 1_000)
    rest('b', 900, 1_200)
    rest('c', 1_100, 1_400)
    await clock.goOnTo(999)
    expect(ended).toEqual([])
    await clock.goOnTo(1_000)
    expect(ended).toEqual(['a', 'b'])
    await clock.goOnTo(1_400)
    expect(ended).toEqual(['a', 'b', 'c'])
    expect(clock.wakings).toBe(2)
  })

  test('never end early because another begins, or is reconsidered', async () => {
    const { clock, pauses, ended, rest } = resting()
    rest('a', 0, 1_000)
    rest('b', 500, 2_000)
    pauses.reconsider('b')
    await clock.goOnTo(600)
    expect(ended).toEqual([])
  })

  test('end earlier once there is less to wait for', async () => {
    const { clock, pauses, ended } = resting()
    let endsAt = 1_000
    void pauses.rest('a', () => ({ mayEndAt: endsAt, endsAt })).then(() => ended.push('a'))
    endsAt = 300
    pauses.reconsider('a')
    await clock.goOnTo(300)
    expect(ended).toEqual(['a'])
  })

  test('end for all when it is over', async () => {
    const { clock, pauses, ended, rest } = resting()
    for (const name of ['a', 'b']) rest(name, 1_000, 1_000)
    pauses.close()
    await clock.goOnTo(1)
    expect(ended).toEqual(['a', 'b'])
    rest('c', 5_000, 5_000)
    await clock.goOnTo(2)
    expect(ended).toEqual(['a', 'b', 'c'])
    expect(clock.timers).toBe(0)
  })
})

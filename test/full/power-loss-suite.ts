/**
 * Owns: the tests that kill a process together with servers, as in a power cut, at every message of its
 * commit path, after which only the servers come back.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, within } from '../../harness/eventually.ts'
import { missesOf, recoverAndJudge } from '../crash/crash.ts'
import { CrashCluster } from '../crash/crash-cluster.ts'
import type { DatabaseSpec } from '../crash/crash-database.ts'
import { fateAt, isOwnDeath, isProcessed, label, pointsOf } from '../crash/crash-points.ts'
import type { CrashPoint, Fate } from '../crash/crash-points.ts'
import { DoomedProcess } from '../crash/doomed-process.ts'
import type { Scenario } from '../crash/doomed-process.ts'
import { kindOf } from '../crash/message-names.ts'
import { assentRecoverer } from '../crash/recoverer.ts'
import type { Golden } from '../crash/transcript.ts'
import { isWork } from './server-kill-points.ts'

/** Orders decides, stock votes. */
export interface PowerLossSuite {
  readonly databases: readonly DatabaseSpec[]
  readonly scenario: Scenario
  readonly golden: Golden
}

const BLACKOUT_MS = 20_000

export function losePower({ databases, scenario, golden }: PowerLossSuite): void {
  const points = pointsOf(golden.messages).filter(
    (point) => !isOwnDeath(point) && !isWork(point.message),
  )
  const outage = new Outage({ scenario, golden })

  beforeAll(async () => {
    await outage.start(databases)
  })

  afterAll(async () => {
    await outage.cluster.remove()
  })

  describe.each([
    ['everything (fault 23)', ['orders', 'stock']],
    ['the process and its decider (fault 22)', ['orders']],
    ['the process and its voter', ['stock']],
  ] as const)('%s dies', (_what, victims) => {
    for (const point of points) {
      const fate = fateAt(point, golden.messages)
      test(`${fate} in both: at ${label(point)}`, async () => {
        await using owner = await outage.blackOut(point, victims)
        if (victims.length === 1) await outage.tryInVain(point, victims[0])
        expect(await outage.comeBack(owner, victims, fate)).toEqual([])
      })
    }
  })

  test.each(['SIGKILL', 'SIGSTOP'] as const)(
    'committed in both: the decider and the process die, and who recovers meanwhile gets %s (fault 22)',
    (signal) => outage.strikeRecoverer(signal),
  )

  test('the commit path has messages to die at', () => {
    expect(points.map(({ message }) => kindOf(message))).toContain('decide')
  })
}

class Outage {
  readonly #setting: Pick<PowerLossSuite, 'scenario' | 'golden'>
  #cluster: CrashCluster | undefined

  constructor(setting: Pick<PowerLossSuite, 'scenario' | 'golden'>) {
    this.#setting = setting
  }

  async start(databases: readonly DatabaseSpec[]): Promise<void> {
    this.#cluster = await CrashCluster.start(databases)
  }

  get cluster(): CrashCluster {
    if (this.#cluster === undefined) throw new Error('it was not started')
    return this.#cluster
  }

  /** The process and these servers die at once. */
  async blackOut(point: CrashPoint, victims: readonly string[]): Promise<DoomedProcess> {
    const { cluster } = this
    const { scenario, golden } = this.#setting
    const dark = Promise.withResolvers<undefined>()
    const act = async (struck: DoomedProcess) => {
      const verdict = struck.kill()
      await Promise.all(victims.map((name) => cluster.database(name).server.kill()))
      dark.resolve(undefined)
      return verdict
    }
    const owner = await DoomedProcess.start(cluster, 'transfer', scenario, { point, act })
    const ending = await owner.run()
    await within('everything to be dead', dark.promise, BLACKOUT_MS)
    expect(missesOf(owner, ending, point, golden)).toEqual([])
    return owner
  }

  /** Only the servers come back. Returns what is wrong then. */
  async comeBack(
    owner: DoomedProcess,
    victims: readonly string[],
    fate: Fate,
  ): Promise<readonly string[]> {
    const { cluster } = this
    for (const name of victims) await cluster.database(name).server.start()
    return (await recoverAndJudge({ cluster, ...this.#setting }, owner, fate)).disagreements
  }

  /** Others look while one server is down: they change nothing that depends on it. */
  async tryInVain(point: CrashPoint, victim: 'orders' | 'stock'): Promise<void> {
    await using recoverer = assentRecoverer(this.cluster)
    const attempts: unknown[] = []
    await eventually('some attempts', async () => {
      attempts.push(await recoverer.recover().catch((error: unknown) => error))
      return attempts.length >= 3
    })
    if (victim === 'stock') return
    // Without the decider nobody knows: what was prepared stays prepared.
    const left = await this.cluster.database('stock').prepared()
    expect(left).toHaveLength(this.#isPrepared(point) ? 1 : 0)
  }

  #isPrepared({ message, stage }: CrashPoint): boolean {
    const { messages } = this.#setting.golden
    const at = messages.indexOf(message) + (isProcessed(stage) ? 1 : 0)
    return at > messages.indexOf('stock vote 1') && at <= messages.indexOf('stock apply 1')
  }

  /** Somebody recovers as soon as the decider is back, and is struck in the middle of his question. */
  async strikeRecoverer(signal: 'SIGKILL' | 'SIGSTOP'): Promise<void> {
    const { cluster } = this
    const point = { message: 'orders decide 1', stage: 'processed, not answered' } as const
    await using owner = await this.blackOut(point, ['orders'])
    const asks = { message: 'orders ask 1', stage: 'processed, not answered' } as const
    const reached = Promise.withResolvers<undefined>()
    const isOver = Promise.withResolvers<undefined>()
    const act = async (struck: DoomedProcess) => {
      reached.resolve(undefined)
      if (signal === 'SIGKILL') return struck.kill()
      return struck.pauseDuring(async () => {
        await isOver.promise
      })
    }
    await cluster.database('orders').server.start()
    const { scenario } = this.#setting
    const strike = { point: asks, act }
    await using recoverer = await DoomedProcess.start(cluster, 'recover', scenario, strike)
    const ended = recoverer.run()
    await within('it to ask', reached.promise, BLACKOUT_MS)
    const judged = await recoverAndJudge({ cluster, ...this.#setting }, owner, 'committed')
    isOver.resolve(undefined)
    expect(judged.disagreements).toEqual([])
    expect(await ended).toBe(signal === 'SIGKILL' ? 'SIGKILL' : 'exit code 0')
    expect(await cluster.prepared()).toEqual([])
  }
}

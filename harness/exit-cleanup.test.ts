/**
 * Owns: the proof that no server of either kind outlives the process that started it.
 * Never: sleeps; every wait is for a condition and has a deadline.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { eventually, within } from './eventually.ts'
import { fixture, nodeProgram } from './fixture-process.ts'
import { commandLineOf, isGone, send } from './process-table.ts'

describe.each(['PostgresServer', 'MariadbServer'])('%s', (kind) => {
  test.each(['SIGKILL', 'SIGTERM', 'SIGINT', 'exit'] as const)(
    'no server outlives its owner: %s',
    async (ending) => {
      const owner = spawn(nodeProgram(), [fixture('server-owner.ts'), kind], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      const ended = once(owner, 'exit')
      const [line] = (await within('the owner', once(owner.stdout, 'data'), 30_000)) as [Buffer]
      const { pid, folder } = JSON.parse(line.toString()) as { pid: number; folder: string }
      expect(commandLineOf(pid)).toContain(folder)

      if (ending === 'exit') owner.stdin.end()
      else send(owner.pid ?? 0, ending)
      const [code, signal] = (await within('the owner', ended, 10_000)) as [number, string]
      expect(ending === 'exit' ? code : signal).toBe(ending === 'exit' ? 0 : ending)

      await eventually('the server to end', () => isGone(pid))
      await eventually('its folder to go', () => !existsSync(folder))
    },
  )
})

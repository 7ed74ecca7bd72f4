/**
 * Owns: a MariaDB server whose redo log can be held back, so that what it shows is not yet written.
 * Promises: while it is held, nothing reaches the log, and a kill loses it; what was written before stays.
 * Needs a C compiler, and Linux.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const SOURCE = fileURLToPath(new URL('./held-flush.c', import.meta.url))

export class HeldFlush {
  readonly #folder = mkdtempSync(join(tmpdir(), 'assent-held-'))

  constructor() {
    // The server may run as another user.
    chmodSync(this.#folder, 0o755)
    const flags = ['-shared', '-fPIC', '-O1', '-o', this.#library, SOURCE, '-ldl']
    const { status, stderr, error } = spawnSync('cc', flags, { encoding: 'utf8' })
    if (status === 0) return
    this.remove()
    const reason = error?.message ?? stderr
    throw new Error(`no C compiler (Debian: apt-get install gcc libc6-dev): ${reason}`)
  }

  /** For the server that is to be held: `MariadbServer.create({ …, env })`. */
  get env(): Readonly<Record<string, string>> {
    return { LD_PRELOAD: this.#library, ASSENT_HOLD: this.#hold }
  }

  hold(): void {
    writeFileSync(this.#hold, '')
  }

  release(): void {
    rmSync(this.#hold, { force: true })
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  get #library(): string {
    return join(this.#folder, 'held-flush.so')
  }

  get #hold(): string {
    return join(this.#folder, 'hold')
  }
}

/**
 * Owns: a tiny shell process beside one server that outlives us and cleans up if we are killed.
 * Promises: when this process ends in any way, SIGKILL included, the last program that was
 * announced is ended and the folder removed within about ten seconds.
 * Never: acts after dismiss(); signals a process whose command line doesn't name the folder, so a
 * reused process id is safe.
 *
 * The shell reads a pipe of which only we hold the other end: the kernel closes it when we die.
 * (Linux' PR_SET_PDEATHSIG would do the same, but Node can't set it and macOS has none.)
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import type { RunAs } from './run-as.ts'

const script = `
folder=$1
pid=
while read -r word; do
  [ "$word" = dismiss ] && exit 0
  pid=$word
done
command_line() {
  if [ -d /proc/self ]; then tr '\\0' ' ' < "/proc/$pid/cmdline"; else ps -o args= -p "$pid"; fi
}
ours() { [ -n "$pid" ] && command_line 2>/dev/null | grep -qF "$folder"; }
# SIGQUIT ends PostgreSQL at once, and it still removes its shared memory.
rounds=0
if ours; then kill -CONT "$pid"; kill -QUIT "$pid"; fi
while ours && [ $rounds -lt 80 ]; do sleep 0.1; rounds=$((rounds + 1)); done
if ours; then kill -KILL "$pid"; fi
rm -rf "$folder"
`

export class ServerWatchdog {
  readonly #shell: ChildProcess

  constructor(folder: string, user: RunAs) {
    this.#shell = spawn('/bin/sh', ['-c', script, 'server-watchdog', folder], {
      ...user,
      cwd: '/',
      // A session of its own, so that Ctrl-C in the terminal doesn't end it together with us.
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    this.#shell.unref()
    const pipe = this.#shell.stdin
    pipe?.on('error', () => undefined) // Without a watchdog the tests still work.
    if (pipe instanceof Socket) pipe.unref() // Node's pipes are sockets, whatever the type says.
  }

  /** Names the process to end. A small write to a pipe reaches the kernel before it returns. */
  announce(pid: number): void {
    this.#shell.stdin?.write(`${pid}\n`)
  }

  /** The server was cleaned up in the ordinary way. */
  dismiss(): void {
    this.#shell.stdin?.write('dismiss\n')
  }
}

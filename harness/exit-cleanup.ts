/**
 * Owns: the list of this process' servers, of whichever kind, and their end when it exits.
 * Promises: once installed, no server outlives this process, whether it exits by itself or is asked
 * to end. (When it is killed with SIGKILL, the watchdog of each server sees to it:
 * server-watchdog.ts.)
 * Never: removes a server of another process.
 */

/** What can be removed by an exit handler, which can't wait for promises. */
export interface Removable {
  removeNow(): void
}

const alive = new Set<Removable>()
let state: 'not installed' | 'installed' = 'not installed'

export function removeAtExit(server: Removable): void {
  alive.add(server)
}

/** It was removed already. */
export function forgetAtExit(server: Removable): void {
  alive.delete(server)
}

/**
 * Ends and removes this process' servers when it exits or is asked to end. Where the program
 * itself listens for the signal, it decides when to exit, and the servers live until then.
 */
export function installExitCleanup(): void {
  if (state === 'installed') return
  state = 'installed'
  process.on('exit', removeAllNow)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const onSignal = () => {
      if (process.listenerCount(signal) > 1) return
      removeAllNow()
      process.removeListener(signal, onSignal)
      process.kill(process.pid, signal) // So that our parent sees the true cause of death.
    }
    process.on(signal, onSignal)
  }
}

function removeAllNow(): void {
  for (const server of alive) server.removeNow()
}

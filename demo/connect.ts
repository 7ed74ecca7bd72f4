/**
 * Owns: how a process of the demo connects: three ordinary pools, and Assent with its defaults.
 * Promises: a broken idle connection does not end the process (a pool needs a listener for that).
 */
import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { APP } from './bank.ts'
import type { DatabaseName, Urls } from './bank.ts'

export type BankAssent = ReturnType<typeof connect>['assent']

/** `applicationName` is what the outside observer knows the sessions of this process by. */
export function connect(urls: Urls, applicationName: string) {
  const pool = (database: DatabaseName): pg.Pool => {
    const made = new pg.Pool({
      connectionString: urls[database],
      application_name: applicationName,
    })
    made.on('error', () => undefined)
    return made
  }
  const pools = { east: pool('east'), west: pool('west'), vault: pool('vault') }
  const assent = createAssent({
    app: APP,
    participants: {
      east: participant(pools.east),
      west: participant(pools.west),
      vault: participant(pools.vault),
    },
  })
  const close = async (): Promise<void> => {
    await assent.close()
    await Promise.all(Object.values(pools).map((each) => each.end()))
  }
  return { assent, close }
}

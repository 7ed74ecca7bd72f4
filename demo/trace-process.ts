/**
 * A process of `npm start -- --trace`: makes one transfer whenever it is told to, and recovers like
 * every process with the app's name.
 *
 * Owns: one line in (a transfer), one line out (what became of it).
 * Promises: it says `ready` once it has made a transfer that nobody looks at, so that connections
 * are open and the tables are checked; it ends when its input does.
 */
import { createInterface } from 'node:readline'
import { connect } from './connect.ts'
import type { Place } from './database.ts'
import { makeTransfer } from './transfer.ts'
import type { Transfer } from './transfer.ts'

export interface TraceOrder {
  readonly name: string
  readonly places: readonly Place[]
  /** Made before it says `ready`. */
  readonly first: Transfer
}

const order = JSON.parse(process.env['ASSENT_DEMO_ORDER'] ?? '{}') as TraceOrder
process.on('SIGINT', () => undefined)
const { assent, handsOf, close } = connect(order.places, order.name)
await perform(order.first)
process.stdout.write('ready\n')
for await (const line of createInterface({ input: process.stdin })) {
  await perform(JSON.parse(line) as Transfer)
  process.stdout.write('committed\n')
}
await close()

async function perform(transfer: Transfer): Promise<void> {
  await assent.transaction((handles, tx) => makeTransfer(handsOf(handles), tx, transfer))
}

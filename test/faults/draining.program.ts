/**
 * A program that is asked to end in the middle of a transaction: `drain` closes Assent on SIGTERM,
 * `decided` closes it once the transaction was answered at the decision, `exit` ends between vote and
 * decision by process.exit().
 */
import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'
import { killableStream } from '../../harness/killable-stream.ts'
import { kindOfMessage } from '../support/message-kinds.ts'

const [ordersUrl, stockUrl, ending] = process.argv.slice(2)
const stream = killableStream({
  afterAnswer: (_answer, message) => {
    if (ending === 'exit' && kindOfMessage(message) === 'vote') process.exit(0)
  },
})
const pools = [
  new pg.Pool({ connectionString: ordersUrl }),
  new pg.Pool({ connectionString: stockUrl, stream }),
]
const assent = createAssent({
  app: 'shop',
  participants: { orders: participant(pools[0]!), stock: participant(pools[1]!) },
})

async function close(): Promise<void> {
  await assent.close()
  console.log('closed')
  await Promise.all(pools.map((pool) => pool.end()))
}

if (ending === 'drain') process.once('SIGTERM', () => void close())
await assent.transaction(
  async ({ orders, stock }) => {
    await stock.query('insert into t values (1)')
    console.log('working')
    await orders.query('select pg_sleep(0.5)')
    await orders.query('insert into t values (1)')
  },
  { resolveWhen: ending === 'decided' ? 'decided' : 'applied' },
)
console.log('committed')
if (ending === 'decided') await close()

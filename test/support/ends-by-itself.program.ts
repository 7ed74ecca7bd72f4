/** A program that forgets to close Assent (it must end all the same), or closes it last. */
import pg from 'pg'
import { createAssent } from 'assent'
import { pg as participant } from 'assent/pg'

const [first, second, close] = process.argv.slice(2)
const pools = [first, second].map(
  (connectionString) => new pg.Pool({ connectionString, allowExitOnIdle: true }),
)
const assent = createAssent({
  app: 'ends',
  participants: { orders: participant(pools[0]!), stock: participant(pools[1]!) },
})
await assent.transaction(async ({ orders, stock }) => {
  await orders.query('insert into t values (1)')
  await stock.query('insert into t values (1)')
})
// Recovery has its connections by now; they must not hold the process.
await assent.recover()
if (close === 'close') {
  await Promise.all(pools.map((pool) => pool.end()))
  await assent.close()
}
console.log('done')

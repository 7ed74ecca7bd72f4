import pg from 'pg'
import { AssentError, createAssent } from 'assent'
import { pg as postgres } from 'assent/pg'

const orders = new pg.Pool({ connectionString: process.env['ORDERS_URL'] })
const stock = new pg.Pool({ connectionString: process.env['STOCK_URL'] })

await using assent = createAssent({
  app: 'shop', // processes of one app recover each other's transactions
  participants: { orders: postgres(orders), stock: postgres(stock) },
})

try {
  const id = await assent.transaction(async ({ orders, stock }, tx) => {
    const left = await stock.query('update stock set left_over = left_over - 1 where sku = $1 and left_over > 0', ['A-1'])
    if (left.rowCount === 0) throw tx.abort('sold out')
    const { rows } = await orders.query<{ id: string }>('insert into orders (sku) values ($1) returning id', ['A-1'])
    return rows[0]?.id
  })
  console.log(`order ${id} is in both databases`)
} catch (error) {
  if (!(error instanceof AssentError)) throw error // your own error: rolled back everywhere
  console.log(error.outcome, error.message) // aborted, unknown or committed; never a guess
}

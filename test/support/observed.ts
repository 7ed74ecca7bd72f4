/**
 * An Assent over three databases of which it is seen which messages of the commit path it sends.
 */
import { onTestFinished } from 'vitest'
import pg from 'pg'
import { createAssent } from 'assent'
import type { Report } from 'assent'
import { pg as participant } from 'assent/pg'
import { WireProxy } from '../../harness/wire-proxy.ts'
import { freshDatabase } from './databases.ts'
import type { TestDatabase } from './databases.ts'
import { kindOfMessage } from './message-kinds.ts'

type Name = 'orders' | 'stock' | 'ledger'

/** Three databases, each behind a proxy that writes down which messages of Assent's pass. */
export async function observed(
  config: pg.PoolConfig = {},
  ledgerOn: 'first' | 'unprepared' = 'first',
  setting: { readonly retentionMs?: number } = {},
) {
  const databases = {
    orders: await freshDatabase('first'),
    stock: await freshDatabase('second'),
    ledger: await freshDatabase(ledgerOn),
  }
  const said: string[] = []
  /** At these messages the connection is cut, and they never arrive. */
  const cutAt = new Set<string>()
  const reports: Report[] = []
  const through = async (name: Name) => {
    const { url } = databases[name]
    const proxy = await WireProxy.listen({
      targetPort: Number(new URL(url).port),
      name: (message) => kindOfMessage(message),
      onRequest: ({ name: kind }) => {
        said.push(`${name} ${kind}`)
        return cutAt.has(`${name} ${kind}`) ? 'drop-connection' : 'pass'
      },
      onAnswer: () => 'pass',
    })
    const pool = new pg.Pool({ connectionString: proxy.url(url), ...config })
    pool.on('error', () => undefined)
    onTestFinished(async () => {
      await pool.end()
      await proxy.close()
    })
    return { pool, definition: participant(pool, { recovery: { connectionString: url } }) }
  }
  const ways = {
    orders: await through('orders'),
    stock: await through('stock'),
    ledger: await through('ledger'),
  }
  const assent = createAssent({
    app: 'shop',
    ...setting,
    participants: {
      orders: ways.orders.definition,
      stock: ways.stock.definition,
      ledger: ways.ledger.definition,
    },
    onReport: (report) => reports.push(report),
  })
  onTestFinished(() => assent.close())
  await assent.migrate()
  const counts = () => Promise.all(Object.values(databases).map((each) => each.count()))
  const marks = async (): Promise<Record<Name, readonly unknown[]>> => {
    const read = (each: TestDatabase): Promise<readonly unknown[]> =>
      each.sql('select register, participants from assent.mark')
    const [orders, stock, ledger] = await Promise.all(Object.values(databases).map(read))
    return { orders: orders!, stock: stock!, ledger: ledger! }
  }
  return { assent, databases, ways, said, cutAt, reports, counts, marks }
}

/**
 * A process that goes once through the marks of two databases and forgets what is due, when it is
 * told to. It is killed on the way.
 */
import { once } from 'node:events'
import pg from 'pg'
import { pg as participant } from 'assent/pg'
import { Forgetting } from '../../src/engine/index.ts'
import { nodeWorld } from '../../src/platform/node-world.ts'

const [ordersUrl, stockUrl, retention] = process.argv.slice(2)
const retentionMs = Number(retention)
const urls = { orders: ordersUrl, stock: stockUrl }
const pools = Object.values(urls).map((connectionString) => new pg.Pool({ connectionString }))
const participants = new Map(
  Object.keys(urls).map((name, at) => {
    const context = { app: 'shop', name, world: nodeWorld, retentionMs }
    return [name, participant(pools[at]!).open(context)]
  }),
)
const forgetting = new Forgetting(
  'shop',
  {
    participants,
    world: nodeWorld,
    report: (report) => {
      console.error(report)
    },
    signal: new AbortController().signal,
  },
  retentionMs,
)
process.send?.('ready')
await once(process, 'message')
for (const each of participants.values()) await forgetting.pass(each)
await Promise.all([...participants.values()].map((each) => each.close()))
await Promise.all(pools.map((pool) => pool.end()))
process.disconnect()

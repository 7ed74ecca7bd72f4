import net from 'node:net'
import { pg, two, sql, sleep, createAssent, P } from './scratch-review-lib.ts'
const [a, b] = await two()
async function section(name: string, f: () => Promise<void>) { console.log('=== ' + name); try { await f() } catch (e) { console.log('SECTION FAILED', e) } }
const txid = () => Buffer.from(crypto.getRandomValues(new Uint8Array(15))).toString('base64url')
const pool = (url: string, o: any = {}) => { const p = new pg.Pool({ connectionString: url, ...o }); p.on('error', () => undefined); return p }

await section('F3 hot loop when a database with an in-doubt branch goes down', async () => {
  const pa = pool(a.url()), pb = pool(b.url())
  let failed = 0
  const assent = createAssent({ app: 'f3', participants: { a: P(pa), b: P(pb) }, onReport: (r) => { if (r.type === 'scan-failed' && r.participant === 'b') failed++ } })
  await assent.transaction(async ({ a, b }) => { await a.query('select 1'); await b.query('select 1') })
  // held: an epoch that the register does not list
  await sql(b, `begin; insert into t values (1); prepare transaction 'A1.f3.a.zzzzzzzz.${txid()}.b'`)
  await sleep(2500); console.log('in doubt:', (await assent.inDoubt()).map((d) => d.reason), 'failed scans so far', failed)
  await b.kill()
  const cpu = process.cpuUsage(); await sleep(3000); const used = process.cpuUsage(cpu)
  console.log('failed scans within 3 s of being down:', failed, 'cpu ms:', Math.round((used.user + used.system) / 1000))
  await b.start()
  for (const { gid } of await sql(b, 'select gid from pg_prepared_xacts')) await sql(b, `rollback prepared '${gid}'`)
  await assent.close(); await pa.end(); await pb.end()
})

await section('F3b head-of-line: a blackholed register delays others', async () => {
  const hole = net.createServer(() => undefined).listen(0, '127.0.0.1'); await sleep(50)
  const port = (hole.address() as net.AddressInfo).port
  const pa = pool(a.url()), pb = pool(b.url()), ph = pool(`postgresql://x:y@127.0.0.1:${port}/z`)
  const epoch = (await sql(a, 'select id from assent.epoch order by ordinal desc limit 1'))[0].id
  for (let i = 0; i < 24; i++) await sql(b, `begin; insert into t values (2); prepare transaction 'A1.f4.hole.${epoch}.${txid()}.b'`)
  const assent = createAssent({ app: 'f4', participants: { a: P(pa), b: P(pb), hole: P(ph) }, onReport: () => undefined })
  await sleep(4000)
  const good = `A1.f4.a.${epoch}.${txid()}.b`
  const t0 = Date.now()
  await sql(b, `begin; insert into t values (3); prepare transaction '${good}'`)
  while ((await sql(b, `select 1 from pg_prepared_xacts where gid='${good}'`)).length && Date.now() - t0 < 90000) await sleep(100)
  console.log('branch of a reachable register recovered after ms', Date.now() - t0)
  for (const { gid } of await sql(b, 'select gid from pg_prepared_xacts')) await sql(b, `rollback prepared '${gid}'`)
  hole.close(); void assent.close(); 
})

await section('F10 reports of other app live branches', async () => {
  const reports: any[] = []
  const idle = createAssent({ app: 'other', participants: { a: P(pool(a.url())), b: P(pool(b.url())) }, onReport: (r) => reports.push(r) })
  const busy = createAssent({ app: 'shop', participants: { a: P(pool(a.url())), b: P(pool(b.url())) }, onReport: () => undefined })
  const end = Date.now() + 8000; let n = 0
  await Promise.all(Array.from({ length: 8 }, async () => { while (Date.now() < end) { await busy.transaction(async ({ a, b }) => { await a.query('insert into t values (9)'); await b.query('insert into t values (9)') }); n++ } }))
  console.log('healthy transactions', n, 'reports at idle app', reports.length, reports[0])
  await idle.close(); await busy.close()
})
await Promise.all([a.remove(), b.remove()])
process.exit(0)

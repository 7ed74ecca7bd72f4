import { pg, two, sql, sleep, createAssent, P } from './scratch-review-lib.ts'
const [a, b] = await two()
process.on('unhandledRejection', (e) => console.log('UNHANDLED', e))
process.on('warning', (w) => console.log('WARNING', w.name, w.message.slice(0, 100)))
async function section(name: string, f: () => Promise<void>) { console.log('=== ' + name); try { await f() } catch (e) { console.log('SECTION FAILED', e) } }
const pool = (url: string, o: any = {}) => { const p = new pg.Pool({ connectionString: url, ...o }); p.on('error', () => undefined); return p }
const show = (e: any) => `${e.code} ${e.outcome} ${e.message}`

await section('F4 secrets', async () => {
  for (const s of [{ app: 'x', participants: { orders: 'postgres://u:SECRET@h/db' } }, 'postgres://u:SECRET@h/db', { app: 'x', participants: 'postgres://u:SECRET@h/db' }, { app: 'postgres://u:SECRET@h/db', participants: {} }]) {
    try { createAssent(s as any) } catch (e) { console.log(show(e)) }
  }
  try { createAssent({ app: 'x', participants: { orders: Object.create(null) } } as any) } catch (e) { console.log(show(e)) }
})

await section('F5 leftover transaction in pool', async () => {
  const pa = pool(a.url(), { max: 1 }), pb = pool(b.url())
  const assent = createAssent({ app: 'f5', participants: { a: P(pa), b: P(pb) }, onReport: () => undefined })
  const c = await pa.connect(); await c.query('begin'); await c.query('insert into t values (666)'); c.release()
  const r = await assent.transaction(async ({ a, b }) => { await a.query('insert into t values (1)'); await b.query('insert into t values (1)'); return 'ok' }).catch(show)
  console.log(r, 'foreign rows committed:', (await sql(a, 'select count(*)::int n from t where x=666'))[0].n)
  await assent.close(); await pa.end(); await pb.end()
})

await section('F6 one-phase, deferred trigger that warns', async () => {
  await sql(a, `create table d(x int); create function w() returns trigger language plpgsql as $$ begin raise warning 'low stock'; return null; end $$;
   create constraint trigger dw after insert on d deferrable initially deferred for each row execute function w()`)
  const pa = pool(a.url())
  const assent = createAssent({ app: 'f6', participants: { a: P(pa) }, onReport: () => undefined })
  const r = await assent.transaction(async ({ a }) => { await a.query('insert into d values (1)'); return 'ok' }).catch(show)
  console.log(r, 'rows', (await sql(a, 'select count(*)::int n from d'))[0].n)
  await assent.close(); await pa.end()
})

await section('F7 participant named null', async () => {
  const pa = pool(a.url()), pb = pool(b.url())
  const assent = createAssent({ app: 'f7', participants: { a: P(pa), null: P(pb) }, onReport: () => undefined })
  await assent.transaction(async (h) => { await h.a.query('select 1'); await h.null.query('select 1') })
  console.log(await sql(a, `select participants, array_position(participants, null) from assent.mark where app = 'f7'`))
  await assent.close(); await pa.end(); await pb.end()
})

await section('F8 prototype names', async () => {
  for (const name of ['constructor', '__proto__', 'toString']) {
    const pa = pool(a.url()), pb = pool(b.url())
    const assent = createAssent({ app: 'f8', participants: { a: P(pa), [name]: P(pb) } as any, onReport: () => undefined }) as any
    for (const options of [{}, { branchIsolation: { a: 'serializable' } }, { reads: [name] }]) {
      const r = await assent.transaction(async (h: any) => { await h.a.query('select 1'); await h[name].query('select 1'); return 'ok' }, options).catch(show)
      console.log(name, JSON.stringify(options), r)
    }
    console.log((await sql(b, `select participants from assent.mark where app='f8'`)).length)
    await assent.close(); await pa.end(); await pb.end()
  }
})

await section('F9 client.on before connect', async () => {
  const pa = pool(a.url())
  const assent = createAssent({ app: 'f9', participants: { a: P(pa) }, onReport: () => undefined })
  let seen = 0
  for (let i = 0; i < 20; i++) await assent.transaction(async ({ a }) => { a.client.on('notice', () => { seen++ }); await a.client.query(`do $$ begin raise notice 'x'; end $$`) })
  console.log('notices seen', seen, 'of 20; listeners now on Client.prototype:', (pg.Client.prototype as any).listenerCount('notice'))
  const t = await assent.transaction(async ({ a }) => { await a.query('select 1'); return (a.client as any).getTypeParser(20, 'text') }).catch((e) => 'getTypeParser: ' + e.message)
  console.log(t)
  await assent.close(); await pa.end()
})

await section('already aborted signal', async () => {
  const pa = pool(a.url())
  const assent = createAssent({ app: 'f11', participants: { a: P(pa) }, onReport: () => undefined })
  let ran = false
  console.log(await assent.transaction(async () => { ran = true }, { signal: AbortSignal.abort() }).catch(show), 'function ran:', ran)
  console.log('throw undefined ->', await assent.transaction(async () => { throw undefined }).catch((e) => String(e)))
  console.log('BEGIN ATOMIC ->', await assent.transaction(async ({ a }) => { await a.query('create function sqlf() returns int language sql begin atomic select 1; end'); return 'ok' }).catch(show))
  console.log('outcome(undefined) ->', await assent.outcome(undefined as any).catch((e) => e.constructor.name + ' ' + e.message))
  await assent.close(); await pa.end()
})

await section('dd-trace-like wrapper', async () => {
  class Traced extends pg.Client { query(...args: any[]): any { const r = (super.query as any)(...args); const q: any = (this as any)._queryQueue.at(-1) || (this as any)._activeQuery; if (!q) return r; if (q.callback) { const o = q.callback; q.callback = function (...x: any[]) { return o.apply(this, x) } } else if (q.once) q.once('end', () => undefined); else q.then(() => undefined, () => undefined); return r } }
  const pa = new (pg.Pool as any)({ connectionString: a.url(), Client: Traced })
  const assent = createAssent({ app: 'f12', participants: { a: P(pa as pg.Pool) }, onReport: (r) => console.log(r.type, (r as any).error?.message) })
  console.log(await assent.transaction(async ({ a }) => { await a.query('select 1'); return 'ok' }).catch(show))
  await sleep(1500)
  await assent.close(); await pa.end()
})
await section('query_timeout + statement unawaited, lists', async () => {
  const pa = pool(a.url(), { query_timeout: 400 }), pb = pool(b.url(), { query_timeout: 400 })
  const assent = createAssent({ app: 'f13', participants: { a: P(pa), b: P(pb) }, onReport: () => undefined })
  console.log(await assent.transaction(async ({ a, b }) => { await b.query('insert into t values (3)'); await a.query('insert into t values (3)').catch(() => 0); await a.query('select pg_sleep(1)').catch((e: any) => console.log('user saw', e.message)); return 'ok' }).catch(show))
  await sleep(1500)
  console.log('pools', pa.totalCount, pa.idleCount, pb.totalCount, pb.idleCount, await sql(a, `select count(*)::int from pg_stat_activity where state like 'idle in%'`))
  await assent.close(); await pa.end(); await pb.end()
})
await Promise.all([a.remove(), b.remove()])
process.exit(0)

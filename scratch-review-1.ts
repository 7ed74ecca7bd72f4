import { pg, two, sql, sleep, createAssent, P, WireProxy } from './scratch-review-lib.ts'
const [a, b] = await two()
async function section(name: string, f: () => Promise<void>) { console.log('=== ' + name); try { await f() } catch (e) { console.log('SECTION FAILED', e) } }

await section('F1 cut after release', async () => {
  let hold = false
  const proxy = await WireProxy.listen({ targetPort: b.port,
    name: (m) => m.statements.map((s) => s.sql).join(';').slice(0, 40) || 'drain',
    onRequest: ({ name }) => (hold && name.startsWith('ROLLBACK') ? 'hold' : 'pass') })
  const poolA = new pg.Pool({ connectionString: a.url(), max: 1 })
  const poolB = new pg.Pool({ connectionString: proxy.url(b.url()), max: 2 })
  let poolErrors = 0
  for (const p of [poolA, poolB]) p.on('error', (e) => { poolErrors++; console.log('pool error event:', e.message) })
  const assent = createAssent({ app: 'f1', participants: { a: P(poolA), b: P(poolB) }, onReport: () => undefined })
  await assent.transaction(async ({ a, b }) => { await a.query('select 1'); await b.query('select 1') })
  hold = true
  const first = assent.transaction(async ({ a, b }) => { await a.query('select 1'); await b.query('select 1'); throw new Error('user says no') }, { timeoutMs: 1500 }).catch((e) => 'first: ' + e.message)
  await sleep(300)
  const second = assent.transaction(async ({ a }) => { await a.query('insert into t values (77)'); await a.query('select pg_sleep(2.5)'); return 'ok' }, { timeoutMs: 20000 }).then((v) => 'second: ' + v, (e) => 'second INNOCENT: ' + (e.code ?? '') + ' ' + e.message)
  console.log(await first); console.log(await second)
  // an innocent plain pool user
  const third = assent.transaction(async ({ a, b }) => { await a.query('select 1'); await b.query('select 1'); throw new Error('user says no') }, { timeoutMs: 1000 }).catch((e) => 'third: ' + e.message)
  await sleep(300)
  const plain = poolA.query('select pg_sleep(2)').then(() => 'plain ok', (e) => 'plain pool.query INNOCENT: ' + e.message)
  console.log(await third, await plain)
  const fourth = assent.transaction(async ({ a, b }) => { await a.query('select 1'); await b.query('select 1'); throw new Error('user says no') }, { timeoutMs: 1000 }).catch((e) => 'fourth: ' + e.message)
  console.log(await fourth); await sleep(200)
  console.log('pool error events (idle client cut):', poolErrors)
  hold = false; await assent.close(); await proxy.close(); await poolA.end(); await poolB.end()
})

await section('F2 late join', async () => {
  for (const mode of ['two-party', 'resolved']) for (let n = 9; n <= 14; n++) {
    const poolA = new pg.Pool({ connectionString: a.url(), max: 3 }), poolB = new pg.Pool({ connectionString: b.url(), max: 3 })
    for (const p of [poolA, poolB]) p.on('error', () => undefined)
    const assent = createAssent({ app: 'f2', participants: { a: P(poolA), b: P(poolB) }, onReport: () => undefined })
    let late = 'not tried'
    const r = await assent.transaction(async ({ a, b }) => {
      await a.query('select 1')
      void (async () => { for (let i = 0; i < n; i++) await null; try { await b.query('insert into t values (55)'); late = 'RAN' } catch (e: any) { late = 'refused ' + e.code } })()
      return 'ok'
    }).catch((e) => e.code + ' ' + e.message)
    await sleep(60)
    const busy = poolB.totalCount - poolB.idleCount
    const open = await sql(b, "select count(*)::int n from pg_stat_activity where state like 'idle in transaction%'")
    if (busy || open[0].n || (late === 'RAN' )) { const rows = (await sql(b, 'select count(*)::int n from t where x=55'))[0].n; console.log({ n, r, late, leakedPoolConnections: busy, openTx: open[0].n, rowsCommitted: rows }) }
    await sql(b, 'delete from t').catch(() => undefined)
    await assent.close(); await poolA.end(); void poolB.end()
    await sql(b, "select pg_terminate_backend(pid) from pg_stat_activity where state like 'idle in transaction%'")
    if (mode === 'resolved') break
  }
})
await Promise.all([a.remove(), b.remove()])
process.exit(0)

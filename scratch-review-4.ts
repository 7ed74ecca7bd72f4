import { execSync } from 'node:child_process'
import { readFileSync, writeFileSync, chownSync, statSync, chmodSync } from 'node:fs'
import { pg, two, sql, sleep, createAssent, P, WireProxy } from './scratch-review-lib.ts'
const [a, b] = await two()
process.on('unhandledRejection', (e) => console.log('UNHANDLED', e))
async function section(name: string, f: () => Promise<void>) { console.log('=== ' + name); try { await f() } catch (e) { console.log('SECTION FAILED', e) } }
const pool = (url: string, o: any = {}) => { const p = new pg.Pool({ connectionString: url, ...o }); p.on('error', () => undefined); return p }
const show = (e: any) => `${e.code} ${e.outcome} ${e.message}`

await section('CR ends a comment for the server, not for the guard', async () => {
  const pa = pool(a.url())
  const assent = createAssent({ app: 'g1', participants: { a: P(pa) }, onReport: () => undefined })
  for (const text of ['select 1 -- note\rrollback and chain', 'select 1 as é$$; rollback and chain; select 1 as é$$', 'select 1 -- note\r; rollback and chain']) {
    await sql(a, 'delete from t')
    const r = await assent.transaction(async ({ a }) => { await a.query('insert into t values (1)'); await a.query('savepoint s'); await a.query('release savepoint s'); await a.query(text).catch((e: any) => { console.log('user error', e.message) ; throw e}); await a.query('insert into t values (2)'); return 'RESOLVED' }).catch(show)
    console.log(JSON.stringify(text), '->', r, 'rows', (await sql(a, 'select x from t')).map((x: any) => x.x))
  }
  await assent.close(); await pa.end()
})

await section('one-phase, cut wait for replication, client_min_messages = error', async () => {
  const pa = pool(a.url())
  const assent = createAssent({ app: 'g2', participants: { a: P(pa) }, onReport: () => undefined })
  await sql(a, "alter system set synchronous_standby_names = 'nobody'"); await sql(a, 'select pg_reload_conf()'); await sleep(500)
  for (const level of ['warning', 'error']) {
    const stop = setInterval(() => void sql(a, "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'"), 100)
    const r = await assent.transaction(async ({ a }) => { await a.query('set local client_min_messages = ' + level); await a.query('insert into t values (5)'); return 'RESOLVED' }).catch(show)
    clearInterval(stop); console.log(level, '->', r)
  }
  const c = new pg.Client(a.url()); await c.connect(); await c.query('set synchronous_commit = local'); await c.query("alter system reset synchronous_standby_names"); await c.query('select pg_reload_conf()'); await c.end(); await sleep(300)
  await assent.close(); await pa.end()
})

await section('close() while a service connection is being opened', async () => {
  let hold = true
  const proxy = await WireProxy.listen({ targetPort: a.port, name: (m) => m.statements.map((s) => s.sql).join(';').slice(0, 40) || 'x', onRequest: async ({ message }) => { if (hold && message.statements.some((s) => /set_config\('application_name'/.test(s.sql))) { await sleep(1500) } return 'pass' } })
  const pa = pool(proxy.url(a.url()), { max: 1 })
  const assent = createAssent({ app: 'g3', participants: { a: P(pa) }, onReport: () => undefined })
  void assent.outcome('A1.g3.a.aaaaaaaa.aaaaaaaaaaaaaaaaaaaa').then((r) => console.log('outcome', r), (e) => console.log(show(e)))
  await sleep(700)
  const t = Date.now(); await assent.close(); console.log('close took', Date.now() - t); await pa.end(); await sleep(3000)
  console.log('connections left after close():', proxy.connectionCount)
  proxy.dropAll(); await proxy.close()
})

await section('TLS', async () => {
  const dir = a.folder + '/data'
  execSync(`openssl req -new -x509 -days 2 -nodes -subj /CN=localhost -out ${dir}/server.crt -keyout ${dir}/server.key 2>/dev/null`)
  const own = statSync(dir + '/PG_VERSION'); for (const f of ['server.crt', 'server.key']) { chownSync(dir + '/' + f, own.uid, own.gid); chmodSync(dir + '/' + f, 0o600) }
  await sql(a, 'alter system set ssl = on'); await a.restart()
  const pa = pool(a.url(), { ssl: { rejectUnauthorized: false } }), pb = pool(b.url())
  const assent = createAssent({ app: 'g4', participants: { a: P(pa), b: P(pb) }, onReport: (r) => console.log(r.type) })
  console.log(await assent.transaction(async ({ a, b }) => { const r = await a.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()'); await b.query('select 1'); return r.rows }).catch(show))
  const t = Date.now()
  console.log(await assent.transaction(async ({ a }) => { await a.query('select pg_sleep(3)') }, { timeoutMs: 500 }).catch(show), Date.now() - t, 'ms')
  await sleep(300); console.log('pool', pa.totalCount, pa.idleCount, await sql(a, "select count(*)::int, bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) where application_name like 'assent%'"))
  await assent.close(); await pa.end(); await pb.end()
})
await Promise.all([a.remove(), b.remove()])
process.exit(0)

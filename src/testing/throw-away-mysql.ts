/**
 * The end of a throw-away database on MySQL and MariaDB.
 */
import { AssentError } from '../protocol/index.ts'
import type { TestDriver } from './throw-away-database.ts'

interface Connection {
  query(text: string): Promise<unknown>
  end(): Promise<unknown>
}

const TRIES = 50
const AGAIN_MS = 100
const LOCK_WAIT_TIMEOUT = 1205

export async function openMysql(driver: TestDriver, url: string): Promise<Connection> {
  const { createConnection } = driver as unknown as {
    createConnection: (url: string) => Promise<Connection>
  }
  const server = new URL(url)
  // The driver mariadb insists on one. This is everywhere, and everybody may be in it.
  if (server.pathname.length <= 1) server.pathname = '/information_schema'
  try {
    return await createConnection(server.href)
  } catch (error) {
    if (!isOfAddress(error)) throw error
    throw new AssentError({
      code: 'ASSENT_OPTION',
      outcome: 'aborted',
      message:
        'throwAwayDatabase() was given a `url` that its driver can’t read. Expected mysql://… for ' +
        'mysql2, and mariadb://… for mariadb.',
    })
  }
}

/** It quotes the address, password included. */
function isOfAddress(error: unknown): boolean {
  return error instanceof Error && error.message.includes('://')
}

export async function dropMysql(
  driver: TestDriver,
  url: string,
  name: string,
  app: string | undefined,
): Promise<void> {
  const connection = await openMysql(driver, url)
  try {
    await endSessions(connection, name)
    if (app !== undefined) await rollBackPrepared(connection, `A1.${app}.`)
    await connection.query('SET SESSION lock_wait_timeout = 5')
    await connection.query(`DROP DATABASE ${name}`)
  } catch (error) {
    throw isLocked(error) ? stillPrepared(name, error) : error
  } finally {
    await connection.end()
  }
}

/** A prepared branch can be ended by others once the connection that prepared it is gone. */
async function endSessions(connection: Connection, name: string): Promise<void> {
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    const sessions = await rows(
      connection,
      `SELECT ID AS id FROM information_schema.PROCESSLIST
WHERE DB = '${name}' AND ID <> CONNECTION_ID()`,
    )
    if (sessions.length === 0) return
    for (const { id } of sessions) {
      await connection.query(`KILL CONNECTION ${Number(id)}`).catch(() => undefined)
    }
    await pause()
  }
}

async function rollBackPrepared(connection: Connection, prefix: string): Promise<void> {
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    const listed = await rows(connection, 'XA RECOVER')
    const own = listed.filter(({ data }) => bytesOf(data).toString().startsWith(prefix))
    if (own.length === 0) return
    for (const { formatID, gtrid_length: length, data } of own) {
      const bytes = bytesOf(data)
      const gtrid = bytes.subarray(0, Number(length)).toString('hex')
      const bqual = bytes.subarray(Number(length)).toString('hex')
      const rollBack = `XA ROLLBACK X'${gtrid}', X'${bqual}', ${Number(formatID)}`
      // Somebody may have ended it in the meantime, or its connection be just ending.
      await connection.query(rollBack).catch(() => undefined)
    }
    await pause()
  }
}

/** mysql2 answers with rows and fields, mariadb with rows. */
async function rows(
  connection: Connection,
  text: string,
): Promise<readonly Record<string, unknown>[]> {
  const result = (await connection.query(text)) as readonly unknown[]
  const [first] = result
  return (Array.isArray(first) ? first : result) as readonly Record<string, unknown>[]
}

function bytesOf(data: unknown): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(String(data))
}

function isLocked(error: unknown): boolean {
  return (error as { readonly errno?: unknown } | null)?.errno === LOCK_WAIT_TIMEOUT
}

function stillPrepared(name: string, cause: unknown): AssentError {
  return new AssentError({
    code: 'ASSENT_OPTION',
    outcome: 'unknown',
    message:
      `${name} can't be dropped: a prepared branch holds it, most likely. Give the app of the ` +
      `Assent objects under test, so that what is left of it is rolled back: ` +
      `throwAwayDatabase({ url, driver, app: 'shop' }).`,
    cause,
  })
}

function pause(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, AGAIN_MS)
  })
}

/**
 * What is prepared in one PostgreSQL database, and ending it.
 *
 * Owns: the scan, and COMMIT PREPARED / ROLLBACK PREPARED from a connection kept for recovery.
 * Promises: the scan is one query; it sees this database only (PostgreSQL lists the whole cluster).
 */
import { formatGid } from '../../protocol/index.ts'
import type { EndAnswer, Gid } from '../../protocol/index.ts'
import type { PreparedList } from '../../ports/index.ts'
import { readEnd } from './answers.ts'
import { REPLICATION, endStatement, replicationOf } from './mark.ts'
import type { Replication } from './mark.ts'
import { NoConnection } from '../common/slots.ts'
import { answered } from './service-connections.ts'
import type { ServiceConnections } from './service-connections.ts'

/**
 * One row per prepared transaction, and at least one. `processes` counts the connections that scan:
 * one for each process, named so, and kept open. What a prepared transaction holds back of VACUUM is
 * everything since its own id: it has no snapshot any more.
 */
const SCAN = `SELECT prepared.gid,
  (extract(epoch FROM clock_timestamp() - prepared.prepared) * 1000)::bigint,
  prepared.owner = current_user OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
  scanning.processes, ${REPLICATION}, age(prepared.transaction), prepared.owner
FROM (SELECT count(*) AS processes FROM pg_stat_activity
  WHERE datname = current_database() AND application_name = $1::text) AS scanning
LEFT JOIN pg_prepared_xacts AS prepared ON prepared.database = current_database()`

export async function listPrepared(
  connections: ServiceConnections,
  applicationName: string,
): Promise<PreparedList & { readonly replication: Replication }> {
  const reply = await connections.use((connection) =>
    answered(connection, [{ text: SCAN, values: [applicationName], again: true }]),
  )
  const rows = reply.rows[0] ?? []
  return {
    replication: replicationOf(rows[0]?.[4]),
    processes: Math.max(1, Number(rows[0]?.[3] ?? 1)),
    horizonTransactions: Math.max(0, ...rows.map(([, , , , , age]) => Number(age ?? 0))),
    branches: rows.flatMap(([gid, age, mayEnd, , , , owner]) => {
      if (gid == null) return []
      const ageMs = Number(age)
      const role = `role ${owner ?? ''}`
      return [{ gid, ageMs, preparedForMs: ageMs, mayEnd: mayEnd === 't', owner: role }]
    }),
  }
}

/** Never rejects. */
export async function endPrepared(
  connections: ServiceConnections,
  gid: Gid,
  decision: 'commit' | 'abort',
): Promise<EndAnswer> {
  try {
    const reply = await connections.use((connection) =>
      connection.send([endStatement(formatGid(gid), decision)]),
    )
    return readEnd(reply, decision)
  } catch (error) {
    if (error instanceof NoConnection) return { answer: 'unknown', cause: error }
    throw error
  }
}

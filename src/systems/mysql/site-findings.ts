/**
 * The checks of a MySQL or MariaDB server: one list, for whoever wants to mark and for `assent doctor`.
 *
 * Owns: which settings are asked, what must be true, and the words that say what to change.
 * Never: changes anything.
 */
import type { Finding } from '../../ports/index.ts'
import { advice, mustChange, ok } from '../common/findings.ts'
import { IDLE_MARGIN_S } from './idle.ts'
import { SCHEMA_VERSION } from './schema.ts'
import type { SchemaNames } from './schema.ts'
import { isOff } from './server-facts.ts'
import type { ServerFacts } from './server-facts.ts'

/** Global variables that are asked; a server has some of them. */
export const SETTINGS = [
  'binlog_format',
  'innodb_doublewrite',
  'innodb_flush_log_at_trx_commit',
  'innodb_flush_method',
  'log_bin',
  'read_only',
  'sync_binlog',
  'wsrep_on',
  'xa_detach_on_prepare',
]

export type Settings = ReadonlyMap<string, string>

export function isOn(settings: Settings, name: string): boolean {
  return ['1', 'ON'].includes(settings.get(name) ?? '')
}

export function isReadOnly(settings: Settings): boolean {
  return !isOff(settings.get('read_only'))
}

/** What must be true of the server before anything is marked. */
export function serverFindings(settings: Settings): readonly Finding[] {
  const findings: Finding[] = []
  // As of now: a replica may have been promoted since its connection was made.
  if (isReadOnly(settings)) {
    findings.push(
      mustChange(
        'ASSENT_REPLICA',
        'its server is read_only: a replica, most likely',
        'Connect to the primary, or declare it in `reads`',
      ),
    )
  }
  if (isOn(settings, 'wsrep_on')) {
    findings.push(
      mustChange(
        'ASSENT_UNSUPPORTED',
        'it is a node of a Galera cluster, which has no XA and can lose what it has committed',
        'Use a server with ordinary replication, or declare it in `reads`',
      ),
    )
  }
  return [...findings, ...durabilityFindings(settings), ...xaFindings(settings)]
}

function durabilityFindings(settings: Settings): readonly Finding[] {
  const hasBinlog = isOn(settings, 'log_bin')
  const demands: readonly (readonly [string, boolean, string])[] = [
    ['innodb_flush_log_at_trx_commit', settings.get('innodb_flush_log_at_trx_commit') === '1', '1'],
    ['innodb_doublewrite', settings.get('innodb_doublewrite') !== 'OFF', 'ON'],
    ['sync_binlog', !hasBinlog || settings.get('sync_binlog') === '1', '1'],
  ]
  const method: readonly Finding[] =
    settings.get('innodb_flush_method') === 'nosync'
      ? [
          mustChange(
            'ASSENT_NOT_DURABLE',
            'innodb_flush_method is nosync, so a crash can undo what was answered',
            'Take it out of the server’s configuration, and restart it',
          ),
        ]
      : []
  const demanded = demands.flatMap(([name, isMet, value]): readonly Finding[] => {
    const is = settings.get(name) ?? 'unknown'
    if (isMet) return name === 'sync_binlog' && !hasBinlog ? [] : [ok(`${name} is ${is}`)]
    return [
      mustChange(
        'ASSENT_NOT_DURABLE',
        `${name} is ${is}, so a crash can undo what was answered`,
        `Run SET GLOBAL ${name} = ${value}, and write it into the server's configuration`,
      ),
    ]
  })
  return [...demanded, ...method]
}

function xaFindings(settings: Settings): readonly Finding[] {
  const findings: Finding[] = []
  if (isOn(settings, 'log_bin') && settings.get('binlog_format') === 'STATEMENT') {
    findings.push(
      mustChange(
        'ASSENT_UNSUPPORTED',
        'binlog_format is STATEMENT, with which InnoDB refuses READ COMMITTED',
        'Run SET GLOBAL binlog_format = ROW, and write it into the server’s configuration',
      ),
    )
  }
  if (settings.get('xa_detach_on_prepare') === 'OFF') {
    findings.push(
      mustChange(
        'ASSENT_UNSUPPORTED',
        'xa_detach_on_prepare is OFF, so that nobody else could end a branch',
        'Run SET GLOBAL xa_detach_on_prepare = ON',
      ),
    )
  }
  return findings
}

/** XA RECOVER was refused for want of a privilege. */
export function mayNotList(cause: unknown): Finding {
  return mustChange(
    'ASSENT_PRIVILEGE',
    'its user may not list prepared branches',
    'Run GRANT XA_RECOVER_ADMIN ON *.* TO that user',
    cause,
  )
}

/** `strange`: tables of ours that another engine keeps; `version`: of the tables. */
export function tableFindings(
  { schema }: SchemaNames,
  strange: readonly (readonly (string | null)[])[],
  version: string | undefined,
): readonly Finding[] {
  const findings: Finding[] = []
  if (strange.length > 0) {
    const tables = strange.map(([table, engine]) => `${table ?? ''} (${engine ?? ''})`).join(', ')
    findings.push(
      mustChange(
        'ASSENT_NOT_DURABLE',
        `these tables of Assent are not kept by InnoDB: ${tables}`,
        'Run ALTER TABLE … ENGINE = InnoDB',
      ),
    )
  }
  if (version !== String(SCHEMA_VERSION)) {
    findings.push(
      mustChange(
        'ASSENT_SCHEMA_VERSION',
        `the tables in ${schema} are of version ${version ?? 'none'}, and this Assent needs ` +
          `${SCHEMA_VERSION}`,
        'Run the Assent that made them, or migrate',
      ),
    )
  }
  return findings.length > 0 ? findings : [ok("Assent's tables are there, and kept by InnoDB")]
}

/** What a person should know beside what must be true. */
export function doctorFindings(settings: Settings, server: ServerFacts): readonly Finding[] {
  if (server.flavour !== 'mariadb') return []
  const findings = [
    advice(
      'MariaDB lets any user who can connect end a prepared branch whose id he knows (XA RECOVER lists them)',
    ),
    idleFinding(server),
  ]
  if (isOn(settings, 'log_bin')) {
    findings.push(
      advice(
        'MariaDB with a binary log: that log is not safe for XA over a crash (MDEV-21469, MDEV-31949, ' +
          'MDEV-32830), so a replica can differ after one; a decider that is found prepared then is ' +
          'committed by recovery',
        'After a crash of it, run assent recover, and compare its replicas',
      ),
    )
  }
  return findings
}

/** No fault, and not to be changed for everybody who uses the server: it saves a message, no round trip. */
function idleFinding({ idleSeconds }: ServerFacts): Finding {
  if (idleSeconds === 0) {
    return advice(
      'idle_transaction_timeout is 0 in its sessions: Assent sets it for each transaction, and back; with the ' +
        `time-out of transactions or up to ${IDLE_MARGIN_S} s more (35, where that is 30 s) it need not`,
    )
  }
  const least = Math.max(1, idleSeconds - IDLE_MARGIN_S)
  return ok(
    `idle_transaction_timeout is ${idleSeconds} in its sessions: left so for transactions whose time-out is ` +
      `${least} to ${idleSeconds} s`,
  )
}

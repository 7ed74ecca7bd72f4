/**
 * The XA id of a branch.
 *
 * Owns: what it is made of, and reading it back from XA RECOVER.
 * Promises: what `readXid` calls ours was written by `formatXid`; no part of an id needs quoting.
 *
 *   gtrid      A1.<app>.<register>.<epoch>.<txid>                         ≤ 64 bytes
 *   bqual      <branch>.<connection>.<start of the server>, in base 36    ≤ 64 bytes
 *   formatID   16723
 *
 * The connection is in it since MariaDB lets nobody else end a prepared branch while the connection
 * that prepared it lives; and the server's start, since the numbers of connections begin anew with it.
 * (Of a server that was started twice within one second, a branch would wait until whoever has its
 * connection's number now has been idle for a while.)
 */
import { formatTransactionId } from '../../protocol/index.ts'
import type { Gid } from '../../protocol/index.ts'

/** "AS". With a binlog, MariaDB keeps four bytes of it. */
const FORMAT_ID = 16_723

/** The connection that a branch was begun on. */
export interface Owner {
  readonly connection: number
  /** The server's start, in seconds since 1970 by its own clock. */
  readonly start: number
}

export interface Xid {
  /** As `XA COMMIT` takes it. */
  readonly literal: string
  /** The gid that the protocol knows the branch by; for a stranger, a text that is none. */
  readonly gid: string
  readonly owner: Owner | undefined
}

export function formatXid(gid: Gid, owner: Owner): string {
  const bqual = `${gid.branch}.${owner.connection.toString(36)}.${owner.start.toString(36)}`
  return `'${formatTransactionId(gid)}','${bqual}',${FORMAT_ID}`
}

const OUR_PARTS = /^(A[0-9]+\.[A-Za-z0-9_.-]+)$/
const OUR_BQUAL = /^([A-Za-z0-9_-]+)\.([0-9a-z]{1,13})\.([0-9a-z]{1,13})$/

/** Reads one row of XA RECOVER, whose data is given in hexadecimal. */
export function readXid(formatId: string, gtridLength: string, hex: string): Xid {
  const bytes = Buffer.from(hex, 'hex')
  const gtrid = bytes.subarray(0, Number(gtridLength)).toString('latin1')
  const bqual = bytes.subarray(Number(gtridLength)).toString('latin1')
  const [, branch, connection, start] = OUR_BQUAL.exec(bqual) ?? []
  const literal = `X'${Buffer.from(gtrid, 'latin1').toString('hex')}',X'${Buffer.from(bqual, 'latin1').toString('hex')}',${Number(formatId)}`
  const isOurs = Number(formatId) === FORMAT_ID && OUR_PARTS.test(gtrid)
  if (isOurs && branch !== undefined && connection !== undefined && start !== undefined) {
    const owner = { connection: parseInt(connection, 36), start: parseInt(start, 36) }
    return { literal, gid: `${gtrid}.${branch}`, owner }
  }
  // Like one of ours, and not to be read: no gid has a slash. Anything else is a stranger's.
  const gid = isOurs ? `${gtrid}/${bqual}` : `xa:${formatId}:${hex}`
  return { literal, gid, owner: undefined }
}

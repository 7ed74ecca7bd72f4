/**
 * The ids of the protocol: transaction ids, gids, epochs and names.
 *
 * Owns: their alphabet, their layout and their limits.
 * Promises: what `parse` reads was written by `format` of this version, or is reported as a
 * stranger; a gid that was formatted needs no quoting in any SQL dialect.
 * Never: makes anything random itself; the bytes come from the world (`ports/world.ts`).
 *
 *   gid             A1.<app>.<register>.<epoch>.<txid>.<branch>      ≤ 64 characters
 *   transaction id  A1.<app>.<register>.<epoch>.<txid>               once the register is fixed
 *   txid            20 characters of base64url (94 random bits: see transaction/txid.ts)
 *   epoch           8 characters of base64url (48 random bits)
 *
 * gids are unique per PostgreSQL *server*, not per database, hence the branch at the end.
 */
import { AssentError } from './errors.ts'

/** The longest gid that every supported system accepts (MySQL: 64; PostgreSQL: 199). */
export const GID_LIMIT = 64
/** Bytes of a txid. Divisible by three, so that base64url needs no padding. */
export const TXID_BYTES = 15
/** Random bytes of an epoch's id. */
export const EPOCH_BYTES = 6

/**
 * The epoch in the id of a decider's own branch, which begins before any is needed. Nothing ever asks for
 * it: a decider that is found prepared is the decision itself.
 */
export const NO_EPOCH = '--------'

const VERSION = 'A1'
const NAME = /^[A-Za-z0-9_-]+$/
const TXID = /^[A-Za-z0-9_-]{20}$/
const EPOCH = /^[A-Za-z0-9_-]{8}$/
/** Properties that an object has or is asked for without anybody meaning a participant. */
const RESERVED: ReadonlySet<string> = new Set([
  'then',
  ...Object.getOwnPropertyNames(Object.prototype),
])
/** Every gid of any version of Assent starts like this; its first character is not base64url. */
const OURS = /^A[0-9]+\./

/** Names a transaction whose register is fixed. Anybody who has it can ask for the outcome. */
export interface TransactionId {
  readonly app: string
  /** The participant in which the decision is read. */
  readonly register: string
  readonly epoch: string
  readonly txid: string
}

/** Names one prepared branch, and with it the register to ask. */
export interface Gid extends TransactionId {
  readonly branch: string
}

/** What a prepared transaction's id turned out to be. */
export type GidReading =
  | { readonly kind: 'ours'; readonly gid: Gid }
  /** Well-formed, but of another application: its own processes recover it. */
  | { readonly kind: 'other-app'; readonly app: string }
  /** Starts like one of ours and can't be read: made by hand, or by a newer version. */
  | { readonly kind: 'unreadable' }
  /** Nothing to do with Assent. */
  | { readonly kind: 'stranger' }

export function formatGid(gid: Gid): string {
  return `${formatTransactionId(gid)}.${gid.branch}`
}

export function formatTransactionId(id: TransactionId): string {
  return `${VERSION}.${id.app}.${id.register}.${id.epoch}.${id.txid}`
}

/** Reads the id of a prepared transaction as a process of `app` sees it. */
export function readGid(text: string, app: string): GidReading {
  if (!OURS.test(text)) return { kind: 'stranger' }
  const parts = text.split('.')
  const branch = parts[5]
  const id = parseTransactionId(parts.slice(0, 5).join('.'))
  if (parts.length !== 6 || branch === undefined || !NAME.test(branch))
    return { kind: 'unreadable' }
  if (id.kind !== 'registered') return { kind: 'unreadable' }
  if (id.id.app !== app) return { kind: 'other-app', app: id.id.app }
  return { kind: 'ours', gid: { ...id.id, branch } }
}

/** What an id that a caller gave turned out to be. */
export type IdReading =
  | { readonly kind: 'registered'; readonly id: TransactionId }
  /** A `tx.id` from a log: it names no register. */
  | { readonly kind: 'bare'; readonly txid: string }
  | { readonly kind: 'unreadable' }

export function parseTransactionId(text: string): IdReading {
  if (TXID.test(text)) return { kind: 'bare', txid: text }
  const [version, app, register, epoch, txid, ...rest] = text.split('.')
  if (version !== VERSION || rest.length > 0) return { kind: 'unreadable' }
  if (app === undefined || register === undefined || !NAME.test(app) || !NAME.test(register)) {
    return { kind: 'unreadable' }
  }
  if (epoch === undefined || txid === undefined || !EPOCH.test(epoch) || !TXID.test(txid)) {
    return { kind: 'unreadable' }
  }
  return { kind: 'registered', id: { app, register, epoch, txid } }
}

/**
 * Refuses an application or participant name that a gid can't carry.
 *
 * @throws AssentError `ASSENT_NAME`
 */
export function checkName(kind: 'app' | 'participant', name: string): void {
  if (NAME.test(name) && !RESERVED.has(name)) return
  throw new AssentError({
    code: 'ASSENT_NAME',
    outcome: 'aborted',
    message:
      `The ${kind} name ${shown(name)} can't be part of a transaction's id. ` +
      `Expected one or more of A-Z a-z 0-9 _ -, and no name that JavaScript objects have ` +
      `(constructor, then, …). Choose another name.`,
  })
}

/** A connection string in the place of a name must not end up in a log. */
function shown(name: string): string {
  const isHarmless = name.length <= 40 && !/[:/@]/.test(name)
  return isHarmless ? JSON.stringify(name) : `of ${name.length} characters`
}

/**
 * Refuses names that together would make a gid longer than every system accepts.
 *
 * @throws AssentError `ASSENT_NAME`
 */
export function checkNamesFit(app: string, participants: readonly string[]): void {
  const [first = '', second = first] = [...participants].sort((a, b) => b.length - a.length)
  const length = formatGid({
    app,
    register: first,
    epoch: '0'.repeat(8),
    txid: '0'.repeat(20),
    branch: second,
  }).length
  if (length <= GID_LIMIT) return
  throw new AssentError({
    code: 'ASSENT_NAME',
    outcome: 'aborted',
    message:
      `The names app ${JSON.stringify(app)}, participants ${JSON.stringify(first)} and ` +
      `${JSON.stringify(second)} make ids of ${length} characters, and every database accepts ` +
      `at most ${GID_LIMIT}. Together these three may have ` +
      `${GID_LIMIT - (length - app.length - first.length - second.length)} characters; they have ` +
      `${app.length + first.length + second.length}. Choose shorter names.`,
  })
}

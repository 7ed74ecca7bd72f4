/**
 * Alarms found while going through marks: once per process, since what nobody repairs is found
 * again with every pass.
 */
import { formatGid } from '../protocol/index.ts'
import { LIMITS } from './limits.ts'
import type { Report } from './reports.ts'

export class Alarms {
  readonly #app: string
  readonly #report: (report: Report) => void
  readonly #most: number
  readonly #told = new Set<string>()

  /** `most`: how many are told, at the most. */
  constructor(
    app: string,
    report: (report: Report) => void,
    most: number = LIMITS.alarmsRemembered,
  ) {
    this.#most = most
    this.#app = app
    this.#report = report
  }

  /** `branch` lost its vote, or has a receipt without a decision. */
  tell(
    type: 'lost-vote' | 'lost-decision',
    branch: string,
    register: string,
    { txid, epoch }: { readonly txid: string; readonly epoch: string },
  ): void {
    const gid = formatGid({ app: this.#app, register, epoch, txid, branch })
    if (this.#told.has(gid) || this.#told.size >= this.#most) return
    this.#told.add(gid)
    this.#report({ type, participant: branch, gid })
  }
}

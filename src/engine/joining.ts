/**
 * A participant that is joining a transaction, or has joined, or could not.
 *
 * Owns: what is known of it without waiting; what becomes of one that joins too late.
 */
import type { Branch, BranchFault } from '../ports/index.ts'

export class Joining {
  readonly name: string
  /** Whoever waits for it finds `joined` or `failure` set already: they are set by its first waiter. */
  readonly branch: Promise<Branch>
  joined: Branch | undefined
  failure: { readonly error: unknown } | undefined

  /** `as`: what the engine takes the branch for, where that is not the branch itself. */
  constructor(name: string, branch: Promise<Branch>, as?: (branch: Branch) => Branch) {
    this.name = name
    this.branch = branch
    branch.then(
      (joined) => {
        this.joined = as === undefined ? joined : as(joined)
      },
      (error: unknown) => {
        this.failure = { error }
      },
    )
  }
}

/** A participant that could not be had is missing from the work, like a statement that failed. */
export function faultOf({ name, joined, failure }: Joining): BranchFault | undefined {
  if (failure === undefined) return joined?.fault()
  const { error } = failure
  return {
    code: 'ASSENT_UNCLEAR',
    outcome: 'aborted',
    message:
      `${name} could not take part, its error was caught, and the transaction went on: ` +
      (error instanceof Error ? error.message.replace(/\.$/, '') : String(error)),
    cause: error,
  }
}

/** A branch whose BEGIN is answered after its transaction has ended is rolled back then. */
export async function endLateJoin(joining: Joining): Promise<void> {
  if (joining.joined !== undefined) return
  try {
    const branch = await joining.branch
    branch.seal(() => undefined)
    // Nobody waits for what its caller has sent in the meantime.
    branch.cut()
    await branch.end('abort', undefined)
  } catch {
    // It never joined.
  }
}

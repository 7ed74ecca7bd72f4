/**
 * A handle that was used when its transaction's function had returned.
 */
import { AssentError } from '../../protocol/index.ts'

export function usedTooLate(name: string): AssentError {
  return new AssentError({
    code: 'ASSENT_BRANCH_ENDED',
    outcome: 'unknown',
    message:
      `${name} was used after its transaction's function had returned; this statement ` +
      `was not run. Await every statement inside the function given to transaction().`,
  })
}

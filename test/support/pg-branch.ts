/**
 * A branch of the pg system, seen from inside: tests that speak SQL on it need its own `query`.
 */
import type { Branch } from '../../src/ports/index.ts'
import { PgBranch } from '../../src/systems/pg/branch.ts'

export function pgBranch(branch: Branch): PgBranch {
  if (branch instanceof PgBranch) return branch
  throw new Error(`${branch.name} is no branch of pg`)
}

/** Runs a statement as the user's function would. */
export async function run(branch: Branch, text: string): Promise<void> {
  await pgBranch(branch).query([text])
}

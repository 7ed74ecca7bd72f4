/**
 * A branch of the mysql system, seen from inside: tests that speak SQL on it need its own methods.
 */
import type { Branch } from '../../src/ports/index.ts'
import { MysqlBranch } from '../../src/systems/mysql/branch.ts'

export function mysqlBranch(branch: Branch): MysqlBranch {
  if (branch instanceof MysqlBranch) return branch
  throw new Error(`${branch.name} is no branch of mysql`)
}

/** Runs a statement as the user's function would. */
export async function runMysql(branch: Branch, text: string): Promise<void> {
  await mysqlBranch(branch).run('query', [text])
}

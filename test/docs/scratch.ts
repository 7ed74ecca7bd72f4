/**
 * A folder for code out of the documentation, inside the package, so that `assent` and `pg` resolve
 * as they do for a user.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import { root } from './markdown.ts'

export function scratch(): string {
  const folder = mkdtempSync(path.join(root, 'test/docs/scratch-'))
  onTestFinished(() => {
    rmSync(folder, { recursive: true })
  })
  return folder
}

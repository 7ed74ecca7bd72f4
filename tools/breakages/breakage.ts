/**
 * Something that is broken on purpose, and who has to notice it.
 */
export interface Breakage {
  readonly name: string
  readonly file: string
  readonly find: string
  readonly replace: string
  /** Which tests to run: on real servers where the breakage can be seen there. */
  readonly tests: readonly string[]
}

/** The explorations. */
export const MODEL = [
  'test/model/machines',
  'test/model/faults',
  'test/model/properties',
  'test/model/forgetting-properties',
]

import { defineConfig } from 'vitest/config'
import { BaseSequencer } from 'vitest/node'
import type { TestSpecification } from 'vitest/node'
import { packageFolder } from './harness/on-demand.ts'

// Another version of node-postgres in place of the development dependency: tests import `pg`, and
// what they test has no import of it.
const driver = process.env['ASSENT_DRIVER']
const alias = driver ? { pg: packageFolder('drivers', `pg-${driver}`) } : {}

// Minutes of a processor, which only `npm run test:pairs` has.
const longest = 'test/full/wide-exploration-shown-first.test.ts'
const tooLong = [
  ...(process.env['ASSENT_FULL'] ? [] : ['test/full/**']),
  ...(process.env['ASSENT_PAIRS'] === 'all' ? [] : [longest]),
]

// Real servers, two cores: two files at a time keep the waits of one from starving the other. The long
// ones wait more than they compute.
const filesAtOnce = process.env['ASSENT_FULL'] ? 3 : 2

/** What computes for minutes begins first: at the end, nothing would be left to run beside it. */
class ExplorationsFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isFirst = ({ moduleId }: TestSpecification): boolean => /exploration/.test(moduleId)
    const sorted = await super.sort(files)
    return [...sorted.filter(isFirst), ...sorted.filter((file) => !isFirst(file))]
  }
}

export default defineConfig({
  resolve: { conditions: ['assent-source'] },
  ssr: { resolve: { conditions: ['assent-source'] } },
  test: {
    alias,
    globalSetup: ['test/support/global-servers.ts'],
    include: ['test/**/*.test.ts', 'harness/**/*.test.ts'],
    exclude: ['**/node_modules/**', ...tooLong],
    maxWorkers: filesAtOnce,
    sequence: { sequencer: ExplorationsFirst },
    testTimeout: 60_000,
    expect: { poll: { timeout: 10_000 } },
    hookTimeout: 60_000,
  },
})

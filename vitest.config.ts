import { defineConfig } from 'vitest/config'

// Real servers, two cores: two files at a time keep the waits of one from starving the other.
export default defineConfig({
  resolve: { conditions: ['assent-source'] },
  ssr: { resolve: { conditions: ['assent-source'] } },
  test: {
    globalSetup: ['test/support/global-servers.ts'],
    include: ['test/**/*.test.ts', 'harness/**/*.test.ts'],
    exclude: process.env['ASSENT_FULL'] ? [] : ['test/full/**'],
    maxWorkers: 2,
    testTimeout: 60_000,
    expect: { poll: { timeout: 10_000 } },
    hookTimeout: 60_000,
  },
})

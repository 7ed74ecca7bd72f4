/**
 * Whether this Node is new enough. An older one fails somewhere in the middle, with words that lead an
 * operator astray.
 *
 * @param needed as in `engines` of package.json: `>=22.19`
 * @param running as in `process.versions.node`: `24.1.0`
 */
export function isTooOld(needed: string, running: string): boolean {
  const [major = 0, minor = 0] = numbersOf(needed)
  const [runningMajor = 0, runningMinor = 0] = numbersOf(running)
  return runningMajor < major || (runningMajor === major && runningMinor < minor)
}

function numbersOf(version: string): readonly number[] {
  return version.replace('>=', '').split('.').map(Number)
}

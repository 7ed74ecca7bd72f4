/**
 * Findings of a check, and what they mean for whoever wants to mark.
 *
 * Promises: what `assent doctor` says must be changed is what refuses two-phase commit, in the same words.
 */
import { AssentError } from '../../protocol/index.ts'
import type { ErrorCode } from '../../protocol/index.ts'
import type { Finding, MustChange, World } from '../../ports/index.ts'

export function ok(what: string): Finding {
  return { severity: 'ok', what }
}

export function advice(what: string, run?: string): Finding {
  return { severity: 'advice', what, run }
}

export function mustChange(
  code: ErrorCode,
  what: string,
  run: string,
  cause?: unknown,
): MustChange {
  return { severity: 'must change', code, what, run, cause }
}

/** @throws AssentError for the first that must be changed */
export function requireNone(participant: string, findings: readonly Finding[]): void {
  const first = findings.find((finding) => finding.severity === 'must change')
  if (first !== undefined) throw refused(participant, first)
}

export function refused(participant: string, { code, what, run, cause }: MustChange): AssentError {
  return new AssentError({
    code,
    outcome: 'aborted',
    message: `Participant ${participant} can't take part in two-phase commit: ${what}. ${run}.`,
    cause,
  })
}

/** An error of a check, as a finding: `what. run` of its message, told once. */
export function findingOf(error: AssentError): Finding {
  const words = error.message.replace(/^Participant [^:]*?(?: can't take part in [^:]*)?: /, '')
  const at = words.indexOf('. ')
  const [what, run] =
    at < 0 ? [words, 'See docs/errors.md'] : [words.slice(0, at), words.slice(at + 2)]
  return mustChange(error.code, what, run.replace(/\.$/, ''), error.cause)
}

/** How often each thing is measured. */
const SAMPLES = 7

/** The median of a few, in milliseconds. */
export async function medianMs(world: World, work: () => Promise<unknown>): Promise<number> {
  const taken: number[] = []
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    const begun = world.now()
    await work()
    taken.push(world.now() - begun)
  }
  return taken.sort((a, b) => a - b)[Math.floor(SAMPLES / 2)] ?? 0
}

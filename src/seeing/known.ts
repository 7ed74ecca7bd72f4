/**
 * What one process knows of everything it looks at, without asking anybody.
 */
import type { Meters, Pausing, Sighting } from '../engine/index.ts'

export interface Known {
  readonly meters: Meters
  readonly sighting: (participant: string) => Sighting
  readonly pausing: (participant: string) => Pausing | undefined
}

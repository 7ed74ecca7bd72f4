/** The seam: what a system must offer, and what the world must offer. Types and contracts only. */
export * from './by-hand.ts'
export * from './examination.ts'
export * from './participant.ts'
export * from './memory.ts'
export * from './tracing.ts'
export * from './world.ts'

/**
 * The process dies together with servers, as in a power cut, and only the servers come back: the
 * transaction ends the same way everywhere, and what was decided stays decided.
 */
import { goldenOfTwo, writesInTwo } from '../crash/two-databases.ts'
import { losePower } from './power-loss-suite.ts'

losePower({ databases: ['orders', 'stock'], scenario: writesInTwo, golden: goldenOfTwo })

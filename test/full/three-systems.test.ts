/**
 * The same over PostgreSQL and two MariaDB servers, which vote and apply in parallel.
 */
import { crashPair } from '../crash/pair-suite.ts'

crashPair('three systems')

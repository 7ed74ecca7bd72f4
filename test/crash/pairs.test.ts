/**
 * A transaction over PostgreSQL and MariaDB ends the same way in both when its process is killed with
 * SIGKILL around its decision. (At every message, and for every pair of systems: test/full/pairs-*.test.ts.)
 */
import { crashPair } from './pair-suite.ts'

crashPair('mariadb with a binary log decides, postgres votes', ['decide'])

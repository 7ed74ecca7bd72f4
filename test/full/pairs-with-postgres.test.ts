/**
 * A transaction over PostgreSQL and MariaDB ends the same way in both, whenever its process is killed
 * with SIGKILL: at every message, before, between and after; each of them decides.
 */
import { crashPair } from '../crash/pair-suite.ts'

crashPair('postgres decides, mariadb votes')
crashPair('mariadb decides, postgres votes')
crashPair('mariadb with a binary log decides, postgres votes')

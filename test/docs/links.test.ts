import { existsSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { anchors, markdownFiles, read, root, withoutBlocks } from './markdown.ts'

/** What is wrong with a link, if anything is. */
function fault(file: string, target: string): string | undefined {
  const [name = '', anchor] = target.split('#')
  const linked = name === '' ? file : path.posix.join(path.posix.dirname(file), name)
  if (!existsSync(path.join(root, linked))) return `${file} links to ${target}: no such file`
  if (anchor === undefined || anchors(read(linked)).has(anchor)) return undefined
  return `${file} links to ${target}: no such heading`
}

test('every relative link leads to a file, and to a heading of it', () => {
  const links = markdownFiles().flatMap((file) =>
    [...withoutBlocks(read(file)).matchAll(/\]\(([^)\s]+)\)/g)]
      .map((match) => match[1] ?? '')
      .filter((target) => !/^[a-z]+:/.test(target))
      .map((target) => ({ file, target })),
  )
  expect(links.length).toBeGreaterThan(30)
  const faults = links.map(({ file, target }) => fault(file, target))
  expect(faults.filter((each) => each !== undefined)).toEqual([])
})

test('every page of docs/ can be reached from README.md', () => {
  const reached = new Set<string>()
  const waiting = ['README.md']
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (reached.has(file) || !existsSync(path.join(root, file))) continue
    reached.add(file)
    for (const [, target = ''] of read(file).matchAll(/\]\(([^)\s#]+\.md)/g)) {
      waiting.push(path.posix.join(path.posix.dirname(file), target))
    }
  }
  expect(markdownFiles().filter((file) => !reached.has(file))).toEqual([])
})

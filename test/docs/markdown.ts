/**
 * The documentation as data: its files, its code blocks, its headings.
 */
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'

export const root = path.resolve(import.meta.dirname, '../..')

/** The text of a file, named from the repository's root. */
export function read(file: string): string {
  return readFileSync(path.join(root, file), 'utf8')
}

/** Every Markdown file of the project, named from the repository's root. */
export function markdownFiles(): readonly string[] {
  const top = readdirSync(root).filter((file) => file.endsWith('.md'))
  return [...top, ...filesIn('docs', '.md')]
}

export function filesIn(folder: string, ending: string): readonly string[] {
  return readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending))
    .map((file) => path.posix.join(folder, file))
}

/** The fenced blocks of a language, without the fences. */
export function blocks(text: string, language: string): readonly string[] {
  const fence = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm')
  return [...text.matchAll(fence)].map((match) => match[1] ?? '')
}

export function withoutBlocks(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, '')
}

/** The anchors that a page's headings have on GitHub. */
export function anchors(text: string): ReadonlySet<string> {
  const headings = withoutBlocks(text).matchAll(/^#+ (.+)$/gm)
  return new Set(
    [...headings].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-'),
    ),
  )
}

/** The cells of the first Markdown table that begins with this header row, row by row. */
export function table(text: string, header: string): readonly (readonly string[])[] {
  const [first] = tables(text, header)
  if (first === undefined) throw new Error(`there is no table with the header ${header}`)
  return first
}

/** The cells of every table that begins with this header row. */
export function tables(text: string, header: string): readonly (readonly (readonly string[])[])[] {
  const lines = text.split('\n')
  return lines.flatMap((line, at) => {
    if (line !== header) return []
    const rest = lines.slice(at + 2)
    const end = rest.findIndex((each) => !each.startsWith('|'))
    return [rest.slice(0, end === -1 ? undefined : end).map(cells)]
  })
}

function cells(line: string): readonly string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())
}

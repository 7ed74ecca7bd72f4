import path from 'node:path'
import { expect, test } from 'vitest'
import ts from 'typescript'
import { root } from './markdown.ts'

/** What a module exports and has no doc comment, as `file: name`. */
function undocumented(file: string): readonly string[] {
  const config = path.join(root, 'tsconfig.json')
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(config, (name) => ts.sys.readFile(name)).config,
    ts.sys,
    root,
  )
  const program = ts.createProgram([path.join(root, file)], options)
  const checker = program.getTypeChecker()
  const source = program.getSourceFile(path.join(root, file))
  const module = source && checker.getSymbolAtLocation(source)
  if (module === undefined) throw new Error(`${file} exports nothing`)
  const exported = checker.getExportsOfModule(module)
  expect(exported.length).toBeGreaterThan(1)
  return exported
    .map((symbol) =>
      symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol,
    )
    .filter((symbol) => symbol.getDocumentationComment(checker).length === 0)
    .map((symbol) => `${file}: ${symbol.name}`)
}

test.each(['src/index.ts', 'src/systems/pg/index.ts', 'src/testing/index.ts'])(
  'everything that %s exports has a doc comment',
  (file) => {
    expect(undocumented(file)).toEqual([])
  },
)

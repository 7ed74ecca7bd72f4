/**
 * Completion for shells, made of the commands as they are defined.
 *
 * Promises: a command or flag that is added is completed without touching this.
 */
import type { Command } from 'commander'

export const SHELLS = ['bash', 'zsh'] as const
export type Shell = (typeof SHELLS)[number]

interface Completed {
  readonly name: string
  readonly description: string
  readonly flags: readonly { readonly flag: string; readonly description: string }[]
  readonly words: readonly string[]
}

export function completionFor(shell: Shell, program: Command): string {
  const commands = program.commands.map((command) => completed(command, program))
  return shell === 'bash' ? bash(commands) : zsh(commands)
}

function completed(command: Command, program: Command): Completed {
  const words =
    command.name() === 'completion'
      ? SHELLS
      : command.name() === 'help'
        ? ['exit-codes', ...program.commands.map((each) => each.name())]
        : []
  return {
    name: command.name(),
    description: command.summary() || command.description(),
    flags: [
      ...command.options.map(({ long, description }) => ({ flag: long ?? '', description })),
      { flag: '--help', description: 'show what it does, with examples' },
    ],
    words,
  }
}

function bash(commands: readonly Completed[]): string {
  const cases = commands.map(
    ({ name, flags, words }) =>
      `    ${name}) words="${[...words, ...flags.map(({ flag }) => flag)].join(' ')}" ;;`,
  )
  return `# bash completion for assent. To load it: eval "$(assent completion bash)"
_assent() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words=""
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
    --config) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="${commands.map(({ name }) => name).join(' ')} --help --version"
  else
    case "\${COMP_WORDS[1]}" in
${cases.map((each) => `  ${each}`).join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _assent assent
`
}

function zsh(commands: readonly Completed[]): string {
  const described = commands.map(({ name, description }) => `    ${quoted(name, description)}`)
  const cases = commands.map(({ name, flags, words }) => {
    const all = [
      ...words.map((word) => quoted(word, '')),
      ...flags.map(({ flag, description }) => quoted(flag, description)),
    ]
    return `    ${name}) described=(${all.join(' ')}) ;;`
  })
  return `#compdef assent
# zsh completion for assent. To load it: eval "$(assent completion zsh)"
_assent() {
  local -a described
  if (( CURRENT == 2 )); then
    described=(
${described.join('\n')}
    )
    _describe command described
    return
  fi
  case "$words[2]" in
${cases.join('\n')}
  esac
  _describe argument described
  [[ "$words[CURRENT-1]" == --config ]] && _files
}
compdef _assent assent
`
}

/** For `_describe`: name, colon, description. */
function quoted(name: string, description: string): string {
  const text = description === '' ? name : `${name}:${description}`
  return `'${text.replaceAll("'", '’')}'`
}

# Completion of `instep` for bash. It asks the command itself, so that it knows what that knows.
_instep() {
  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]-} words=
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    words=$(instep --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
  elif [[ $word == -* ]]; then
    words=$(instep "$command" --help | grep -oE -- '--[a-z-]+' | awk '!seen[$0]++')
  elif [[ $COMP_CWORD -eq 2 && $command =~ ^(train|profile|settings)$ ]]; then
    words=$(instep tasks --json 2>/dev/null | tail -n 1 | grep -oE '"name":"[^"]*"' | cut -d'"' -f4)
  fi
  if [[ -n $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  fi
}
complete -o default -F _instep instep

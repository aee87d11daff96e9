# completion_test.sh FOLDER_OF_COMMAND COMPLETION_FILE MANUAL_PAGE
# What bash offers behind some beginnings of a line, and that the manual page knows every command.
set -euo pipefail
PATH=$1:$PATH
source "$2"

# offered WORD...: what may stand for the last of these words.
offered() {
  COMP_WORDS=("$@")
  COMP_CWORD=$(($# - 1))
  _instep
  printf '%s ' "${COMPREPLY[@]}"
}

expect() {
  [[ $2 == "$1" ]] || { echo "offered '$2', not '$1'"; exit 1; }
}
expect 'train ' "$(offered instep tr)"
expect 'doctor ' "$(offered instep do)"
expect 'dot_reacher ' "$(offered instep train dot)"
expect 'dot_reacher ' "$(offered instep settings dot)"
expect '--schedule ' "$(offered instep profile dot_reacher --sch)"
expect '--resume ' "$(offered instep train --res)"
expect ' ' "$(offered instep eval runs/x)"
[[ $(offered instep '' | wc --words) -ge 9 ]]
for command in $(offered instep ''); do
  [[ $command == -* ]] || grep -qxF ".B $command" "$3" || { echo "$3 does not tell of $command"; exit 1; }
done
[[ $(offered instep train --) == *--seed*--out* ]]

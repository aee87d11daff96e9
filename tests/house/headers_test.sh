# headers_test.sh COMPILER LAYERS SOURCE_DIR
# Every header compiles alone and without a warning, with the include directories of its layer.
set -euo pipefail
compiler=$1 lines=$2 source_dir=$3
export compiler

# compile_header HEADER INCLUDE_DIRECTORY...
compile_header() {
  local header=$1 directory arguments=()
  shift
  for directory in "$@"; do
    arguments+=(-I "$directory")
  done
  echo "#include \"$header\"" |
    "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Wconversion \
      -Wsign-conversion -Wold-style-cast -Werror "${arguments[@]}" -x c++ - ||
    { echo "$header does not compile alone" && return 1; }
}
export -f compile_header

cd "$source_dir"
while read -r layer directories; do
  find "$layer" -name '*.h' -printf "%p $directories\n"
done <"$lines" >"$lines.headers"
echo "$(wc -l <"$lines.headers") headers"
[[ -s $lines.headers ]]
xargs -P "$(nproc)" -I{} bash -c 'compile_header {}' <"$lines.headers"

# layers_test.sh COMPILER LAYERS SOURCE_DIR
# Each layer tries to include each layer, with the include directories its own sources are compiled with:
# its own and lower ones must compile, higher ones must fail, and for no other reason than the missing file.
set -euo pipefail
compiler=$1 lines=$2 source_dir=$3
export LC_ALL=C
mapfile -t layers < <(cut -d' ' -f1 "$lines")
[[ ${#layers[@]} -ge 4 ]] || { echo "only ${#layers[@]} layers in $lines"; exit 1; }

# The first header of a layer, or where it has none yet another file of its folder.
probe_of() {
  local headers=("$source_dir/$1"/*.h)
  if [[ -e ${headers[0]} ]]; then
    echo "#include \"$1/${headers[0]##*/}\""
  else
    printf '%s\n' "#if !__has_include(\"$1/CMakeLists.txt\")" "#error $1/ not found" "#endif"
  fi
}

status=0 lower=0
for from in "${layers[@]}"; do
  includes=()
  for directory in $(sed -n "s/^$from //p" "$lines"); do
    includes+=(-I "$directory")
  done
  higher=0
  for to in "${layers[@]}"; do
    outcome=compiles
    message=$(probe_of "$to" | "$compiler" -std=c++20 -fsyntax-only "${includes[@]}" -x c++ - 2>&1) || {
      outcome="fails for another reason: $message"
      [[ $message =~ error:.*$to/.*(No such file|not found) ]] && outcome="is not found"
    }
    expected=compiles
    [[ $higher -gt $lower ]] && expected="is not found"
    printf '%-8s includes %-8s %s\n' "$from" "$to" "$outcome"
    if [[ $outcome != "$expected" ]]; then
      echo "  expected: $expected" && status=1
    fi
    higher=$((higher + 1))
  done
  lower=$((lower + 1))
done
exit "$status"

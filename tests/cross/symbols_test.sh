# symbols_test.sh OBJDUMP PROGRAM GLIBC LIBRARIES
# Does the program start on the target? It may ask for no symbol newer than version GLIBC of the C library, and
# for no library but those whose names match the regular expression LIBRARIES.
set -euo pipefail
objdump=$1 program=$2 glibc=$3 libraries=$4

versions=$("$objdump" --dynamic-syms "$program" | grep -oE 'GLIBC_[0-9.]+' | sort --version-sort --unique)
newest=${versions##*$'\n'}
newest=${newest#GLIBC_}
[[ -n $newest ]] || { echo "no symbol of glibc in $program: not a program for Linux with glibc"; exit 1; }
echo "newest symbol: GLIBC_$newest; the target has $glibc"
[[ $(printf '%s\n' "$newest" "$glibc" | sort --version-sort | tail -n 1) == "$glibc" ]] || {
  "$objdump" --dynamic-syms "$program" | grep -F "GLIBC_$newest"
  exit 1
}

needed=$("$objdump" --private-headers "$program" | awk '$1 == "NEEDED" { print $2 }')
echo "needs:" $needed
[[ -n $needed ]]
unexpected=$(grep -vE "^($libraries)\.so\.[0-9]+$" <<<"$needed" || true)
[[ -z $unexpected ]] || { echo "not on every target:" $unexpected; exit 1; }

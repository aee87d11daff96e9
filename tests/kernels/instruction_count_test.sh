# instruction_count_test.sh PROGRAM
# Counts the instructions of one update with callgrind and compares them with those on record: time depends on
# the machine and its other work, instructions do not. More than a fiftieth above the record fails; fewer ask
# for a new record (docs/performance.md has it too).
set -euo pipefail
program=$1
# GCC 12.2, -O3, path avx2, arithmetic=fast, (17, 6, 256).
declare -A record=([act_first]=383507 [throughput]=401590)
command -v valgrind >/dev/null || { echo "valgrind is not installed" && exit 77; }

instructions() { # SCHEDULE UPDATES
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$@" 2>&1 |
    sed -n 's/.*Collected *: *\([0-9]*\).*/\1/p'
}

"$program" throughput 1 || exit $?
status=0
for schedule in act_first throughput; do
  few=$(instructions "$schedule" 2)
  many=$(instructions "$schedule" 12)
  count=$(((many - few) / 10))
  echo "$schedule: $count instructions an update, $((record[$schedule])) on record"
  if [[ $count -le 0 || $((count * 50)) -gt $((record[$schedule] * 51)) ]]; then
    echo "$schedule: too many" && status=1
  elif [[ $((count * 51)) -lt $((record[$schedule] * 50)) ]]; then
    echo "$schedule: fewer than on record: put the new number into this test" && status=1
  fi
done
exit $status

# create_mover_learning_test.sh COMMAND SCRATCH_DIR
# Does a robot learn? create_mover, 100,000 steps through the driver's bytes, seeds 0..4: the mean return of the
# last tenth is a quarter of the way or more from the best constant action to the wall avoider, in at least four
# of five; and the policy needs its eyes: when its light bumpers' signals are shuffled in time it earns less than
# a tenth more than that action, in as many.
set -euo pipefail
export LC_ALL=C
command=$1 scratch=$2
rm -rf "$scratch"
mkdir -p "$scratch"
"$command" train create_mover --steps 100000 --seeds 0..4 --jobs 2 --out "$scratch/runs" 2>/dev/null
"$command" study yardsticks --episodes 4 "$scratch"/runs/s{0,1,2,3,4} | tee "$scratch/yardsticks.txt"
awk -F ': ' '
  /^a quarter of the way/ { quarter = $2 }
  /^the best constant action and/ { tenth = $2 }
  / last tenth of training / {
    split($2, part, /[;,] /)
    sub(/last tenth of training /, "", part[1])
    sub(/shown light bumpers of another moment /, "", part[3])
    runs += 1
    learnt += part[1] + 0 > quarter + 0
    blind += part[3] + 0 < tenth + 0
  }
  END {
    printf "%d of %d runs beyond %s; %d, with shuffled signals, below %s\n", learnt, runs, quarter, blind, tenth
    exit !(runs == 5 && learnt >= 4 && blind >= 4)
  }' "$scratch/yardsticks.txt"

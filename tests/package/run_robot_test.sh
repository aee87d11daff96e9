# run_robot_test.sh RUN_ROBOT SCRATCH
# Where the service begins its run or goes on with one, whatever else lies in its state folder.
set -euo pipefail
script=$1 scratch=$2
rm -rf "$scratch" && mkdir -p "$scratch/bin"
printf '#!/bin/sh\nprintf "%%s " "$@"\n' >"$scratch/bin/instep"
chmod +x "$scratch/bin/instep"
state=$scratch/lab
status=0

# expect WORDS: what `instep` is started with now.
expect() {
  local said
  said=$(env -i PATH="$scratch/bin:$PATH" STATE_DIRECTORY="$state" TASK=dot_reacher OPTIONS='--seed 1' STEPS=5 \
    DEVICE="${device-}" sh "$script" lab | tail -n 1)
  [[ $said == "$1 " ]] || { echo "wrong: '$said' instead of '$1'" && status=1; }
}
expect "train dot_reacher --out $state --seed 1 --steps 5"
mkdir "$state"
expect "train dot_reacher --out $state --seed 1 --steps 5"
device=/dev/robot expect "train dot_reacher --out $state --seed 1 --steps 5 --time real --device /dev/robot"
for stray in lost+found .nv .note config.toml.new; do
  mkdir "$state/$stray"
  expect "train dot_reacher --out $state/run-1 --seed 1 --steps 5"
done
mkdir "$state/run-1"
expect "train dot_reacher --out $state/run-1 --seed 1 --steps 5"
: >"$state/run-1/config.toml.new" # cut off before it was a run
expect "train dot_reacher --out $state/run-2 --seed 1 --steps 5"
mkdir "$state/run-2"
: >"$state/run-2/config.toml"
expect "train --resume $state/run-2 --steps 5"
rm -r "$state" && mkdir "$state"
: >"$state/config.toml"
: >"$state/core"
expect "train --resume $state --steps 5"
[[ $(env -i PATH="$scratch/bin:$PATH" sh "$script" lab 2>&1) == *'must be set in /etc/instep/lab.conf'* ]] || status=1
exit $status

# exchange_test.sh HOST_COMMAND TARGET_COMMAND SCRATCH_DIR
# With arithmetic=portable a run must have the same bytes on both machines, from first to last and also when it
# changes machines half-way. Exits with 77 where the command for this machine has not been built.
set -euo pipefail
host=$1 target=$2 scratch=$3
[[ -x $host ]] || { echo "skipped: $host is not there; build it, or set INSTEP_HOST_COMMAND"; exit 77; }
rm -rf "$scratch"
mkdir -p "$scratch"

# begin COMMAND RUN STEPS and go_on COMMAND RUN STEPS: all of seed 3, with layers that every path has loops for.
begin() { "$1" train dot_reacher --seed 3 --set arithmetic=portable --set hidden=64 --steps "$3" --out "$scratch/$2"; }
go_on() { "$1" train --resume "$scratch/$2" --steps "$3"; }

begin "$host" on_host 6000
begin "$target" on_target 6000
begin "$host" host_first 2500
go_on "$target" host_first 4500
go_on "$host" host_first 6000
begin "$target" target_first 2500
go_on "$host" target_first 4500
go_on "$target" target_first 6000

# steps_and_returns RUN: the episodes without the seconds they took.
steps_and_returns() { cut -d, -f1-5 "$scratch/$1/episodes.csv"; }

[[ $(steps_and_returns on_host | wc -l) -ge 3 ]] || { echo "no two episodes in 6000 steps"; exit 1; }
for run in on_target host_first target_first; do
  cmp "$scratch/on_host/checkpoint" "$scratch/$run/checkpoint"
  diff <(steps_and_returns on_host) <(steps_and_returns "$run")
  "$host" compare "$scratch/on_host" "$scratch/$run"
done

# learning_test.sh COMMAND SCRATCH_DIR
# Does it learn? half_cheetah, 40,000 steps, seeds 0..4: mean return of the last eighth above 0 in at least four
# of five, median above 150. hopper, 100,000 steps, seeds 0..2: mean return of all episodes at least 70 each.
# The limits come from runs of the authors' code and of another implementation (docs/results.md).
set -euo pipefail
export LC_ALL=C
command=$1 scratch=$2
if ! "$command" tasks --json | tail -n 1 | grep -q '"available":true[^}]*"name":"half_cheetah"'; then
  echo "skipped: this build has no MuJoCo tasks"
  exit 77
fi
rm -rf "$scratch"
mkdir -p "$scratch"
status=0

# mean_return FOLDER FIRST_STEP: of the episodes that ended after that step; nothing without one.
mean_return() {
  awk -F, -v first="$2" 'NR > 1 && $2 > first { sum += $3; n += 1 } END { if (n > 0) printf "%.2f\n", sum / n }' \
    "$1/episodes.csv"
}

"$command" train half_cheetah --steps 40000 --seeds 0..4 --jobs 2 --out "$scratch/half_cheetah" 2>/dev/null || status=1
returns=$(for seed in 0 1 2 3 4; do mean_return "$scratch/half_cheetah/s$seed" 35000; done | sort -g)
echo "half_cheetah, last eighth, sorted:" $returns
read -r above median <<<"$(awk '{ r[NR] = $1; if ($1 > 0) n += 1 } END { print n + 0, (NR == 5 ? r[3] : "none") }' <<<"$returns")"
awk -v above="$above" -v median="$median" 'BEGIN { exit !(above >= 4 && median != "none" && median > 150) }' || {
  echo "half_cheetah does not learn: $above of 5 above 0, median $median"
  exit 1
}

"$command" train hopper --steps 100000 --seeds 0..2 --jobs 2 --out "$scratch/hopper" 2>/dev/null || status=1
for seed in 0 1 2; do
  mean=$(mean_return "$scratch/hopper/s$seed" 0)
  echo "hopper, all episodes, seed $seed: $mean"
  awk -v mean="${mean:-none}" 'BEGIN { exit !(mean != "none" && mean >= 70) }' || {
    echo "hopper does not learn with seed $seed"
    status=1
  }
done
exit "$status"

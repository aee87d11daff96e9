# no_warnings_test.sh COMMAND SCRATCH
# Every shipped task learns 100,000 steps with its own settings, seeds 0 to 2, and warns of nothing.
set -euo pipefail
command=$1 scratch=$2
rm -rf "$scratch" && mkdir -p "$scratch" && cd "$scratch"
"$command" tasks --json 2>/dev/null >tasks.json
tasks=$(python3 -c 'import json; print(*[t["name"] for t in json.load(open("tasks.json"))["tasks"] if t["available"]])')
status=0
for task in $tasks; do
  "$command" train "$task" --steps 100k --seeds 0..2 --out "$task" >"$task.log" 2>&1
  for seed in 0 1 2; do
    python3 - "$task/s$seed/summary.json" <<'END' || status=1
import json, sys
summary = json.load(open(sys.argv[1]))
assert summary["ended"] == "done" and summary["steps"] == 100_000, summary["ended"]
print(sys.argv[1], "warnings:", summary["warnings"], summary["warnings_seen"])
sys.exit(1 if summary["warnings"] else 0)
END
  done
done
exit "$status"

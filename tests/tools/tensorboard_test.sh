# tensorboard_test.sh COMMAND VENV
# Reads the event file of a run, resumed once, with the package `tensorboard` of PyPI, which is installed
# into VENV the first time. Exits with 77 where it cannot be installed.
set -euo pipefail
command=$1 venv=$2
if ! "$venv/bin/python" -c 'import tensorboard' 2>/dev/null; then
  python3 -m venv "$venv" && "$venv/bin/pip" install --quiet tensorboard || exit 77
fi
run=$(mktemp -d)
trap 'rm -r "$run"' EXIT

"$command" train hopper --steps 20000 --seed 1 --set hidden=32 --out "$run/r"
"$command" train --resume "$run/r" --steps 40000
"$venv/bin/python" - "$run/r" <<'PYTHON'
import csv
import math
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
events.Reload()
tags = set(events.Tags()["scalars"])
expected = {
    "episode/return", "episode/length", "policy/entropy", "policy/clamped_share", "policy/saturated_share",
    "critic/q", "critic/td_error_rms", "critic/td_error_scale", "critic/feature_norm", "actor/feature_norm",
    "actor/update_ratio", "actor/weight_norm", "run/steps_per_second"}
assert tags == expected, tags ^ expected

steps = [point.step for point in events.Scalars("policy/entropy")]
assert steps == list(range(1000, 40001, 1000)), steps
for tag in tags:
    for point in events.Scalars(tag):
        assert math.isfinite(point.value), (tag, point)
        assert point.wall_time > 1.6e9, (tag, point)

# The mean return at each point, from the file that has every episode.
with open(sys.argv[1] + "/episodes.csv") as file:
    episodes = [(int(line["step"]), float(line["return"])) for line in csv.DictReader(file)]
points = {point.step: point.value for point in events.Scalars("episode/return")}
checked = 0
for step in steps:
    returns = [value for at, value in episodes if step - 1000 < at <= step]
    if not returns:
        continue
    mean = sum(returns) / len(returns)
    assert math.isclose(points[step], mean, rel_tol=1e-5), (step, points[step], mean)
    checked += 1
assert checked >= 10, checked
print(f"{len(tags)} tags, {len(steps)} points each; {checked} mean returns compared")
PYTHON

#!/usr/bin/env python3
"""docs/results/adaptation.py INSTEP FOLDER
Does learning on help when the world changes? create_mover, 100,000 steps in the world as it was and 100,000 in
the changed one, seeds 0..4, against frozen copies; R_new is the last tenth of 200,000 steps from scratch in the
changed world, mean of seeds 10..12. Wanted is what lies four fifths of the way from the frozen copy to R_new, and
reached when the mean of 10,000 steps is there. Runs what is not in FOLDER yet, prints the table, and writes
docs/results/adaptation.csv and docs/results/adaptation_CHANGE.svg. Standard library only."""
import csv
import json
import pathlib
import subprocess
import sys

import curves

CHANGES = {"left_wheel": "left_wheel=0.6", "sensor_swap": "sensor_swap", "delay": "delay=1"}
AT, STEPS, JOBS = 100_000, 200_000, 2
SEEDS, SCRATCH_SEEDS = range(5), range(10, 13)
WINDOW = 4  # points of 2,500 steps
NAMES = {"learning": "goes on learning", "frozen_weights": "weights frozen", "frozen": "all frozen"}


def train(instep, folder, seeds, change):
    if not folder.exists():
        subprocess.run([instep, "train", "create_mover", "--steps", str(STEPS), "--seeds", f"{seeds[0]}..{seeds[-1]}",
                        "--jobs", str(JOBS), "--change", change, "--out", folder], check=True)
    return [folder / f"s{seed}" for seed in seeds]


def mean(values):
    return sum(values) / len(values)


def last_tenth(run):
    with open(run / "episodes.csv", newline="") as file:
        return mean([float(row["return"]) for row in csv.DictReader(file) if int(row["step"]) > STEPS * 9 // 10])


def reached(points, wanted):
    """Steps after the change until the mean of WINDOW points is what is wanted; None where it never is."""
    for i in range(WINDOW, len(points) + 1):
        window = [point["learning"] for point in points[i - WINDOW : i] if point["learning"] is not None]
        if window and mean(window) >= wanted:
            return points[i - 1]["step"] - AT
    return None


def main():
    instep, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    here = pathlib.Path(__file__).parent
    rows = []
    for name, change in CHANGES.items():
        scratch = train(instep, folder / f"{name}_scratch", SCRATCH_SEEDS, f"at=0 {change}")
        changed = train(instep, folder / name, SEEDS, f"at={AT} {change}")
        r_new = mean([last_tenth(run) for run in scratch])
        tables = [json.loads((run / "adaptation.json").read_text()) for run in changed]
        means = {key: {} for key in NAMES}
        for seed, table in zip(SEEDS, tables):
            frozen = {key: mean([p[key] for p in table["points"] if p[key] is not None]) for key in NAMES}
            wanted = frozen["frozen"] + 0.8 * (r_new - frozen["frozen"])
            is_harmless = frozen["frozen"] >= 0.9 * r_new
            after = reached(table["points"], wanted)
            rows.append([name, seed, f'{table["before"]:.0f}', f'{frozen["frozen"]:.0f}',
                         f'{frozen["frozen_weights"]:.0f}', f"{r_new:.0f}",
                         "harmless" if is_harmless else f"{wanted:.0f}", "not" if after is None else after,
                         f'{table["learning_end"]:.0f}'])
            for point in table["points"]:
                for key in NAMES:
                    if point[key] is not None:
                        means[key].setdefault(point["step"] - AT, []).append(point[key])
        lines = {NAMES[key]: [(step, mean(values)) for step, values in sorted(means[key].items())] for key in NAMES}
        lines["R_new"] = [(0, r_new), (STEPS - AT, r_new)]
        title = f"create_mover after {change}: mean over {len(SEEDS)} seeds"
        (here / f"adaptation_{name}.svg").write_text(curves.plot(title, lines, STEPS - AT))
    header = ["change", "seed", "before", "all_frozen", "weights_frozen", "r_new", "wanted", "reached_after", "end"]
    with open(here / "adaptation.csv", "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    for row in [header, *rows]:
        print(" ".join(f"{value!s:>14}" for value in row))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""docs/results/one_setting.py RUN...
Prints a line for each run of RAC and each 50,000 steps of it: what docs/results/one_setting.csv holds. Standard library
only."""
import csv
import json
import pathlib
import sys

WINDOW = 50_000
KEYS = ("trace_decay", "entropy_coef", "actor_lr", "critic_lr")


def settings_of(run):
    values = {}
    for line in (run / "config.toml").read_text().splitlines():
        key, equals, value = line.partition(" = ")
        if equals and key in KEYS:
            values[key] = value.split("#")[0].strip()
    return [values[key] for key in KEYS]


def main():
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["task", "seed", *KEYS, "step", "mean_return", "episodes"])
    for run in map(pathlib.Path, sys.argv[1:]):
        summary = json.loads((run / "summary.json").read_text())
        windows = {}
        with open(run / "episodes.csv", newline="") as file:
            for row in csv.DictReader(file):
                windows.setdefault((int(row["step"]) - 1) // WINDOW, []).append(float(row["return"]))
        for k, returns in sorted(windows.items()):
            out.writerow([summary["task"], summary["seed"], *settings_of(run), (k + 1) * WINDOW,
                          f"{sum(returns) / len(returns):.1f}", len(returns)])


if __name__ == "__main__":
    main()

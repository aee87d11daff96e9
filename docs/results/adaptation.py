#!/usr/bin/env python3
"""docs/results/adaptation.py INSTEP FOLDER [TASK]
Does learning on help when the world changes? TASK (create_mover, or ur_reacher2), 100,000 steps in the world as it
was and 100,000 in the changed one, seeds 0..4, against frozen copies. Four figures of each agent: the best point of
2,500 steps after the change, the mean of all steps after it, the last tenth, and what it earns without learning when
the old world comes back. Of create_mover also R_new, the last tenth of 200,000 steps from scratch in the changed
world, mean of seeds 10..12: wanted is what lies four fifths of the way from the frozen copy to R_new, and reached
when the mean of 10,000 steps is there. Runs what is not in FOLDER yet, prints the tables, and writes
docs/results/adaptation.csv (create_mover), adaptation_TASK.csv and adaptation_[TASK_]CHANGE.svg. Standard library
only."""
import csv
import json
import pathlib
import subprocess
import sys

import curves

CHANGES = {
    "create_mover": {"left_wheel": "left_wheel=0.6", "sensor_swap": "sensor_swap", "delay": "delay=1"},
    "ur_reacher2": {"joint_gain": "joint_gain=0.5,1.0", "joint_sign": "joint_sign=-1,1",
                    "sensor_swap": "sensor_swap", "delay": "delay=1"},
}
AT, STEPS, JOBS = 100_000, 200_000, 2
SEEDS, SCRATCH_SEEDS = range(5), range(10, 13)
WINDOW = 4  # points of 2,500 steps
NAMES = {"learning": "goes on learning", "frozen_weights": "weights frozen", "frozen": "all frozen"}
FIGURES = ["peak", "mean", "end", "old_world"]


def train(instep, task, folder, seeds, change):
    if not folder.exists():
        subprocess.run([instep, "train", task, "--steps", str(STEPS), "--seeds", f"{seeds[0]}..{seeds[-1]}",
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


def wanted_row(name, seed, table, r_new):
    frozen = {key: mean([p[key] for p in table["points"] if p[key] is not None]) for key in NAMES}
    wanted = frozen["frozen"] + 0.8 * (r_new - frozen["frozen"])
    is_harmless = frozen["frozen"] >= 0.9 * r_new
    after = reached(table["points"], wanted)
    return [name, seed, f'{table["before"]:.0f}', f'{frozen["frozen"]:.0f}', f'{frozen["frozen_weights"]:.0f}',
            f"{r_new:.0f}", "harmless" if is_harmless else f"{wanted:.0f}", "not" if after is None else after,
            f'{table["learning_end"]:.0f}']


def plot(path, task, change, tables, r_new):
    lines = {}
    for key, name in NAMES.items():
        means = {}
        for table in tables:
            for point in table["points"]:
                if point[key] is not None:
                    means.setdefault(point["step"] - AT, []).append(point[key])
        lines[name] = [(step, mean(values)) for step, values in sorted(means.items())]
    if r_new is not None:
        lines["R_new"] = [(0, r_new), (STEPS - AT, r_new)]
    title = f"{task} after {change}: mean over {len(tables)} seeds"
    path.write_text(curves.plot(title, lines, STEPS - AT))


def write(path, header, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    for row in [header, *rows]:
        print(" ".join(f"{value!s:>14}" for value in row))


def main():
    instep, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    task = sys.argv[3] if len(sys.argv) > 3 else "create_mover"
    is_mover = task == "create_mover"
    here = pathlib.Path(__file__).parent
    rows, figures = [], []
    for name, change in CHANGES[task].items():
        runs = train(instep, task, folder / name, SEEDS, f"at={AT} {change}")
        tables = [json.loads((run / "adaptation.json").read_text()) for run in runs]
        r_new = None
        if is_mover:
            scratch = train(instep, task, folder / f"{name}_scratch", SCRATCH_SEEDS, f"at=0 {change}")
            r_new = mean([last_tenth(run) for run in scratch])
            rows += [wanted_row(name, seed, table, r_new) for seed, table in zip(SEEDS, tables)]
        for key, agent in NAMES.items():
            of_seeds = [[table["before"], *(table[f"{key}_{figure}"] for figure in FIGURES)] for table in tables]
            figures += [[name, agent, seed, *(f"{value:.0f}" for value in row)] for seed, row in zip(SEEDS, of_seeds)]
            figures.append([name, agent, "mean", *(f"{mean(column):.0f}" for column in zip(*of_seeds))])
        plot(here / f"adaptation_{'' if is_mover else task + '_'}{name}.svg", task, change, tables, r_new)
    if is_mover:
        header = ["change", "seed", "before", "all_frozen", "weights_frozen", "r_new", "wanted", "reached_after", "end"]
        write(here / "adaptation.csv", header, rows)
    write(here / f"adaptation_{task}.csv", ["change", "agent", "seed", "before", *FIGURES], figures)


if __name__ == "__main__":
    main()

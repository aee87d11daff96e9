#!/usr/bin/env python3
"""docs/results/curves.py NAME RUN...
Writes docs/results/NAME.csv, the mean return of the episodes that ended in each window of a fiftieth of the
steps, a line a run and window, and docs/results/NAME.svg, its plot. Of three runs or more also their mean and its
95 % interval (Student's t). Without arguments it prints the last tenth of every *.csv beside it that has such windows:
mean, interval and each run. Standard library only."""
import csv
import pathlib
import statistics
import sys

WINDOWS = 50
T_95 = {3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}  # by the number of runs
COLOURS = ["#1b6ca8", "#d1495b", "#3c8d5a", "#b07aa1", "#c98c2b"]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 400, 64, 44, 28, 28


def windows(run):
    with open(run / "episodes.csv", newline="") as file:
        episodes = [(int(row["step"]), float(row["return"])) for row in csv.DictReader(file)]
    steps = 0
    for line in (run / "config.toml").read_text().splitlines():
        if line.startswith("steps = "):
            steps = int(line.split("=")[1])
    rows = []
    for k in range(1, WINDOWS + 1):
        low, high = steps * (k - 1) // WINDOWS, steps * k // WINDOWS
        inside = [r for step, r in episodes if low < step <= high]
        if inside:
            rows.append((high, sum(inside) / len(inside)))
    return steps, rows


def round_step(span):
    step = 10.0 ** len(str(int(span))) / 10
    while span / step < 4:
        step /= 2
    return step


def interval(curves):
    """(step, mean, half of its interval) where every run has a point; nothing of fewer than three runs."""
    if len(curves) not in T_95:
        return []
    rows = []
    for step in sorted(set.intersection(*({s for s, _ in points} for points in curves.values()))):
        values = [dict(points)[step] for points in curves.values()]
        mean = sum(values) / len(values)
        variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
        rows.append((step, mean, T_95[len(values)] * (variance / len(values)) ** 0.5))
    return rows


def plot(title, curves, steps, band=()):
    low = min([0.0, *(r for rows in curves.values() for _, r in rows), *(m - half for _, m, half in band)])
    high = max(r for rows in curves.values() for _, r in rows) * 1.05
    x = lambda step: LEFT + (WIDTH - LEFT - RIGHT) * step / steps
    y = lambda r: HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (r - low) / (high - low)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           'font-family="sans-serif" font-size="13">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
           f'<text x="{LEFT}" y="18" font-size="15">{title}</text>']
    tick = round_step(high - low)
    value = tick * int(low / tick)
    while value <= high:
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
        value += tick
    for k in range(6):
        out.append(f'<text x="{x(steps * k / 5):.1f}" y="{HEIGHT - 22}" text-anchor="middle">{steps * k // 5000}k</text>')
    out.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 5}" text-anchor="middle">control steps</text>')
    if band:
        edge = [(s, m + half) for s, m, half in band] + [(s, m - half) for s, m, half in reversed(band)]
        out.append('<polygon points="' + " ".join(f"{x(s):.1f},{y(r):.1f}" for s, r in edge) +
                   '" fill="#999" fill-opacity="0.3"/>')
    for i, (name, rows) in enumerate(curves.items()):
        points = " ".join(f"{x(s):.1f},{y(r):.1f}" for s, r in rows)
        colour = COLOURS[i % len(COLOURS)]
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
                   f'<text x="{LEFT + 10 + 130 * i}" y="{TOP + 14}" fill="{colour}">{name}</text>')
    return "\n".join(out + ["</svg>\n"])


def last_tenth(path):
    """The mean of the windows of the last tenth of the steps, of each run."""
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("run", "").startswith("seed ") and "mean_return" in row]
    end = max((int(row["step"]) for row in rows), default=0)
    runs = {}
    for row in rows:
        if int(row["step"]) > 0.9 * end:
            runs.setdefault(row["run"], []).append(float(row["mean_return"]))
    return [statistics.mean(values) for values in runs.values()]


def print_last_tenths():
    print("| Windows | Runs | Last tenth, 95 % interval | Each run |\n|---|---|---|---|")
    for path in sorted(pathlib.Path(__file__).parent.glob("*.csv")):
        values = last_tenth(path)
        if len(values) not in T_95:
            continue
        half = T_95[len(values)] * statistics.stdev(values) / len(values) ** 0.5
        print(f"| {path.name} | {len(values)} | {statistics.mean(values):.0f} +- {half:.0f} | "
              f"{', '.join(f'{value:.0f}' for value in values)} |")


def main():
    if len(sys.argv) == 1:
        return print_last_tenths()
    name, runs = sys.argv[1], [pathlib.Path(run) for run in sys.argv[2:]]
    here = pathlib.Path(__file__).parent
    curves, steps = {}, 0
    for run in runs:
        steps, curves["seed " + run.name.rsplit("s", 1)[-1]] = windows(run)
    with open(here / f"{name}.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", "step", "mean_return"])
        for run, rows in curves.items():
            writer.writerows((run, step, f"{r:.2f}") for step, r in rows)
        band = interval(curves)
        writer.writerows(("mean", step, f"{m:.2f}") for step, m, _ in band)
        writer.writerows(("interval", step, f"{half:.2f}") for step, _, half in band)
    title = f"{name}: mean return per window of {steps // WINDOWS} steps"
    (here / f"{name}.svg").write_text(plot(title, curves, steps, band))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""docs/results/curves.py NAME RUN...
Writes docs/results/NAME.csv, the mean return of the episodes that ended in each window of a fiftieth of the
steps, a line a run and window, and docs/results/NAME.svg, its plot. Of three runs or more also their mean and its
95 % interval (Student's t). Standard library only."""
import csv
import pathlib
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


def main():
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

#!/usr/bin/env python3
"""docs/pictures/picture.py RUN FILE
Draws FILE (SVG) from a run's own files: moments of the episode in RUN/episode.json, one behind the other, above the
returns of the run's episodes. Standard library only."""
import csv
import json
import pathlib
import sys

WIDTH, STAGE, CURVE, MARGIN = 900, 150, 190, 56
BLUE, SOFT, INK, GRID = "#0e5f8c", "#8fa3ad", "#1d2428", "#dfe3e2"
MOMENTS = 7
APART_M = 1.35  # at least; closer moments would hide each other


def moments(frames):
    """Frames some way apart, the last ones of the episode."""
    chosen = [frames[-1]]
    for frame in reversed(frames):
        if abs(frame["x_mm"] - chosen[-1]["x_mm"]) >= 1000 * APART_M:
            chosen.append(frame)
    return list(reversed(chosen[:MOMENTS]))


def stage(episode):
    shown = moments(episode["frames"])
    low = min(frame["x_mm"] for frame in shown) - 900
    high = max(frame["x_mm"] for frame in shown) + 900
    scale = min((WIDTH - 2 * 20) / (high - low), (STAGE - 50) / 1150)
    left = (WIDTH - scale * (high - low)) / 2
    place = lambda x, z: (left + scale * (x - low), STAGE - 30 - scale * z)
    out = [f'<line x1="20" x2="{WIDTH - 20}" y1="{STAGE - 30}" y2="{STAGE - 30}" stroke="{SOFT}"/>']
    for metre in range(low // 1000 + 1, high // 1000 + 1):
        x, y = place(1000 * metre, 0)
        out.append(f'<text x="{x:.1f}" y="{y + 16:.1f}" text-anchor="middle" fill="{SOFT}">{metre} m</text>')
    for number, frame in enumerate(shown):
        opacity = 0.25 + 0.75 * (number + 1) / len(shown)
        for far in (True, False):
            for limb, ends in zip(episode["limbs"], zip(*[iter(frame["ends_mm"])] * 4)):
                if limb["far"] != far:
                    continue
                (x1, y1), (x2, y2) = place(frame["x_mm"] + ends[0], ends[1]), place(frame["x_mm"] + ends[2], ends[3])
                out.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{SOFT if far else BLUE}" '
                           f'stroke-opacity="{opacity:.2f}" stroke-width="{max(2, 2 * scale * limb["radius_mm"]):.1f}" '
                           'stroke-linecap="round"/>')
    return out


def curve(episodes, steps):
    returns = [value for _, value in episodes]
    low, high = min(0, min(returns)), max(returns)
    x = lambda step: MARGIN + (WIDTH - MARGIN - 24) * step / steps
    y = lambda value: STAGE + 24 + (CURVE - 60) * (high - value) / (high - low)
    out = []
    for value in (0, high / 2, high):
        shown = round(value, -2)
        out.append(f'<line x1="{MARGIN}" x2="{WIDTH - 24}" y1="{y(shown):.1f}" y2="{y(shown):.1f}" stroke="{GRID}"/>'
                   f'<text x="{MARGIN - 8}" y="{y(shown) + 4:.1f}" text-anchor="end" fill="{INK}">{shown:.0f}</text>')
    out += [f'<circle cx="{x(step):.1f}" cy="{y(value):.1f}" r="2" fill="{BLUE}" fill-opacity="0.35"/>'
            for step, value in episodes]
    window = max(1, len(episodes) // 20)
    means = [(episodes[i][0], sum(returns[i - window + 1:i + 1]) / window) for i in range(window - 1, len(episodes))]
    points = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in means)
    out.append(f'<polyline points="{points}" fill="none" stroke="{BLUE}" stroke-width="2.5"/>')
    for part in range(5):
        out.append(f'<text x="{x(steps * part / 4):.1f}" y="{STAGE + CURVE - 16}" text-anchor="{"end" if part == 4 else "middle"}" '
                   f'fill="{INK}">{steps * part // 4:,}</text>')
    out.append(f'<text x="{WIDTH - 24}" y="{STAGE + CURVE - 2}" text-anchor="end" fill="{INK}">control steps</text>')
    out.append(f'<text x="{MARGIN}" y="{STAGE + 12}" fill="{INK}">return of an episode, and their running mean</text>')
    return out


def main(run, file):
    with open(run / "episodes.csv", newline="", encoding="utf-8") as lines:
        episodes = [(int(row["step"]), float(row["return"])) for row in csv.DictReader(lines)]
    steps = json.loads((run / "summary.json").read_text())["steps"]
    body = stage(json.loads((run / "episode.json").read_text())) + curve(episodes, steps)
    file.write_text("\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {STAGE + CURVE}" '
                               'font-family="sans-serif" font-size="13">',
                               f'<rect width="{WIDTH}" height="{STAGE + CURVE}" fill="#fcfcfa"/>', *body, "</svg>\n"]))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))

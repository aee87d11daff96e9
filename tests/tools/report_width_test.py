#!/usr/bin/env python3
"""No report is wider than the screen that shows it, whatever its runs are called.

report_width_test.py INSTEP FOLDER [REPORT...]: makes runs and their reports in the folder, lays each out in a
browser at the width of a phone and of a desk, and compares how wide it is. What each looks like stays in the folder, as
screens/NAME-WIDTH.png. Exits with 77 without Chromium.
"""

import html
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

WIDTHS = (390, 1200)
LONG = "a_name_of_seventy_letters_" + 44 * "x"

# A frame of that width, and what its document says of itself. A report's own policy runs no script.
FRAME = '<iframe width="{width}" height="2400" style="border:0" srcdoc="{page}"></iframe>\n'
SCRIPT = """<pre id="widths"></pre><script>addEventListener('load', () => {
  const lines = [...document.querySelectorAll('iframe')].map(frame => {
    const page = frame.contentDocument.documentElement;
    const wide = [...page.querySelectorAll('body *')].filter(each =>
        each.getBoundingClientRect().right > page.clientWidth + 1).map(each => each.tagName);
    return [page.scrollWidth, page.clientWidth, ...wide.slice(0, 5)].join(' ');
  });
  document.getElementById('widths').textContent = lines.join('\\n');
});</script>"""


def run(*words, ok=(0,)):
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=300)
    assert result.returncode in ok, f"{words}: {result.returncode}\n{result.stdout}{result.stderr}"


def interrupted(folder, *words):
    """Starts it, and presses Ctrl-C when it has a checkpoint to show."""
    command = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(3000):
        if (folder / "episodes.csv").exists() and (folder / "episodes.csv").stat().st_size > 1000:
            break
        time.sleep(0.02)
    command.send_signal(signal.SIGINT)
    command.wait(timeout=120)


def make_reports(instep, root):
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    train = [instep, "train", "dot_reacher", "--set", "hidden=8", "--set", "checkpoint_every=2000"]
    one = root / LONG
    run(*train, "--steps", 20000, "--out", one)
    other = root / (LONG[:-1] + "y")
    run(*train, "--steps", 13800, "--seed", 2, "--set", "actor_lr=1.2345e-4", "--out", other)
    changed = root / ("changed_" + LONG)
    run(instep, "train", "create_mover", "--set", "hidden=8", "--steps", 1500, "--change", "at=700 left_wheel=0.5",
        "--out", changed, ok=(0, 2))
    drawn = root / ("drawn_" + LONG)  # with a picture of the robot, where there is MuJoCo
    run(instep, "train", "half_cheetah", "--set", "hidden=8", "--steps", 2500, "--out", drawn, ok=(0, 2))
    resumed = root / ("resumed_" + LONG)
    interrupted(resumed, *train, "--steps", 10**9, "--out", resumed)
    interrupted(resumed, instep, "train", "--resume", resumed)
    half_done = root / ("seeds_" + LONG)
    interrupted(half_done / "s1", *train, "--seeds", "0..2", "--jobs", 3, "--steps", 10**9, "--out", half_done)
    learner = root / ("iac_" + LONG)
    run(*train, "--steps", 20000, "--algo", "iac", "--out", learner)
    longer = root / ("ten_times_" + LONG)
    run(*train, "--steps", 200000, "--seed", 3, "--out", longer)
    short = root / ("one_episode_" + LONG)
    run(instep, "train", "create_mover", "--set", "hidden=8", "--steps", 60, "--out", short)
    reports = [short / "report.html", one / "report.html", other / "report.html", resumed / "report.html", half_done / "report.html"]
    reports += [folder / "report.html" for folder in (changed, drawn) if (folder / "report.html").exists()]
    for name, runs in {"seeds": [one, one], "different": [one, other], "lengths": [one, other, resumed],
                       "learners": [one, learner], "ten_times": [one, longer], "half_done": [half_done],
                       "tasks": [one, other, resumed, half_done / "s0", half_done / "s1"]}.items():
        report = root / f"{name}.html"
        run(instep, "report", *runs, "--out", report)
        reports.append(report)
    return reports


def widths_of(chromium, page, reports):
    frames = ""
    for report in reports:
        text = html.escape(report.read_text(encoding="utf-8"), quote=True)
        frames += "".join(FRAME.format(width=width, page=text) for width in WIDTHS)
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{frames}{SCRIPT}", encoding="utf-8")
    result = subprocess.run([chromium, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,2500",
                             "--virtual-time-budget=5000", "--dump-dom", f"file://{page}"],
                            capture_output=True, text=True, timeout=240)
    found = re.search(r'<pre id="widths">(.+?)</pre>', result.stdout, re.DOTALL)
    return found.group(1).split("\n") if found else None


def keep_screens(chromium, root, reports):
    """A picture of each report at each width, to be looked at. A browser's window has a least width; a frame has none."""
    screens = root / "screens"
    screens.mkdir()
    for report in reports:
        name = "_".join(report.relative_to(root).with_suffix("").parts)
        text = html.escape(report.read_text(encoding="utf-8"), quote=True)
        for width in WIDTHS:
            page = root / "screen.html"
            page.write_text(f"<!doctype html><meta charset=utf-8><body style='margin:0'>{FRAME.format(width=width, page=text)}",
                            encoding="utf-8")
            subprocess.run([chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={max(width + 20, 500)},2450",
                            "--virtual-time-budget=2000", f"--screenshot={screens / f'{name}-{width}.png'}",
                            f"file://{page}"], capture_output=True, timeout=120)
    return len(list(screens.glob("*.png")))


def main():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        print("skipped: there is no Chromium here")
        return 77
    root = pathlib.Path(sys.argv[2]).resolve()
    reports = make_reports(sys.argv[1], root)
    widths = widths_of(chromium, root / "page.html", reports)
    if widths is None:
        print("skipped: Chromium shows nothing here")
        return 77
    wrong = 0
    for i, line in enumerate(widths):
        scroll, client, *wide = line.split()
        text = f"{reports[i // len(WIDTHS)].relative_to(root)} at {WIDTHS[i % len(WIDTHS)]}: {scroll} of {client}"
        if int(scroll) > int(client):
            wrong += 1
            text += ": scrolls sideways, by " + ", ".join(wide)
        print(text)
    assert len(widths) == len(reports) * len(WIDTHS)
    kept = keep_screens(chromium, root, reports)
    print(f"{kept} pictures kept in {root / 'screens'}")
    assert kept == len(reports) * len(WIDTHS), kept
    return 1 if wrong else 0


sys.exit(main())

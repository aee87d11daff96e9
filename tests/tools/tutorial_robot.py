"""tutorial_robot.py REAL SIMULATED: whether the turntable of docs/adding_a_robot.md has learnt and was driven.

Then, in the copy of the tree, what the page says of a gauge that is taken away, and what must hold of every robot:
a run that is killed leaves it standing."""
import csv
import json
import os
import signal
import subprocess
import sys
import time

COMMAND, PORT, ADDRESS = "build/release/bin/instep", "turntable", "127.0.0.1"
real, simulated = sys.argv[1:]


def returns(run):
    with open(run + "/episodes.csv") as file:
        return [float(line["return"]) for line in csv.DictReader(file)]


def ask(word):
    """What the simulator says to a word on its stdin."""
    simulator.stdin.write(word + "\n")
    simulator.stdin.flush()
    return simulator.stdout.readline()


def wait_until(word, beginning, patience_s):
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        answer = ask(word)
        if answer.startswith(beginning):
            return answer
        time.sleep(0.02)
    raise AssertionError(f"after {patience_s} s: {answer}")


def train(folder):
    run = subprocess.Popen([COMMAND, "train", "aim", "--time", "real", "--device", f"{PORT},{ADDRESS}", "--steps", "100000",
                            "--out", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until("status", "moves", 20)
    return run


learnt = returns(simulated)
first, last = sum(learnt[:20]) / 20, sum(learnt[-20:]) / 20
print(f"{len(learnt)} episodes: mean return {first:.0f} of the first twenty, {last:.0f} of the last twenty")
assert len(learnt) == 400 and first < -120 and last > -80, "it has not learnt what the page says"
summary = json.load(open(real + "/summary.json"))
assert summary["steps"] == 300 and summary["real_time"]["stood"] is True, summary
assert sum(returns(real)) / len(returns(real)) > first / 2, "on real time it acts as if it had learnt nothing"

simulator = subprocess.Popen([COMMAND, "sim", "turntable", "--link", PORT, "--address", ADDRESS],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
try:
    assert "ready" in simulator.stdout.readline()
    run = train("runs/unplugged")
    ask("unplug 1")
    wait_until("status", "stands", 3)
    ask("plug 1")
    wait_until("status", "moves", 20)
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=30) == 0
    assert ask("status").startswith("stands")
    run = train("runs/killed")
    run.send_signal(signal.SIGKILL)
    run.wait()
    wait_until("status", "stands", 3)
    time.sleep(1)
    assert ask("status").startswith("stands")
finally:
    simulator.send_signal(signal.SIGINT)
    assert simulator.wait(timeout=20) == 0
assert not os.path.exists(PORT)

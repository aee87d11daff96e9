"""tutorial_task.py RUN: whether the pendulum of docs/adding_a_task.md has learnt what the page says."""
import csv
import sys

(run,) = sys.argv[1:]
with open(run + "/episodes.csv") as file:
    returns = [float(line["return"]) for line in csv.DictReader(file)]
first, last = sum(returns[:10]) / 10, sum(returns[-10:]) / 10
print(f"{len(returns)} episodes: mean return {first:.0f} of the first ten, {last:.0f} of the last ten")
assert len(returns) == 500, len(returns)
assert first < -700 and last > -500, "it has not learnt what the page says"

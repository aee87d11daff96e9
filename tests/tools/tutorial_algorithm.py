"""tutorial_algorithm.py RUN: whether random search of docs/adding_an_algorithm.md has learnt what the page says."""
import csv
import sys

(run,) = sys.argv[1:]
with open(run + "/episodes.csv") as file:
    returns = [float(line["return"]) for line in csv.DictReader(file)]
first, last = sum(returns[:50]) / 50, sum(returns[-50:]) / 50
print(f"{len(returns)} episodes: mean return {first:.0f} of the first fifty, {last:.0f} of the last fifty")
assert len(returns) >= 200, len(returns)
assert returns[0] == 0.0 and first < 250 and last > 300, "it has not learnt what the page says"

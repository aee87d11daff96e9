"""tutorial_algorithm.py RUN: whether random search of docs/adding_an_algorithm.md has learnt what the page says."""
import csv
import sys

(run,) = sys.argv[1:]
with open(run + "/episodes.csv") as file:
    lengths = [int(line["length"]) for line in csv.DictReader(file)]
first, last = sum(lengths[:10]) / 10, sum(lengths[-10:]) / 10
print(f"{len(lengths)} episodes: {first:.0f} steps each of the first ten, {last:.0f} of the last ten")
assert first > 5 * last, "it has not learnt what the page says"

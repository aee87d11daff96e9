"""The running statistics as a PyTorch user has them: NumPy and Python numbers, on the host."""

import math

import numpy as np


class Normalizer:
    """Gymnasium's NormalizeObservation in float64, which updates before it normalises."""

    def __init__(self, n):
        self.mean, self.var, self.count = np.zeros(n), np.ones(n), 1e-4

    def __call__(self, observation):
        total = self.count + 1.0
        delta = observation - self.mean
        self.mean = self.mean + delta / total
        self.var = (self.var * self.count + delta * delta * (self.count / total)) / total
        self.count = total
        return ((observation - self.mean) / np.sqrt(self.var + 1e-8)).astype(np.float32)

    def state(self):
        return {"norm_mean": self.mean, "norm_var": self.var, "norm_count": self.count}


class Moments:
    """Welford's count, mean and sum of squared deviations."""

    def __init__(self):
        self.count, self.mean, self.sum_squares = 0, 0.0, 0.0

    def push(self, x):
        self.count += 1
        delta = x - self.mean
        self.mean += delta / self.count
        self.sum_squares += delta * (x - self.mean)

    def variance(self):
        return self.sum_squares / self.count if self.count else 0.0


class TdErrorScale:
    """What the TD error is divided by, after Schaul et al. 2021 (arXiv 2105.05347)."""

    def __init__(self):
        self.reward, self.discount, self.ret, self.ret_square = (Moments() for _ in range(4))
        self.running_return = 0.0

    def push(self, reward, discount, terminated):
        """Takes a step's entropy-regularised reward; answers the return so far and the scale."""
        self.running_return += reward
        running_return = self.running_return
        self.reward.push(reward)
        self.discount.push(0.0 if terminated else discount)
        if terminated:
            self.ret.push(running_return)
            self.ret_square.push(running_return * running_return)
            self.running_return = 0.0
        variance = self.reward.variance() + self.discount.variance() * self.ret_square.mean
        variance = max(variance, 1e-4)
        is_start = variance <= 0.01 and self.ret.count == 0
        return running_return, 1.0 if is_start else math.sqrt(variance)

    def state(self):
        moments = (self.reward, self.discount, self.ret, self.ret_square)
        rows = [[m.count, m.mean, m.sum_squares] for m in moments]
        return {"scale": np.array(rows), "G": self.running_return}

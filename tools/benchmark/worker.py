"""worker.py PEER: one Python peer of the benchmark, driven by bench.py over standard input and output.

Requests and answers are those of instep_bench (main.cpp). A peer is a class Peer(config, weights) in a module
of its own; config is that of a golden file, weights maps "actor/w1" and so on to arrays:

    begin_episode(observation)                     normalises the first observation of an episode
    step(next_observation, reward, terminated)     acts at the newest observation, answers that action as a
                                                   NumPy array, takes what followed, and does the update
    step_with_noise(..., noise [2, m])             the same by given standard normal draws; answers a
                                                   dictionary of what it computed, by the golden files' names
    state()                                        weights, second moments and statistics, likewise
Observations are float64 arrays; networks compute in float32.
"""

import importlib
import json
import os
import sys
import time

import numpy as np

import golden

RING = 256  # transitions that the timed updates go round


def timed_config(n, m, hidden):
    """The settings of every timed peer: see timed_settings() in main.cpp."""
    return {
        "n": n, "m": m, "hidden": hidden, "gamma": 0.99, "alpha": 0.3, "actor_lr": 1.1e-5,
        "critic_lr": 7.7e-5, "beta1": 0.0, "obs_norm": True, "pnorm": True, "td_scale": True,
    }  # fmt: skip


def random_weights(config):
    """Weights of the usual size; where learning starts does not change the arithmetic."""
    n, m, hidden = config["n"], config["m"], config["hidden"]
    generator = np.random.default_rng(0)
    weights = {}
    actor = [("1", n, hidden), ("2", hidden, hidden), ("_mu", hidden, m), ("_l", hidden, m)]
    critic = [("1", n + m, hidden), ("2", hidden, hidden), ("_o", hidden, 1)]
    for network, layers in ("actor", actor), ("critic", critic):
        for name, inputs, outputs in layers:
            matrix = generator.standard_normal((outputs, inputs)) / np.sqrt(inputs)
            weights[f"{network}/w{name}"] = matrix.astype(np.float32)
            weights[f"{network}/b{name}"] = np.zeros(outputs, np.float32)
    return weights


class Timed:
    """A peer with transitions to learn from."""

    def __init__(self, make_peer, n, m, hidden):
        config = timed_config(n, m, hidden)
        generator = np.random.default_rng(1)
        self.observations = generator.standard_normal((RING, n))
        self.rewards = generator.standard_normal(RING).tolist()
        self.at = 0
        self.peer = make_peer(config, random_weights(config))
        self.peer.begin_episode(self.observations[0])

    def update(self):
        self.at = (self.at + 1) % RING
        observation, reward = self.observations[self.at], self.rewards[self.at]
        begin, cpu_begin = time.perf_counter_ns(), time.process_time_ns()
        action = self.peer.step(observation, reward, False)
        cpu_end, end = time.process_time_ns(), time.perf_counter_ns()
        if not np.isfinite(action).all():
            raise ValueError("an action is not finite")
        # An update of milliseconds seldom has the core to itself throughout: what other processes took of
        # the time does not count against the peer, unless it was waiting for its GPU.
        waits = getattr(self.peer, "waits_for_gpu", False)
        return end - begin if waits else min(end - begin, cpu_end - cpu_begin)


class Worker:
    def __init__(self, make_peer):
        self.make_peer = make_peer
        self.timed = {}

    def answer(self, request):
        verb, _, rest = request.partition(" ")
        if verb == "verify":
            worst = golden.replay(rest, self.make_peer)
            return {"worst": worst.ratio, "tensor": worst.tensor, "step": worst.step}
        n, m, hidden, count = (int(word) for word in rest.split())
        shape = n, m, hidden
        if shape not in self.timed:
            self.timed[shape] = Timed(self.make_peer, *shape)
        for _ in range(count // 4 + 1):  # refills the caches and is not counted
            self.timed[shape].update()
        return {"samples": {"step": [self.timed[shape].update() for _ in range(count)]}}


def main():
    # Whatever a framework prints must not end up among the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = None
    for request in sys.stdin:
        try:
            worker = worker or Worker(importlib.import_module(sys.argv[1] + "_peer").Peer)
            answer = worker.answer(request.strip())
        except Exception as error:  # the benchmark goes on without this peer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()

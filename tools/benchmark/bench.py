"""The benchmark's conductor, started by tools/bench: asks peers, each a process, in turn for short batches.

Rounds alternate between shapes and peers, so that whatever slows the machine for a while slows them all.
Only one peer works at a time; all are pinned to the same core. Times are wall-clock time; for the Python
peers CPU time where that is less, as their long updates are the ones that other processes interrupt.
"""

import argparse
import datetime
import json
import math
import os
import platform
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "..", "tests", "golden", "avg")
GOLDEN_FILES = ["hopper_h256.safetensors", "hopper_h32.safetensors"]
HIDDEN = 256
SHAPES = {
    "hopper": (11, 3), "half_cheetah": (17, 6), "ant": (27, 8), "humanoid": (376, 17),
    "robot_8_2": (8, 2),
}  # fmt: skip
PEERS = {
    "fused": "fused, throughput schedule", "act_first": "fused, act-first schedule",
    "eigen": "Eigen, straightforward", "jax": "JAX, jit and donated buffers",
    "torch": "PyTorch, as the paper reads", "torch_trimmed": "PyTorch, trimmed",
    "cuda": "fused, on the GPU", "cublas_graph": "GPU: cuBLAS in CUDA graphs",
    "torch_cuda": "GPU: PyTorch in CUDA graphs", "bound": "bound of this machine",
}  # fmt: skip
OURS = ("fused", "act_first")
UPDATES_MIN, UPDATES_MAX = 20, 2000

PEER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu",
    "PYTHONDONTWRITEBYTECODE": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}  # fmt: skip


class PeerError(Exception):
    pass


class Peer:
    """A peer's process: requests go in and answers come out, a line each."""

    def __init__(self, command):
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env=os.environ | PEER_ENVIRONMENT,
            )  # fmt: skip
        except OSError as error:
            raise PeerError(f"cannot be started: {error}") from error

    def ask(self, request):
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except OSError as error:
            raise PeerError(f"its process has ended: {error}") from error
        if not line:
            raise PeerError(f"its process has ended with status {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def time(self, shape, updates):
        n, m = SHAPES[shape]
        return self.ask(f"time {n} {m} {HIDDEN} {updates}")["samples"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def verify(peer):
    """The worst error / tolerance over the golden files; raises when it is beyond 1."""
    worst = 0.0
    for name in GOLDEN_FILES:
        answer = peer.ask(f"verify {os.path.join(GOLDEN, name)}")
        ratio = answer["worst"]
        # JSON writes what is not finite as null or Infinity.
        if ratio is None or not ratio <= 1.0:
            raise PeerError(
                f"computes another update: {name}, {answer['tensor']} at step {answer['step']} "
                f"is off by {ratio} times the tolerance"
            )
        worst = max(worst, ratio)
    return worst


def start_peers(names, options):
    """Starts and verifies the peers; answers those that can be timed, and whether ours are fine."""
    peers, ours_are_fine = {}, True
    for name in names:
        if name == "jax":
            command = [options.jax_python, os.path.join(HERE, "worker.py"), name]
        elif name.startswith("torch"):
            python = options.cuda_python if name == "torch_cuda" else "/usr/bin/python3"
            command = [python, os.path.join(HERE, "worker.py"), name]
        else:
            command = [options.native, name]
        try:
            peer = Peer(command)
            if name != "bound":
                print(f"{PEERS[name]:30} golden files: worst error {verify(peer):.3f} of the tolerance")
            peers[name] = peer
        except PeerError as error:
            print(f"tools/bench: without {name}: {error}", file=sys.stderr)
            ours_are_fine &= name not in OURS
    return peers, ours_are_fine


def measure(peers, shapes, rounds, batch_s):
    """Samples in microseconds by shape, peer and what was timed: a list of batches."""
    counts, batches = {}, {}
    for shape in shapes:
        for name, peer in peers.items():
            peer.time(shape, UPDATES_MIN)  # compiles, allocates, warms up
            samples = peer.time(shape, UPDATES_MIN)
            median_ns = sum(statistics.median(values) for values in samples.values())
            fitting = int(batch_s * 1e9 / median_ns)
            counts[shape, name] = min(max(fitting, UPDATES_MIN), UPDATES_MAX)
    order = list(peers)
    for number in range(rounds):
        for shape in shapes:
            for name in order[number % len(order) :] + order[: number % len(order)]:
                for what, ns in peers[name].time(shape, counts[shape, name]).items():
                    batch = [value / 1e3 for value in ns]
                    batches.setdefault((shape, name, what), []).append(batch)
    return batches


def median_of_rounds(batches):
    return statistics.median(statistics.median(batch) for batch in batches)


def percentile(batches, q):
    ordered = sorted(value for batch in batches for value in batch)
    return ordered[min(len(ordered) - 1, math.ceil(q * len(ordered)) - 1)]


def ratio_to(batches, reference):
    """Median over rounds of the ratio of that round's medians."""
    pairs = zip(batches, reference)
    return statistics.median(statistics.median(a) / statistics.median(b) for a, b in pairs)


def summarize(batches, shape):
    """The figures of one shape in microseconds; null for what was not measured."""

    def median(name, what="step"):
        key = shape, name, what
        return round(median_of_rounds(batches[key]), 3) if key in batches else None

    memory, roots = median("bound", "memory"), median("bound", "sqrt")
    return {
        "fused_us": median("fused"),
        "fused_throughput_us": median("fused"),
        "act_first_us": median("act_first"),
        "eigen_us": median("eigen"),
        "jax_us": median("jax"),
        "torch_us": median("torch"),
        "torch_trimmed_us": median("torch_trimmed"),
        "cuda_us": median("cuda"),
        "cublas_graph_us": median("cublas_graph"),
        "cublas_graph_device_us": median("cublas_graph", "device"),
        "torch_cuda_us": median("torch_cuda"),
        "bound_us": None if memory is None else max(memory, roots),
        "memory_bound_us": memory,
        "sqrt_bound_us": roots,
        "observation_to_action_us": median("act_first", "observation_to_action"),
    }


def print_table(batches, shape):
    n, m = SHAPES[shape]
    print(f"\n{shape} ({n}, {m}), h = {HIDDEN}")
    print(f"  {'microseconds':34}{'median':>10}{'p99':>10}{'/ fused':>10}")
    rows = [(PEERS[name], name, "step") for name in PEERS if name != "bound"]
    rows[2:2] = [("  of which observation to action", "act_first", "observation_to_action")]
    rows += [
        ("GPU: cuBLAS, on the device alone", "cublas_graph", "device"),
        ("memory bound", "bound", "memory"),
        ("square-root bound", "bound", "sqrt"),
    ]
    fused = batches[shape, "fused", "step"]
    for text, *key in rows:
        samples = batches.get((shape, *key))
        if samples is None:
            continue
        median, p99, ratio = median_of_rounds(samples), percentile(samples, 0.99), ratio_to(samples, fused)
        print(f"  {text:34}{median:10.2f}{p99:10.2f}{ratio:10.3f}")


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        return lines[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def chosen(text, known, parser, what):
    names = text.split(",") if text else list(known)
    for name in names:
        if name not in known:
            parser.error(f"unknown {what} {name}; there are {', '.join(known)}")
    return names


def main():
    parser = argparse.ArgumentParser(prog="tools/bench", description="One update beside its peers.")
    parser.add_argument("--native", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--jax-python", required=True, help=argparse.SUPPRESS)
    parser.add_argument(
        "--cuda-python", default="python3", help="the Python whose PyTorch knows the GPU (python3)"
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", action="store_true", help="end with a line of JSON")
    parser.add_argument("--peers", help=f"comma-separated, fused always: {', '.join(PEERS)}")
    parser.add_argument("--shapes", help=f"comma-separated: {', '.join(SHAPES)}")
    options = parser.parse_args()
    names = chosen(options.peers, PEERS, parser, "peer")
    shapes = chosen(options.shapes, SHAPES, parser, "shape")
    names = [name for name in PEERS if name in names or name == "fused"]

    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})  # inherited by every peer
    rounds, batch_s = (5, 0.02) if options.quick else (15, 0.06)
    print(
        f"{processor()}, core {core}, {datetime.date.today()}, {rounds} rounds, "
        f"load {os.getloadavg()[0]:.1f} beside this"
    )
    peers, ours_are_fine = start_peers(names, options)
    if not ours_are_fine:
        return 1
    try:
        batches = measure(peers, shapes, rounds, batch_s)
    except PeerError as error:
        print(f"tools/bench: a peer failed while it was timed: {error}", file=sys.stderr)
        return 1
    for shape in shapes:
        print_table(batches, shape)
    for peer in peers.values():
        peer.close()
    if options.json:
        print(json.dumps({shape: summarize(batches, shape) for shape in shapes}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

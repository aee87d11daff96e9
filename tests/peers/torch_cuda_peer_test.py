"""torch_cuda_peer_test.py BENCHMARK_DIR GOLDEN_DIR: the benchmark's PyTorch peer for GPUs on the CPU.

What it would capture runs call by call, against golden files. Exits with 77 where PyTorch is missing.
"""

import os
import sys

sys.path.insert(0, sys.argv[1])
try:
    import torch  # noqa: F401
except ImportError:
    print("skipped: no PyTorch (Debian: python3-torch)")
    sys.exit(77)

import golden
import torch_cuda_peer


def make_peer(config, weights):
    return torch_cuda_peer.Peer(config, weights, device="cpu")


for name in "hopper_h256", "hopper_h32", "first_step_terminal", "clamp_both_ends":
    worst = golden.replay(os.path.join(sys.argv[2], name + ".safetensors"), make_peer)
    print(f"{name}: {worst.ratio:.3f} of the tolerance, {worst.tensor} at step {worst.step}")
    assert worst.ratio <= 1.0
    assert worst.compared > 100

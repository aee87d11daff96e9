"""AVG golden files: reading them, and replaying them through a peer (tests/golden/README has the format)."""

import json
import math
import struct

import numpy as np

DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "U8": "u1"}


def read(path):
    """The config and the tensors of a safetensors file."""
    with open(path, "rb") as file:
        data = file.read()
    (header_bytes,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + header_bytes])
    config = json.loads(header.pop("__metadata__")["config"])
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + header_bytes + offset for offset in entry["data_offsets"])
        values = np.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return config, tensors


class Worst:
    """The worst error / tolerance so far and where it was. Beyond 1 fails."""

    def __init__(self):
        self.ratio, self.tensor, self.step = 0.0, "-", 0
        self.compared = 0

    def compare(self, name, ours, truth, tolerance, step):
        error = float(np.max(np.abs(np.asarray(ours, np.float64).reshape(truth.shape) - truth)))
        ratio = error / tolerance if math.isfinite(error) else math.inf
        self.compared += 1
        if ratio > self.ratio:
            self.ratio, self.tensor, self.step = ratio, name, step


def replay(path, make_peer):
    """Runs the file's transitions through make_peer(config, weights) and compares all that the peer tells."""
    config, tensors = read(path)
    initial = {name[5:]: value for name, value in tensors.items() if name.startswith("init/")}
    peer = make_peer(config, initial)
    worst = Worst()
    resets = iter(tensors["in/reset_obs"]) if "in/reset_obs" in tensors else iter(())
    peer.begin_episode(tensors["in/obs0"].astype(np.float64))
    for t in range(config["steps"]):
        terminated = bool(tensors["in/terminated"][t])
        truncated = bool(tensors["in/truncated"][t])
        outputs = peer.step_with_noise(
            tensors["in/next_obs"][t].astype(np.float64),
            float(tensors["in/reward"][t]),
            terminated,
            np.stack([tensors["in/eps"][t], tensors["in/eps_next"][t]]).astype(np.float32),
        )
        for name, value in outputs.items():
            name = "out/" + name
            worst.compare(name, value, tensors[name][t], float(tensors["tol/" + name][t]), t)
        if terminated or truncated:
            peer.begin_episode(next(resets).astype(np.float64))
    for name, value in peer.state().items():
        name = "final/" + name
        if name in tensors:
            tolerance = float(tensors["tol/" + name].ravel()[0])
            worst.compare(name, value, tensors[name], tolerance, config["steps"])
    # A peer that tells nothing must not pass.
    if worst.compared < 6 * config["steps"]:
        raise ValueError(f"{path}: the peer reports too little to be compared")
    return worst

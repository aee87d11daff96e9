"""cuda_estimate.py PTX_DIR
What a tick of the CUDA learner is made of, before any GPU has run it: what ptxas makes of the PTX for an H100 (sm_90, a
cluster) and a Jetson Orin (sm_87, a grid), and an estimate of each phase from the machine code's own loops. Prints the
tables of docs/performance.md. Ends with 1 when a register is spilled or a weight takes more instructions than it did;
with 77 where ptxas or nvdisasm is missing. They are looked for in PATH and in virtual environments:
  python3 -m venv ~/.cache/instep/sass && ~/.cache/instep/sass/bin/pip install nvidia-cuda-nvcc nvidia-cuda-nvdisasm
"""

import collections
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

INSTRUCTIONS_MAX = 75  # of an updated weight and both its forward passes
BLOCKS, WARPS, SCHEDULERS, WIDTH = 8, 8, 4, 256

# GHz; the team's barrier, a block's and a load from the second cache, in nanoseconds; bytes a clock that a multiprocessor
# gets from its own memory, where that is large enough for a block's part of the weights, and from the second cache. All
# of them are assumed, none was measured here.
GPUS = {
    "H100, sm_90, cluster": {"file": "cluster.sm_90", "arch": "sm_90", "ghz": 1.755, "team_ns": 250, "block_ns": 20,
                             "load_ns": 150, "own_bytes": 227 << 10, "own": 128, "cache": 24},
    "Jetson Orin, sm_87, grid": {"file": "grid.sm_53", "arch": "sm_87", "ghz": 0.918, "team_ns": 2000, "block_ns": 40,
                                 "load_ns": 300, "own_bytes": 0, "own": 0, "cache": 32},
}  # fmt: skip
TASKS = {"half_cheetah": (17, 6), "humanoid": (376, 17)}


def find(name):
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "instep")
    found = [shutil.which(name), *glob.glob(f"{cache}/*/lib/python3*/site-packages/nvidia/*/bin/{name}")]
    return next((path for path in found if path), None)


def assemble(ptxas, nvdisasm, ptx, arch, folder):
    """What ptxas said, and the launched kernel's machine code: labels and instructions in their order."""
    cubin = os.path.join(folder, f"{arch}.cubin")
    said = subprocess.run([ptxas, f"-arch={arch}", "-v", ptx, "-o", cubin], capture_output=True, text=True, check=True)
    listing = subprocess.run([nvdisasm, "-c", cubin], capture_output=True, text=True, check=True).stdout
    code, is_inside = [], False
    for line in listing.splitlines():
        section = re.match(r"\s*\.section\s+\.text\.(\w+)", line)
        if section:
            is_inside = section.group(1) == "instep_launched"
        match = re.match(r"(\.L_x_\d+):|\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?(.*?) *;", line)
        if is_inside and match:
            code.append(match.groups())
    return said.stderr, code


def innermost_loops(code):
    """The instructions' names of each loop that holds no other one."""
    at = {label: i for i, (label, _) in enumerate(code) if label}
    spans = []
    for i, (_, text) in enumerate(code):
        target = re.search(r"\.L_x_\d+", text) if text and text.startswith("BRA") else None
        if target and at.get(target.group(0), i) < i:
            spans.append((at[target.group(0)], i))
    inner = [(a, b) for a, b in spans if not any(a <= c and d <= b and (a, b) != (c, d) for c, d in spans)]
    return [[text.split()[0].split(".")[0] for label, text in code[a : b + 1] if text] for a, b in inner]


def instructions(code):
    """How many a weight takes in each kind of loop, the most of all copies of it."""
    found = collections.defaultdict(float)
    for body in innermost_loops(code):
        count = collections.Counter(body)
        if count["MUFU"] == 8 and count["FFMA"] >= 36:  # four rows, each a root and a quotient
            kind = {36: "update", 40: "update, forward", 44: "update, forward twice"}.get(count["FFMA"])
            found[kind] = max(found[kind], len(body) / 4)
        elif count["MUFU"] == 0 and count["FFMA"] == 16 and count["LDS"] == 16 and count["ISETP"] > 8:
            found["forward"] = max(found["forward"], len(body) / 16)
        elif count["FFMA"] == 32 and count["MUFU"] <= 1:
            found["backward"] = max(found["backward"], len(body) / 32)
    wanted = {"update", "update, forward", "update, forward twice", "forward", "backward"}
    missing = wanted - found.keys()
    if missing:
        sys.exit(f"no loop was found in the machine code for: {', '.join(sorted(missing))}")
    return found


def phases(n, m, each):
    """Of a tick in the throughput schedule: name, instructions of a scheduler, bytes of weights and moments of a block,
    barriers of the team and of a block, and loads from afar that wait for each other."""
    rows = {"actor": n + WIDTH, "critic": n + m + WIDTH}
    group = WIDTH // BLOCKS

    def work(network, kind):
        # Each warp takes an eighth of the rows, each lane an output.
        return rows[network] * (group // 32) / 8 * each[kind] * WARPS / SCHEDULERS

    def floats(network, times):
        return rows[network] * group * times * 4

    backward = WIDTH * group / 32 / (32 * WARPS) * 32 * each["backward"] * WARPS / SCHEDULERS
    return [
        ("observe, actor update, two forward passes, action", work("actor", "update, forward twice"),
         floats("actor", 4), 2, 10, 6),
        ("critic at the target, TD error", work("critic", "forward"), floats("critic", 1), 2, 8, 3),
        ("critic update, forward pass", work("critic", "update, forward"), floats("critic", 4), 2, 9, 5),
        ("back through the critic", backward, WIDTH * group * 4, 2, 3, 3),
        ("back through the actor", backward, WIDTH * group * 4, 1, 2, 3),
    ]  # fmt: skip


def table(heads, rows):
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
    print()


def print_estimate(gpu, about, each):
    for task, (n, m) in TASKS.items():
        rows, total = [], 0.0
        weights = (3 * (n + WIDTH) + 2 * (n + m + WIDTH)) * WIDTH // BLOCKS * 4
        bytes_a_clock = about["own" if weights < about["own_bytes"] else "cache"]
        for name, issued, size, team, block, loads in phases(n, m, each):
            issue_us, memory_us = issued / about["ghz"] / 1e3, size / bytes_a_clock / about["ghz"] / 1e3
            barrier_us = (team * about["team_ns"] + block * about["block_ns"]) / 1e3
            us = max(issue_us, memory_us) + barrier_us + loads * about["load_ns"] / 1e3
            total += us
            rows.append((name, issue_us, memory_us, f"{team} and {block}", barrier_us, loads * about["load_ns"] / 1e3, us))
        heads = ["phase", "instructions", "weights", "barriers, team and block", "they take", "loads that wait", "in all"]
        print(f"{gpu}, {task}: {total:.1f} microseconds, estimated\n")
        table(heads, rows)


def main():
    ptxas, nvdisasm = find("ptxas"), find("nvdisasm")
    if not ptxas or not nvdisasm:
        print("skipped: no ptxas or no nvdisasm here (PyPI's nvidia-cuda-nvcc and nvidia-cuda-nvdisasm)")
        return 77
    status = 0
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor() as pool:
        jobs = {gpu: pool.submit(assemble, ptxas, nvdisasm, f"{sys.argv[1]}/instep_{about['file']}.ptx", about["arch"],
                                 folder) for gpu, about in GPUS.items()}  # fmt: skip
        made, counted, all_each = [], [], {}
        for gpu, job in jobs.items():
            said, code = job.result()
            registers = re.findall(r"Used (\d+) registers", said)
            spilled = sum(map(int, re.findall(r"(\d+) bytes spill", said)))
            shared = re.search(r"(\d+) bytes smem", said).group(1)
            count = collections.Counter(text.split()[0].split(".")[0] for _, text in code if text)
            made.append((gpu, " and ".join(sorted(registers)), shared, spilled, len(code), count["BAR"],
                         count["UCGABAR_ARV"]))  # fmt: skip
            each = all_each[gpu] = instructions(code)
            counted.append((gpu, *(each[kind] for kind in sorted(each))))
            if spilled or each["update, forward twice"] > INSTRUCTIONS_MAX:
                print(f"wrong: {gpu} spills {spilled} bytes, or a weight takes {each['update, forward twice']}")
                status = 1
    table(["", "registers", "shared memory", "spilled", "lines of code", "block's barriers in it", "team's"], made)
    table(["instructions of a weight", *sorted(each)], counted)
    for gpu, about in GPUS.items():
        print_estimate(gpu, about, all_each[gpu])
    return status


if __name__ == "__main__":
    sys.exit(main())

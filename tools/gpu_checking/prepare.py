"""Makes the folder that travels to the machine with a GPU: programs with what they need, and the emulated kernels' bits,
so that nothing is built and little is computed there."""

import hashlib
import json
import os
import re
import shutil
import subprocess

SIZE_MAX = 64 << 20  # of all that travels: this folder and the project's files
# Those of every machine; the rest goes along.
OF_EVERY_MACHINE = re.compile(r"linux-vdso|ld-linux|lib(c|m|dl|rt|pthread|util|resolv)\.so")
NAMES = ("instep", "instep_bench")
FAULT = "libcuda_fault.so"


class CannotPrepare(Exception):
    pass


def build_programs(root, say):
    """A build folder with programs that find their libraries in lib/ beside them."""
    build = os.path.join(root, "build", "gpu")
    words = [
        "cmake", "-S", root, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DINSTEP_BUILD_TESTS=OFF",
        "-DINSTEP_BENCH_MARCH=x86-64-v3", "--log-level=WARNING",
        "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags,-rpath,'$ORIGIN/../lib'",
    ]  # fmt: skip
    targets = ["instep_command", "instep_cuda_fault"]
    if subprocess.run([*words, "-DINSTEP_BUILD_BENCHMARKS=ON"], cwd=root, capture_output=True).returncode == 0:
        targets.append("instep_bench")
    else:
        say("the benchmark cannot be built here (libeigen3-dev): without cuBLAS and PyTorch")
        subprocess.run([*words, "-DINSTEP_BUILD_BENCHMARKS=OFF"], cwd=root, check=True)
    subprocess.run(["cmake", "--build", build, "--target", *targets], cwd=root, check=True)
    return build


def copy_libraries(program, folder):
    said = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    for path in re.findall(r"=> (/\S+)", said):
        if not OF_EVERY_MACHINE.search(os.path.basename(path)):
            shutil.copy(os.path.realpath(path), os.path.join(folder, os.path.basename(path)))


def train_words(reference):
    """The run whose bits the emulated kernels give; --backend and --out are still to come."""
    words = ["train", reference["task"], "--seed", "1", "--steps", str(reference["steps"])]
    return [*words, "--set", f"hidden={reference['hidden']}"]


def references(is_quick):
    if is_quick:
        return {"long": {"task": "dot_reacher", "steps": 100, "hidden": 32},
                "short": {"task": "dot_reacher", "steps": 50, "hidden": 32}}  # fmt: skip
    return {
        "long": {"task": "dot_reacher", "steps": 10_000, "hidden": 32},
        "wide": {"task": "half_cheetah", "steps": 200, "hidden": 256},
        "short": {"task": "dot_reacher", "steps": 1000, "hidden": 32},
    }


def folder_bytes(folder):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


def project_bytes(root):
    """What the project's own files take, where git can tell."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True)
    paths = (os.path.join(root, name) for name in listed.stdout.split("\0") if name)
    return sum(os.path.getsize(path) for path in paths if os.path.isfile(path))


def digest(paths):
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            total.update(file.read())
    return total.hexdigest()[:16]


def prepare(root, folder, build, is_quick, say):
    """Fills `folder`, which may exist; raises CannotPrepare or what a program failed with."""
    build = build or build_programs(root, say)
    for name in ("bin", "lib", "reference"):
        shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        os.makedirs(os.path.join(folder, name))
    programs = []
    for name in NAMES:
        path = os.path.join(build, "bin", name)
        if os.path.exists(path):
            programs.append(os.path.join(folder, "bin", name))
            subprocess.run(["strip", "-o", programs[-1], path], check=True)
            copy_libraries(path, os.path.join(folder, "lib"))
    if os.path.join(folder, "bin", "instep") not in programs:
        raise CannotPrepare(f"{build} is not a build folder: it lacks bin/instep")
    shutil.copy(os.path.join(build, "lib", FAULT), os.path.join(folder, "lib", FAULT))
    chosen = references(is_quick)
    for name, reference in chosen.items():
        say(f"the emulated kernels' bits: {reference['steps']} steps of {reference['task']}")
        out = os.path.join(folder, "reference", name)
        words = [programs[0], *train_words(reference), "--backend", "cuda-emulated", "--out", out]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode != 0:
            raise CannotPrepare(f"the emulated kernels fail: {done.stderr[-1500:]}")
        os.remove(os.path.join(out, "report.html"))
    about = {"build": digest(programs), "quick": is_quick, "references": chosen}
    with open(os.path.join(folder, "prepared.json"), "w", encoding="utf-8") as file:
        json.dump(about, file, indent=1)
    size, beside = folder_bytes(folder), project_bytes(root)
    say(f"{folder}: {size / 2**20:.1f} MiB, and {beside / 2**20:.1f} MiB of the project's own files")
    if size + beside > SIZE_MAX:
        raise CannotPrepare(f"together more than {SIZE_MAX >> 20} MiB: too much to travel")

"""The stages of tools/gpu-check, in the order of what their results are worth. Each answers rows and sentences for its
result, or raises StageFailed."""

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from gpu_checking.commands import OutOfTime, StageFailed, end_of, last_json
from gpu_checking.prepare import FAULT, train_words

GOLDEN = os.path.join("tests", "golden", "avg")


class Stage:
    def __init__(self, name, needs_s, limit_s, run):
        self.name = name
        self.needs_s = needs_s  # not begun with less
        self.limit_s = limit_s
        self.run = run


class Bench:
    """What all stages use: the prepared folder, the machine, and a place for runs."""

    def __init__(self, root, prepared, about, commands, scratch):
        self.root = root
        self.prepared = prepared
        self.is_quick = about["quick"]
        self.references = about["references"]
        self.commands = commands
        self.scratch = scratch
        self.paths = []

    def file(self, *names):
        return os.path.join(self.prepared, *names)

    def out(self):
        """A folder for a run that does not exist yet."""
        return os.path.join(tempfile.mkdtemp(dir=self.scratch), "run")


def machine(bench):
    """What is here, found at run time: whatever is missing is said in the stages that would need it."""
    about = {"paths": bench.paths, "python": sys.version.split()[0]}
    for name, words in {
        "card": ["nvidia-smi", "--query-gpu=name,driver_version,clocks.max.sm", "--format=csv,noheader"],
        "toolkit": ["nvcc", "--version"],
        "torch": ["python3", "-c", "import torch; print(torch.__version__)"],
        "sanitizer": ["compute-sanitizer", "--version"],
    }.items():
        try:
            about[name] = bench.commands.run(*words).strip().splitlines()[-1]
        except (OSError, StageFailed, IndexError):
            about[name] = None
    about["cublas"] = find_cublas()
    about["device"] = about["card"] or "a GPU that nvidia-smi does not tell of"
    return about


def find_cublas():
    """libcublas.so, which is often in a Python environment or a toolkit that the loader does not look in."""
    packages = [os.path.join(path, "nvidia", "*", "lib") for path in python_paths()]
    toolkits = ["/usr/local/cuda*/lib64", "/usr/local/cuda*/lib", "/usr/lib/*-linux-gnu"]
    for folder in packages + toolkits:
        found = sorted(glob.glob(os.path.join(folder, "libcublas.so.1[0-9]")))
        if found:
            return found[-1]
    return None


def python_paths():
    try:
        said = subprocess.run(["python3", "-c", "import sys; print('\\n'.join(sys.path))"],
                              capture_output=True, text=True, timeout=20)  # fmt: skip
        return [path for path in said.stdout.splitlines() if path]
    except (OSError, subprocess.SubprocessError):
        return []


def compile_kernels(bench):
    """The driver compiles each team's kernels once and keeps them: all at the same time, before anything is timed."""
    file = os.path.join(GOLDEN, "edge_h4_consecutive_ends.safetensors")
    begin = time.monotonic()
    teams = [path for path in bench.paths if not path.endswith("_resident")]
    processes = [bench.commands.start(verify_words(bench, path, [file])) for path in teams]
    problems = []
    for path, process in zip(teams, processes):
        code, said = bench.commands.finish(process)
        if code != 0 or "cannot be used" in said:
            problems.append(f"{path}: {end_of(said)}")
    if problems:
        raise StageFailed("; ".join(problems))
    return {"seconds": round(time.monotonic() - begin, 1)}


def verify_words(bench, path, files):
    return [bench.commands.command, "verify", *files, "--backend", "cuda", "--path", path]


def golden(path):
    def run(bench):
        names = "edge_h4_consecutive_ends.safetensors" if bench.is_quick else "*.safetensors"
        files = sorted(os.path.relpath(file, bench.root)
                       for file in glob.glob(os.path.join(bench.root, GOLDEN, names)))  # fmt: skip
        said = bench.commands.run(*verify_words(bench, path, files))
        return {"files": len(files), "said": said.strip().splitlines()[-1]}

    return run


def train(bench, name, path, *more_words, environment=None, may_fall_back=False):
    """The folder of a reference's run on that path."""
    out = bench.out()
    words = [*train_words(bench.references[name]), "--backend", "cuda", "--path", path, "--out", out, *more_words]
    bench.commands.instep(*words, environment=environment, may_fall_back=may_fall_back)
    return out


def compare(bench, name, run):
    """Whether a run has the emulated kernels' bits: those that were carried here, or else, as the task's physics may
    differ with the C library, those computed here."""
    carried = bench.file("reference", name)
    code, said = bench.commands.finish(bench.commands.start([bench.commands.command, "compare", carried, run]))
    if code == 0:
        return "the bits that were carried here"
    here = os.path.join(bench.scratch, f"emulated-{name}")
    if not os.path.exists(os.path.join(here, "summary.json")):
        shutil.rmtree(here, ignore_errors=True)
        bench.commands.instep(*train_words(bench.references[name]), "--backend", "cuda-emulated", "--out", here)
    code, _ = bench.commands.finish(bench.commands.start([bench.commands.command, "compare", here, run]))
    if code != 0:
        raise StageFailed(f"other bits than the emulated kernels': {end_of(said)}")
    return "the bits of the emulated kernels here; those that were carried here are others"


def same_bits(name, path, times=1):
    def run(bench):
        return {"steps": bench.references[name]["steps"],
                "said": [compare(bench, name, train(bench, name, path)) for _ in range(times)][-1],
                "times": times}  # fmt: skip

    return run


def device_figures(task, path, schedule):
    """Microseconds of a step on the device: one agent alone, and several at once."""

    def run(bench):
        words = ["profile", task, "--backend", "cuda", "--path", path, "--schedule", schedule]
        words += ["--set", "hidden=32", "--updates", "20"] if bench.is_quick else ["--updates", "5000"]
        one = bench.commands.result(*words, "--agents", "1")
        most = one["agents_at_once"] or 1
        rows = [row_of(task, path, schedule, 1, one)]
        # Each is measured alone, too, in a process that opens the GPU anew: more would take minutes.
        for count in sorted({min(12, most), min(most, 32)} - {1}):
            rows.append(row_of(task, path, schedule, count, bench.commands.result(*words, "--agents", str(count))))
        return {"rows": rows}

    return run


def row_of(task, path, schedule, count, result):
    if not result["same_bits"]:
        raise StageFailed(f"{path}: one of {count} agents has other bits than alone")
    return {"task": task, "path": path, "schedule": schedule, "agents": count, "fit": result["agents_at_once"],
            "one_us": result["device_step_us"], "all_us": result["device_step_us_all"]}  # fmt: skip


def host_figures(task, path):
    def run(bench):
        words = ["profile", task, "--updates", "10" if bench.is_quick else "5000"]
        words += ["--set", "hidden=4"] if bench.is_quick else []
        words += ["--backend", "cpu"] if path == "cpu" else ["--backend", "cuda", "--path", path]
        result = bench.commands.result(*words)
        update, action = result["update_us"], result["observation_to_action_us"]
        return {"rows": [{"task": task, "path": path, "update_p50": update["p50"], "update_p99": update["p99"],
                          "action_p50": action["p50"], "action_p99": action["p99"]}]}  # fmt: skip

    return run


def peers(task):
    def run(bench):
        native = bench.file("bin", "instep_bench")
        if not os.path.exists(native):
            return {"left_out": "the benchmark was not built where this was prepared"}
        cublas = find_cublas()
        environment = {"INSTEP_LIBCUBLAS": cublas} if cublas else {}
        words = [sys.executable, os.path.join("tools", "benchmark", "bench.py"), "--native", native]
        words += ["--jax-python", "none", "--quick", "--json", "--peers", "fused,cuda,cublas_graph,torch_cuda"]
        said = bench.commands.run(*words, "--shapes", task, environment=environment, may_fall_back=True)
        if "going on on the CPU" in said:
            raise StageFailed(f"the fused learner left the GPU: {end_of(said)}")
        without = [line for line in said.splitlines() if line.startswith("tools/bench: without")]
        return {"rows": [{"shape": task} | last_json(said)[task]], "without": without}

    return run


def fault(kind, launch, path):
    """A context that is broken for real in the middle of a run, which then goes on on the CPU."""

    def run(bench):
        # The real driver, or what stands in its place, is looked for under its name.
        stand_in = os.environ.get("INSTEP_LIBCUDA")
        environment = {"INSTEP_LIBCUDA": bench.file("lib", FAULT), "INSTEP_CUDA_FAULT": f"{kind}:{launch}"}
        if stand_in:
            environment["LD_LIBRARY_PATH"] = os.path.dirname(os.path.abspath(stand_in))
        # A resident kernel is launched anew after each checkpoint, and is not sure to be launched otherwise.
        out = train(bench, "short", path, "--set", "checkpoint_every=10", environment=environment, may_fall_back=True)
        with open(os.path.join(out, "summary.json"), encoding="utf-8") as file:
            summary = json.load(file)
        gpu = summary["gpu"]
        if summary["ended"] != "done" or gpu["fallbacks"] != 1 or not gpu["seconds_lost"] < 1:
            raise StageFailed(f"after {kind}: ended {summary['ended']}, {gpu}")
        return {"said": f"{gpu['problem']}; {gpu['updates_lost']} updates of {gpu['seconds_lost']:.2f} s lost"}

    return run


def killed(path):
    """A process that is killed in the middle, and another one right after it."""

    def run(bench):
        endless = bench.references["long"] | {"steps": 10**9}
        words = [*train_words(endless), "--backend", "cuda", "--path", path, "--out", bench.out()]
        process = bench.commands.start([bench.commands.command, *words])
        time.sleep(0.2 if bench.is_quick else 2.0)
        if process.poll() is not None:
            raise StageFailed(f"the run ended by itself: {end_of(process.stdout.read())}")
        bench.commands.kill(process)
        return {"said": compare(bench, "short", train(bench, "short", path))}

    return run


def two_processes(path):
    def run(bench):
        outs = [bench.out(), bench.out()]
        words = [bench.commands.command, *train_words(bench.references["short"]), "--backend", "cuda", "--path", path]
        begin = time.monotonic()
        processes = [bench.commands.start([*words, "--out", out]) for out in outs]
        for code, said in [bench.commands.finish(process) for process in processes]:
            if code != 0 or "cannot be used" in said:
                raise StageFailed(f"one of two processes: {end_of(said)}")
        seconds = time.monotonic() - begin
        return {"said": [compare(bench, "short", out) for out in outs][-1], "seconds": round(seconds, 1)}

    return run


def sanitize(tool, path):
    def run(bench):
        program = shutil.which("compute-sanitizer")
        if program is None:
            return {"left_out": "compute-sanitizer is not installed here"}
        file = os.path.join(GOLDEN, "first_step_terminal.safetensors")
        said = bench.commands.run(program, "--tool", tool, "--error-exitcode", "1",
                                  *verify_words(bench, path, [file]))  # fmt: skip
        return {"said": said.strip().splitlines()[-1]}

    return run


def all_stages(bench):
    """In the order of their worth. A path's first launch opens the GPU anew, which takes about a second."""
    paths = bench.paths
    launched = [path for path in paths if not path.endswith("_resident")]
    tasks = ["dot_reacher"] if bench.is_quick else ["half_cheetah", "humanoid"]
    stages = []

    def add(name, needs_s, limit_s, run):
        # A rehearsal's stages are small; how long they may take is for a busy machine.
        stages.append(Stage(name, needs_s / 10 if bench.is_quick else needs_s, limit_s, run))

    add("machine", 5, 100, machine)
    add("compile", 40, 150, compile_kernels)
    for path in paths:
        add(f"golden_{path}", 8, 30 if bench.is_quick else 100, golden(path))
    for path in paths:
        add(f"bits_{path}", 6, 100, same_bits("long", path, 2 if path == paths[0] else 1))
    for task in tasks:
        add(f"device_{task}_{launched[0]}", 10, 100, device_figures(task, launched[0], "throughput"))
        add(f"peers_{task}", 25, 120, peers(task))
        for path in ["cpu", *(paths[-1:] if bench.is_quick else paths[:2])]:
            add(f"host_{task}_{path}", 3, 60, host_figures(task, path))
    add("device_act_first", 10, 100, device_figures(tasks[0], launched[0], "act_first"))
    if "wide" in bench.references:
        add(f"bits_wide_{paths[0]}", 6, 100, same_bits("wide", paths[0]))
    for kind in ("trap", "spin"):
        for path in (paths[0], launched[0]):
            add(f"fault_{kind}_{path}", 8, 60, fault(kind, 3, path))
    add("killed", 6, 60, killed(paths[0]))
    add("two_processes", 6, 60, two_processes(paths[0]))
    for task in tasks:
        for path in launched[1:]:
            add(f"device_{task}_{path}", 10, 60, device_figures(task, path, "throughput"))
        for path in [] if bench.is_quick else paths[2:]:
            add(f"host_{task}_{path}", 3, 60, host_figures(task, path))
    for path in launched:
        for tool in ["memcheck", "racecheck"] + ["synccheck", "initcheck"] * (path == launched[0]):
            add(f"{tool}_{path}", 10, 60, sanitize(tool, path))
    # A stage of one name may stand only once.
    return list({stage.name: stage for stage in stages}.values())


def run_all(bench, results, say):
    """Runs what has no result yet and fits; the names of those that had no time."""
    late = []
    for stage in all_stages(bench):
        if stage.name in results.found:
            continue
        if late or bench.commands.left_s() < stage.needs_s:
            late.append(stage.name)
            continue
        begin = time.monotonic()
        bench.commands.begin_stage(stage.limit_s)
        try:
            result = {"passed": True} | stage.run(bench)
        except StageFailed as error:
            result = {"passed": False, "problem": str(error)}
        except OutOfTime:
            late.append(stage.name)
            continue
        except (OSError, LookupError, TypeError, ValueError) as error:  # an answer that is not what it should be
            result = {"passed": False, "problem": f"{type(error).__name__}: {error}"}
        finally:
            bench.commands.kill_all()
        result["stage_seconds"] = round(time.monotonic() - begin, 1)
        results.add(stage.name, result)
        if stage.name == "machine":
            bench.device = result.get("device")
        verdict = "ok" if result["passed"] else f"FAILED: {result['problem']}"
        say(f"{stage.name}: {result.get('left_out', verdict)} ({result['stage_seconds']} s)")
    return late

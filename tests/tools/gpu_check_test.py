"""gpu_check_test.py SOURCE_DIR BUILD_DIR MOCK SCRATCH_DIR
tools/gpu-check without a GPU, and with a driver that runs the kernels over fibres and fails: what is said, what the exit
code is, and that no result is lost or made up, however a call ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

SOURCE, BUILD, MOCK, SCRATCH = (os.path.abspath(path) for path in sys.argv[1:5])
CHECK = os.path.join(SOURCE, "tools", "gpu-check")
PREPARED = os.path.join(SCRATCH, "prepared")
DONE, FAILED, WRONG_USE, NOT_DONE = 0, 1, 2, 3
problems = []


def expect(what, is_so, said=""):
    if not is_so:
        problems.append(what)
        print(f"wrong: {what}\n{said}", flush=True)


def start(results, *words, driver=MOCK, **environment):
    words = [CHECK, "--prepared", PREPARED, "--results", results, *words]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=SCRATCH,
                            env=os.environ | {"INSTEP_LIBCUDA": driver} | environment)  # fmt: skip


def call(results, *words, **options):
    process = start(results, *words, **options)
    said = process.communicate(timeout=600)[0]
    return process.returncode, said


def until(process, text):
    """What is said up to the line that contains a text."""
    said = ""
    for line in process.stdout:
        said += line
        if text in line:
            return said
    expect(f"there is a line with '{text}'", False, said)
    return said


def folder(name):
    return os.path.join(SCRATCH, name)


def stages(results):
    found = {}
    for name in os.listdir(results):
        if name.endswith(".json") and name != "all.json":
            with open(os.path.join(results, name), encoding="utf-8") as file:
                found[name[: -len(".json")]] = json.load(file)
    return found


def times(results):
    return {name: os.stat(os.path.join(results, name + ".json")).st_mtime_ns for name in stages(results)}


def no_gpu():
    code, said = call(folder("absent"), driver="/nowhere/libcuda.so.1")
    expect("no driver ends with 3", code == NOT_DONE and "no NVIDIA driver" in said and "nothing was checked" in said,
           said)  # fmt: skip
    code, said = call(folder("old"), INSTEP_MOCK_FAULT="old_driver")
    expect("an old driver ends with 3", code == NOT_DONE and "10.1 or newer is needed" in said, said)
    expect("neither has results", not stages_or_none("absent") and not stages_or_none("old"))
    words = [CHECK, "--prepared", folder("nowhere")]
    done = subprocess.run(words, capture_output=True, text=True)
    expect("a folder that was not prepared ends with 2",
           done.returncode == WRONG_USE and "was not prepared" in done.stderr, done.stderr)  # fmt: skip


def stages_or_none(name):
    return stages(folder(name)) if os.path.isdir(folder(name)) else {}


def ended_in_the_middle():
    """A budget that is too small, SIGTERM, kill -9, half-written results: the next call does the rest, and only that."""
    results = folder("middle")
    code, said = call(results, "--budget", "1")
    expect("a small budget names what was not run", code == NOT_DONE and "not run: " in said and "golden_" in said, said)

    process = start(results)
    said = until(process, "golden_cuda_block: ok")
    process.send_signal(signal.SIGTERM)
    said += process.communicate(timeout=60)[0]
    expect("SIGTERM ends with 3 and what is known", process.returncode == NOT_DONE and "What was checked" in said, said)
    before = times(results)
    expect("SIGTERM keeps the stages that were done", "golden_cuda_block" in before, str(before))

    process = start(results)
    said = until(process, "bits_cuda_block: ok")
    process.kill()
    said += process.communicate(timeout=60)[0]
    kept = times(results)
    expect("kill -9 keeps them, too", "bits_cuda_block" in kept, said)
    expect("no stage ran twice", all(kept[name] == at for name, at in before.items()), said)
    time.sleep(0.5)
    expect("nothing goes on after kill -9", PREPARED not in processes(), processes())

    # As a machine that goes leaves them; all.json would make up for the one.
    os.remove(os.path.join(results, "all.json"))
    cut = os.path.join(results, "bits_cuda_block.json")
    with open(cut, "r+", encoding="utf-8") as file:
        file.truncate(20)
    with open(os.path.join(results, "golden_cuda_grid.json.part"), "w", encoding="utf-8") as file:
        file.write("{")
    foreign = json.load(open(os.path.join(results, "golden_cuda_block.json"), encoding="utf-8"))
    with open(os.path.join(results, "golden_cuda_block.json"), "w", encoding="utf-8") as file:
        json.dump(foreign | {"build": "another"}, file)
    code, said = call(results)
    expect("the rest passes", code == DONE and "all of it passed" in said, said)
    expect("a cut result is named, and its stage runs again",
           f"{cut} is damaged" in said and "bits_cuda_block: ok" in said, said)  # fmt: skip
    expect("so is one of another build", "is of another build" in said and "golden_cuda_block: ok" in said, said)
    expect("a whole one is kept", "golden_cuda_cluster: ok" not in said, said)
    expect("tables are made", "| dot_reacher | cuda_cluster | throughput | 2 | 2 |" in said, said)
    expect("what breaks a context is told", "launch failure (719); " in said and "no answer in time (600); " in said, said)
    expect("what is not there is left out", "compute-sanitizer is not installed" in said or shutil.which(
        "compute-sanitizer") is not None, said)  # fmt: skip

    # A runner that brings back one file has brought them all.
    alone = folder("alone")
    os.makedirs(alone)
    shutil.copy(os.path.join(results, "all.json"), alone)
    code, said = call(alone)
    expect("all.json alone is enough", code == DONE and "golden_" not in said.split("What was checked")[0], said)


def processes():
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.replace(str(sys.argv), "")


def with_faults():
    """A stage that hangs, one whose process dies, and bits that are wrong: each fails its stage, and the rest goes on."""
    for fault, stage in (("stuck", "golden_cuda_cluster_resident"), ("dies", "golden_cuda_cluster_resident")):
        results, file = folder(fault), folder(f"{fault}.now")
        process = start(results, INSTEP_MOCK_FAULT=f"{fault}:{file}")
        said = until(process, "compile: ok")
        open(file, "w").close()
        said += until(process, f"{stage}: ")
        expect(f"{fault}: the stage fails", f"{stage}: FAILED" in said, said)
        said = until(process, "golden_cuda_block: ")
        expect(f"{fault}: others pass", "golden_cuda_grid: ok" in said and "golden_cuda_block: ok" in said, said)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
        expect(f"{fault}: ends with 1", process.returncode == FAILED and f"FAILED: {stage}" in said, said)
        expect(f"{fault}: is in the results", stages(results)[stage]["passed"] is False)

    process = start(folder("wrong"), INSTEP_MOCK_FAULT="wrong:1")
    said = until(process, "bits_cuda_cluster_resident: ")
    expect("wrong bits fail", "FAILED: other bits than the emulated kernels'" in said, said)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    expect("wrong bits end with 1", process.returncode == FAILED)

    process = start(folder("lost"), INSTEP_MOCK_FAULT="lost:3")
    said = until(process, "golden_cuda_cluster_resident: ")
    expect("a lost GPU fails, although the run goes on", "_resident: FAILED" in said and "device lost (999)" in said, said)
    process.kill()
    process.communicate(timeout=60)


def main():
    shutil.rmtree(SCRATCH, ignore_errors=True)
    os.makedirs(SCRATCH)
    done = subprocess.run([CHECK, "--prepare", PREPARED, "--quick", BUILD], capture_output=True, text=True)
    expect("the folder is prepared", done.returncode == 0 and " MiB, and " in done.stdout, done.stdout + done.stderr)
    if not problems:
        no_gpu()
        ended_in_the_middle()
        with_faults()
    print("as it should be" if not problems else f"{len(problems)} things are wrong")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

# docs_commands_test.py COMMAND SOURCE_DIR SCRATCH
# Every command that README.md, CONTRIBUTING.md and docs/*.md show in a code block is one that works.
#
# Commands of instep are run, in a scratch folder, one after the other as they stand on the page. Only these
# things are changed: numbers of steps, updates, episodes and seconds are made small, several seeds become
# two, places that stand for a run of the reader's own ("runs/hopper/...", RUN) become runs made here, and
# DEVICE becomes the port of a simulated Create 2, 192.168.1.10 the address of a simulated UR5; both stand by. Commands that build, test or install (cmake,
# ctest, tools/...) would take too long, and Python scripts need packages; of them it is checked that the
# script, preset, build folder or option exists. A command that is neither fails the test: it must learn it.
# The pages docs/adding_*.md have a test of their own, tutorial_test.sh, which runs their commands in a fresh tree.
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

command, source, scratch = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
STEPS_MAX = 3000
# Addresses that nobody else uses: of the arm that stands by, and of one that a page starts.
ARM, ANOTHER_ARM = (f"127.{net}.{os.getpid() // 256 % 256}.{1 + os.getpid() % 254}" for net in (120, 121))
failures = []
counts = {"run": 0, "looked up": 0}


def call(words):
    done = subprocess.run([command, *words], cwd=scratch, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def code_lines(path):
    """The lines of a page's code blocks with commands, continuations joined."""
    for language, body in re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(), re.DOTALL | re.MULTILINE):
        lines = [line.strip() for line in body.replace("\\\n", " ").splitlines() if line.strip()]
        if language in ("sh", "bash", "console", "shell") or (language == "" and any(map(is_shell, lines))):
            yield from lines


def is_shell(line):
    """Blocks without a language also hold diagrams, of which no line begins as a command of ours."""
    return re.match(r"(instep|cmake|ctest|python3|git|tensorboard) |tools/\w|build/\w", line) is not None


def inline_commands(text):
    """Commands in `...` within the text: those that begin with the command's or a script's name."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    for words in re.findall(r"`((?:cmake|ctest|tools/\w+|instep)(?: [^`]+)?)`", prose):
        yield words


def without_explanation(line):
    return re.split(r"\s{2,}", line)[0]


def capped(words):
    """The same command with less work."""
    caps = {"--steps": 20 if "real" in words else STEPS_MAX, "--updates": 200, "--episodes": 2}
    words = list(words)
    for option, cap in caps.items():
        if option in words:
            at = words.index(option) + 1
            words[at] = str(min(int(words[at]), cap))
    words = [re.sub(r"^at=\d+", f"at={STEPS_MAX // 2}", word) for word in words]
    if "--seeds" in words and words[0] == "train":
        words[words.index("--seeds") + 1] = "0..1"
    if words[0] == "train" and "--steps" not in words:
        words += ["--steps", str(caps["--steps"] if "--resume" not in words else 2 * STEPS_MAX)]
    if words[0] == "profile" and "--updates" not in words:
        words += ["--updates", "200"]
    if words[:2] == ["study", "yardsticks"]:
        words += ["--seeds", "1", "--episodes", "1"]
    if words[0] == "watch" and "--seconds" not in words:
        words += ["--seconds", "1"]
    return words


def with_real_places(words):
    """Places of the reader's own runs become those made at the start; wildcards are expanded."""
    result = []
    is_on_robot = "real" in words or "replay" in words or "--device" in words
    for word in words:
        if word.startswith("runs/") and word.endswith("/..."):
            word = "runs/made"
        if word.startswith("RUN"):
            word = ("runs/robot" if is_on_robot else "runs/made") + word[3:]
        if word == "DEVICE" or word.startswith("/dev/"):
            word = "robot"
        if word == "192.168.1.10":
            word = ARM
        if word == "TASK":
            word = "hopper"
        if word.startswith("tests/"):
            # A few of the many golden files: tests of their own take them all.
            result += [str(file) for file in sorted(source.glob(word))][:4]
        elif "*" in word:
            result += [str(file.relative_to(scratch)) for file in sorted(scratch.glob(word))]
        else:
            result.append(word)
    return result


def simulate(words):
    """Starts a simulated robot and waits until it is there."""
    simulator = subprocess.Popen([command, "sim", *words], cwd=scratch, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    simulator.stdout.readline()
    return simulator


def run_simulator(words):
    """It runs until Ctrl-C."""
    if "--address" in words:
        words[words.index("--address") + 1] = ANOTHER_ARM
        simulator = simulate(words[1:])
    else:
        simulator = simulate(["create2", "--link", "another_robot"])
    simulator.send_signal(signal.SIGINT)
    if simulator.wait(timeout=20) != 0:
        failures.append(f"instep {' '.join(words)}: exit code {simulator.returncode}")
    counts["run"] += 1


def call_until_control_c(words):
    """An episode on the robot takes minutes: Ctrl-C comes before."""
    running = subprocess.Popen([command, *words], cwd=scratch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(3)
    running.send_signal(signal.SIGINT)
    output = running.communicate(timeout=60)[0]
    return running.returncode, output


def run_instep(words):
    if words[0] == "sim":
        run_simulator(words)
        return
    words = with_real_places(capped(words))
    code, output = (call_until_control_c if words[0] == "eval" and "--device" in words else call)(words)
    if code != 0:
        failures.append(f"instep {' '.join(words)}: exit code {code}\n{output}")
    counts["run"] += 1


def presets(kind):
    return {preset["name"] for preset in json.loads((source / "CMakePresets.json").read_text())[kind]}


def look_up(words):
    """Whether what a command of cmake, ctest or tools/ names exists."""
    counts["looked up"] += 1
    program, text = words[0], " ".join(words)
    if program.startswith("tools/"):
        script = source / program
        if not script.is_file():
            failures.append(f"{text}: there is no {program}")
            return
        for option in words[1:]:
            if option.startswith("--") and option not in script.read_text():
                if program != "tools/learn":  # the rest goes to `instep train`
                    failures.append(f"{text}: {program} knows no {option}")
        return
    kind = "testPresets" if program == "ctest" else "buildPresets" if "--build" in words else "configurePresets"
    for option, value in zip(words, words[1:]):
        if option == "--preset" and value not in presets(kind):
            failures.append(f"{text}: there is no preset {value} among {kind}")
        if option == "--build" and not value.startswith("-"):
            if value.removeprefix("build/") not in presets("configurePresets"):
                failures.append(f"{text}: no preset builds in {value}")
        if option.startswith("-DINSTEP_"):
            name = option[2:].split("=")[0]
            if name not in (source / "CMakeLists.txt").read_text() + (source / "tasks/CMakeLists.txt").read_text():
                failures.append(f"{text}: there is no option {name}")


def run_line(line, page):
    for part in re.split(r"\s*&&\s*", without_explanation(line)):
        words = shlex.split(part)
        if not words:
            continue
        if words[0] == "instep" or words[0].endswith("/bin/instep"):
            run_instep(words[1:])
        elif words[0] in ("cmake", "ctest") or words[0].startswith("tools/"):
            look_up(words)
        elif words[0] == "ls":
            counts["looked up"] += 1  # shows what is attached to the reader's machine
        elif words[0] == "python3":
            compile((source / words[1]).read_text(), words[1], "exec")
            counts["looked up"] += 1
        else:
            failures.append(f"{page}: {line!r}: this test does not know how to run it")


shutil.rmtree(scratch, ignore_errors=True)
scratch.mkdir(parents=True)
if "libmujoco" not in subprocess.run(["ldd", command], capture_output=True, text=True).stdout:
    print("this build has no MuJoCo, which most of the commands need")
    sys.exit(77)
assert call(["train", "hopper", "--steps", "1000", "--out", "runs/made"])[0] == 0

pages = [source / "README.md", source / "CONTRIBUTING.md", *sorted((source / "docs").glob("*.md"))]
for page in pages:
    robots = [simulate(["create2", "--link", "robot"]), simulate(["ur", "--address", ARM])]
    for line in code_lines(page):
        if not page.name.startswith("adding_"):
            run_line(line, page.name)
    for robot in robots:
        robot.terminate()
        robot.communicate(timeout=20)
    for words in inline_commands(page.read_text()):
        # In running text a command may be named without its operands.
        name = words.split()
        if name[0] == "instep":
            if len(name) == 1:
                continue
            if name[1].startswith("-") or call([name[1], "--help"])[0] == 0:
                counts["looked up"] += 1
            else:
                failures.append(f"{page.name}: `{words}`: there is no command {name[1]}")
        else:
            look_up(shlex.split(words.split(" && ")[0]))

# Every subcommand has --help, and every one is shown in the README.
for name in re.findall(r"^  (\w+) ", call(["--help"])[1].split("Subcommands:")[-1], re.MULTILINE):
    if call([name, "--help"])[0] != 0:
        failures.append(f"instep {name} --help fails")
    if f"instep {name}" not in (source / "README.md").read_text():
        failures.append(f"README.md does not show instep {name}")
    counts["run"] += 1

print(f"{len(pages)} pages: {counts['run']} commands run, {counts['looked up']} looked up, {len(failures)} failed")
assert counts["run"] >= 15, counts
sys.exit("\n".join(failures) if failures else 0)

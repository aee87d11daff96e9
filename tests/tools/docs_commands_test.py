# docs_commands_test.py COMMAND SOURCE_DIR SCRATCH
# Every line of every shell block of README.md, CONTRIBUTING.md and docs/*.md is pasted into a shell as it stands.
#
# The lines of a page are given to bash one after the other, in a scratch folder that looks like the tree: comments,
# variables, wildcards and "&&" are the shell's. The programs they name are stand-ins, which this file is as well
# (--stand-in). That of `instep` runs the command itself; only these things are changed: numbers of steps, updates,
# episodes and seconds are made small, several seeds become two, a robot's port or address becomes that of a simulated
# one. What would build, install, or reach another computer takes too long or is not there; of it the stand-in checks
# that the script, preset, build folder or option exists. A program without a stand-in fails the test: it must learn it.
# Commands in running text are looked up. The pages docs/adding_*.md have tests of their own (tutorial_test.sh), which
# run their commands in a fresh tree; here their lines are only read by the shell.
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

STEPS_MAX = 3000
# Ports of robots, as pages write them. All are simulated here.
ROBOT = re.compile(r"^(/tmp/robot|/dev/tty\w+|/dev/serial/by-id/\S+)$")
ARM = "192.168.1.10"
STAND_INS = ("instep", "cmake", "ctest", "python3", "pip", "sudo", "ssh", "scp", "ls", "cat", "mkdir", "journalctl", "systemctl",
             "google-chrome")
SHELL = ("sh", "bash", "console", "shell")


def is_shell(line):
    """Blocks without a language also hold diagrams, of which no line begins as a command of ours."""
    return re.match(r"(instep|cmake|ctest|python3|git|tensorboard|export|sudo) |(sudo )?tools/\w|build/\w", line)


def shell_lines(text):
    """The lines of a page's shell blocks as a reader would paste them, with continued lines in one."""
    for language, body in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        lines = [line for line in re.split(r"(?<!\\)\n", body) if line.strip()]
        if language in SHELL or (language in ("", "text") and any(is_shell(line.strip()) for line in lines)):
            yield from lines


def inline_commands(text):
    """Commands in `...` within the text: those that begin with the command's or a script's name."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`((?:cmake|ctest|tools/\w+|instep)(?: [^`]+)?)`", prose)


# ----------------------------------------------------------------------------------------------------------------
# The stand-ins

class StandIn:
    """One program that a line named. Answers an exit code; what it checked is noted in a file."""

    def __init__(self, environment):
        self.command = environment["DOCS_COMMAND"]
        self.source = pathlib.Path(environment["DOCS_SOURCE"])
        self.home = pathlib.Path(environment["DOCS_HOME"])
        self.arm, self.other_arm = environment["DOCS_ARM"], environment["DOCS_OTHER_ARM"]

    def note(self, kind):
        with open(self.home / ".counts", "a", encoding="utf-8") as file:
            file.write(kind + "\n")

    def run(self, words):
        name = words[0]
        if name in ("instep", "build/release/bin/instep"):
            self.note("run")
            return self.instep(words[1:])
        self.note("looked up")
        if name == "sudo":
            inner = [word for word in words[1:] if not word.startswith("-")]
            return self.run(words[1:]) if inner and inner[0].startswith("tools/") else 0
        if words[:3] == ["python3", "-m", "venv"]:
            place = pathlib.Path(words[3], "bin/activate")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
            return 0
        if name == "pip":
            return self.install(words[-1])
        if name == "python3":
            compile((self.source / words[1]).read_text(), words[1], "exec")
            return 0
        if name in ("cmake", "ctest") or name.startswith("tools/"):
            return self.look_up(words)
        return 0  # shows or changes what is on the reader's own computer, or on the robot's

    def instep(self, words):
        if words[0] == "sim":
            return self.simulator(words)
        words = self.with_real_places(self.capped(words))
        if words[0] == "eval" and "--device" in words or words[0] == "train" and "real" in words:
            return self.until_control_c(words)
        code = subprocess.run([self.command, *words], timeout=120).returncode
        return 0 if words[0] == "doctor" and code == 1 else code  # what it finds is this machine's

    def capped(self, words):
        """The same command with less work."""
        caps = {"--steps": 20 if "real" in words else STEPS_MAX, "--updates": 200, "--episodes": 2, "--seconds": 1}
        words = list(words)
        for option, cap in caps.items():
            if option in words:
                words[words.index(option) + 1] = str(cap * (2 if "--resume" in words else 1))
        words = [re.sub(r"^at=\d+", f"at={STEPS_MAX // 2}", word) for word in words]
        if "--seeds" in words and words[0] == "train":
            words[words.index("--seeds") + 1] = "0..1"
        if words[0] == "train" and "--steps" not in words:
            words += ["--steps", str(caps["--steps"] if "--resume" not in words else 2 * STEPS_MAX)]
        if words[0] == "profile":
            words += ["--updates", "200"] if "--updates" not in words else []
            words += ["--seconds", "1"] if "--rate" in words and "--seconds" not in words else []
        if words[:2] == ["study", "yardsticks"]:
            words += ["--seeds", "1"] + ([] if "--episodes" in words else ["--episodes", "1"])
        if words[:2] == ["study", "random-search"]:
            for option in ("--cells", "--seeds"):
                if option in words:
                    del words[words.index(option):words.index(option) + 2]
            words += ["--cells", "2", "--seeds", "1"]
        if words[0] == "watch" and "--seconds" not in words:
            words += ["--seconds", "1"]
        return words

    def with_real_places(self, words):
        result = []
        golden = 0
        for word in words:
            golden += word.endswith(".safetensors")
            if ROBOT.match(word):
                word = str(self.home / "robot")
            if word == ARM:
                word = self.arm
            if golden <= 4 or not word.endswith(".safetensors"):  # tests of their own take them all
                result.append(word)
        return result

    def simulator(self, words):
        """It runs until Ctrl-C."""
        words = list(words)
        if "--address" in words:
            words[words.index("--address") + 1] = self.other_arm
        if "--link" in words:
            words[words.index("--link") + 1] = str(self.home / "ttyUSB9")
        running = subprocess.Popen([self.command, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        running.stdout.readline()
        running.send_signal(signal.SIGINT)
        return running.wait(timeout=20)

    def until_control_c(self, words):
        """An episode on the robot takes minutes: Ctrl-C comes before."""
        running = subprocess.Popen([self.command, *words])
        try:
            return running.wait(timeout=8)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGINT)
            return running.wait(timeout=60)

    def presets(self, kind):
        return {preset["name"] for preset in json.loads((self.source / "CMakePresets.json").read_text())[kind]}

    def look_up(self, words):
        """Whether what a command of cmake, ctest or tools/ names exists."""
        program = words[0]
        if program.startswith("tools/"):
            script = self.source / program
            if not script.is_file():
                return self.miss(f"there is no {program}")
            unknown = [word for word in words[1:] if word.startswith("--") and word not in script.read_text()]
            if unknown and program != "tools/learn":  # the rest goes to `instep train`
                return self.miss(f"{program} knows no {unknown[0]}")
            return 0
        kind = "testPresets" if program == "ctest" else "buildPresets" if "--build" in words else "configurePresets"
        for option, value in zip(words, words[1:]):
            if option == "--preset" and value not in self.presets(kind):
                return self.miss(f"there is no preset {value} among {kind}")
            if option == "--build" and not value.startswith("-"):
                if value.removeprefix("build/") not in self.presets("configurePresets"):
                    return self.miss(f"no preset builds in {value}")
            if option.startswith("-DINSTEP_"):
                name = option[2:].split("=")[0]
                options = (self.source / "CMakeLists.txt").read_text() + (self.source / "tasks/CMakeLists.txt").read_text()
                if name not in options:
                    return self.miss(f"there is no option {name}")
        return 0

    def install(self, what):
        """Whether the tree is a Python package with that extra."""
        extra = re.fullmatch(r"\.(?:\[(\w+)\])?", what)
        package = self.source / "pyproject.toml"
        if extra is None or not package.is_file() or f"{extra[1] or 'name'} = " not in package.read_text():
            return self.miss(f"there is no package {what}")
        return 0

    @staticmethod
    def miss(text):
        print(text, file=sys.stderr)
        return 2


# ----------------------------------------------------------------------------------------------------------------
# The pages

class Pages:
    def __init__(self, command, source, scratch):
        self.command, self.source, self.home = command, source, scratch
        self.failures = []
        self.lines = 0
        # Addresses that nobody else uses: of the arm that stands by, and of one that a page starts.
        arm, other_arm = (f"127.{net}.{os.getpid() // 254 % 256}.{1 + os.getpid() % 254}" for net in (120, 121))
        self.arm = arm
        self.environment = {**os.environ, "DOCS_COMMAND": command, "DOCS_SOURCE": str(source), "DOCS_HOME": str(scratch),
                            "DOCS_ARM": arm, "DOCS_OTHER_ARM": other_arm,
                            "PATH": f"{scratch}/.programs:{os.environ['PATH']}"}

    def prepare(self):
        """A folder like the tree after a build, with stand-ins and a few runs of the reader's own."""
        shutil.rmtree(self.home, ignore_errors=True)
        (self.home / ".programs").mkdir(parents=True)
        (self.home / "tools").mkdir()
        (self.home / "build/release/bin").mkdir(parents=True)
        (self.home / "tests").symlink_to(self.source / "tests")
        (self.home / "docs").symlink_to(self.source / "docs")
        scripts = [f"tools/{path.name}" for path in (self.source / "tools").iterdir() if path.is_file()]
        for name in (*STAND_INS, *scripts, "build/release/bin/instep"):
            place = self.home / (name if "/" in name else f".programs/{name}")
            place.write_text(f'#!/bin/sh\nexec {sys.executable} {os.path.abspath(__file__)} --stand-in {name} "$@"\n')
            place.chmod(0o755)
        for out in ("runs/hopper/first", "runs/hopper/second", "runs/half_cheetah/first"):
            task = out.split("/")[1]
            subprocess.run([self.command, "train", task, "--steps", "1000", "--out", out], cwd=self.home, check=True,
                           capture_output=True)
        self.prepared = set(os.listdir(self.home))

    def simulate(self, words):
        """Starts a simulated robot and waits until it is there."""
        running = subprocess.Popen([self.command, "sim", *words], cwd=self.home, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE)
        running.stdout.readline()
        return running

    def forget_last_page(self):
        """What another page's commands have made; pages may use the same names."""
        for name in set(os.listdir(self.home)) - self.prepared - {".counts"}:
            path = self.home / name
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def paste(self, page):
        self.forget_last_page()
        lines = list(shell_lines(page.read_text()))
        self.lines += len(lines)
        for line in lines:
            self.check_comment(page, line)
        is_tutorial = page.name in ("adding_a_task.md", "adding_an_algorithm.md", "adding_a_robot.md")
        script = self.home / f".{page.name}.sh"
        # As in a reader's shell a failing line does not end it; the next one is there to be pasted.
        script.write_text("".join(f"{line}\necho \"$? {number}\" >&9\n" for number, line in enumerate(lines)))
        syntax = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
        if syntax.returncode != 0:
            self.failures.append(f"{page.name}: {syntax.stderr}")
        if is_tutorial or not lines:
            return
        robots = [self.simulate(["create2", "--link", "robot"]), self.simulate(["ur", "--address", self.arm])]
        with open(self.home / ".codes", "w+", encoding="utf-8") as codes:
            done = subprocess.run(["bash", "-c", f"exec 9>&{codes.fileno()}; source {script}"], cwd=self.home,
                                  env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, pass_fds=[codes.fileno()], timeout=600)
            codes.seek(0)
            results = [line.split() for line in codes]
        for robot in robots:
            robot.terminate()
            robot.communicate(timeout=20)
        wrong = [lines[int(number)] for code, number in results if code != "0"]
        if wrong or len(results) != len(lines):
            self.failures.append(f"{page.name}: these lines fail: {wrong or lines[len(results):]}\n{done.stdout[-3000:]}")

    def check_comment(self, page, line):
        """What stands behind a command is a comment, or the shell would take it for more words."""
        if re.search(r"\S\s{2,}[^\s#|&\\]", line.split(" #")[0].strip().split("\n")[0]):
            self.failures.append(f"{page.name}: {line!r}: the comment behind it does not begin with #")

    def look_up_inline(self, page):
        stand_in = StandIn(self.environment)
        for words in inline_commands(page.read_text()):
            # In running text a command may be named without its operands.
            name = words.split()
            if name[0] != "instep":
                if stand_in.look_up(shlex.split(words.split(" && ")[0])) != 0:
                    self.failures.append(f"{page.name}: `{words}`")
            elif len(name) > 1 and not name[1].startswith("-") and name[1] != "help":
                if subprocess.run([self.command, name[1], "--help"], capture_output=True).returncode != 0:
                    self.failures.append(f"{page.name}: `{words}`: there is no command {name[1]}")
            stand_in.note("looked up")


# Figures of README.md, and where each stands with its command, date and machine.
FIGURES = {
    "17 us": ("docs/performance.md", "| half_cheetah (17, 6) | 17.2 |"),
    "1,670 us": ("docs/performance.md", "1671 (97x)"),
    "3,500 us": ("docs/batch_algorithms.md", "takes 3.5 ms of processor time"),
    "115 to 740 us": ("docs/performance.md", "115 to 740 us"),
    "1.4 MB": ("docs/performance.md", "1.44 MB (hopper)"),
    "0.3 MB": ("docs/performance.md", "0.29 MB for half_cheetah"),
    "15.3 MB": ("docs/performance.md", "resident in 15.3 MB"),
    "114 MB": ("docs/batch_algorithms.md", "| sac, buffer 1,000,000 | 113.6 MB |"),
    "558 +- 10": ("docs/results.md", "| hopper | 1,000,000 | 5 | 558 +- 10 |"),
    "2713, 1481, 2601": ("docs/results.md", "2713, 1481 and 2601"),
}


def wrong_figures(source):
    """Figures of README.md that do not stand on the page they come from, or not in its table any more."""
    readme = (source / "README.md").read_text()
    return [f"README.md: {figure!r} does not stand in {page}" for figure, (page, text) in FIGURES.items()
            if figure not in readme or text not in (source / page).read_text()]


def hopper_mean(source):
    """Of docs/results/hopper_1m.csv: the mean over seeds of the windows of the last 100,000 steps."""
    seeds = {}
    for line in (source / "docs/results/hopper_1m.csv").read_text().splitlines()[1:]:
        run, step, value = line.split(",")
        if int(step) > 900_000:
            seeds.setdefault(run, []).append(float(value))
    return sum(sum(windows) / len(windows) for windows in seeds.values()) / len(seeds)


def links_of(page):
    """The files that a page leads to."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return [page.parent / target for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose)]


def unlinked_pages(source):
    """Pages that README.md does not lead to, over others or at once, and links that lead nowhere."""
    reached, waiting = set(), [source / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for target in links_of(page):
            if target.exists():
                waiting.append(target)
            else:
                yield f"{page.name}: the link to {target.name} leads nowhere"
    for page in sorted((source / "docs").glob("*.md")):
        if page.resolve() not in reached:
            yield f"README.md does not lead to docs/{page.name}"


def main(command, source, scratch):
    if "libmujoco" not in subprocess.run(["ldd", command], capture_output=True, text=True).stdout:
        print("this build has no MuJoCo, which most of the commands need")
        return 77
    pages = Pages(command, source, scratch)
    pages.prepare()
    files = [source / "README.md", source / "CONTRIBUTING.md", *sorted((source / "docs").glob("*.md"))]
    for page in files:
        pages.paste(page)
        pages.look_up_inline(page)
    # Every command is shown on some page.
    text = "".join(page.read_text() for page in files)
    help_text = subprocess.run([command, "--help"], capture_output=True, text=True).stdout
    names = re.findall(r"^  (\w+) ", help_text.split("Commands:")[-1].split("Options:")[0], re.MULTILINE)
    assert len(names) >= 15, help_text
    pages.failures += [f"no page shows instep {name}" for name in names if f"instep {name}" not in text]
    pages.failures += [*wrong_figures(source), *unlinked_pages(source)]
    if abs(hopper_mean(source) - 558) > 10:
        pages.failures.append(f"README.md: hopper returns {hopper_mean(source):.0f} in docs/results/hopper_1m.csv")
    counts = (scratch / ".counts").read_text().splitlines()
    print(f"{len(files)} pages, {pages.lines} lines: {counts.count('run')} commands run, {counts.count('looked up')} looked "
          f"up, {len(pages.failures)} failed")
    assert counts.count("run") >= 40, counts
    return "\n".join(pages.failures) or 0


if __name__ == "__main__":
    if sys.argv[1] == "--stand-in":
        sys.exit(StandIn(os.environ).run(sys.argv[2:]))
    sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])))

"""Runs what a stage needs: within the stage's limit and the call's budget, and not longer than tools/gpu-check itself."""

import ctypes
import json
import os
import signal
import subprocess
import time

FALLEN_BACK = "the GPU cannot be used"
SIGNAL_AT_PARENTS_END = 1  # PR_SET_PDEATHSIG


class Stopped(BaseException):
    """Somebody wants the call to end."""


class StageFailed(Exception):
    """What a stage found wrong."""


class OutOfTime(Exception):
    """The budget ended before the stage did."""


def die_with_parent():
    ctypes.CDLL(None).prctl(SIGNAL_AT_PARENTS_END, signal.SIGKILL)


class Commands:
    def __init__(self, root, prepared, budget_s):
        self.root = root
        self.command = os.path.join(prepared, "bin", "instep")
        self.end = time.monotonic() + budget_s
        self.stage_end = self.end
        self.running = set()

    def left_s(self):
        return self.end - time.monotonic()

    def begin_stage(self, limit_s):
        self.stage_end = min(self.end, time.monotonic() + limit_s)

    def start(self, words, environment=None):
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd=self.root,
            env=os.environ | (environment or {}), start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        self.running.add(process)
        return process

    def finish(self, process):
        """Exit status and what was said."""
        try:
            said = process.communicate(timeout=max(0.0, self.stage_end - time.monotonic()))[0]
        except subprocess.TimeoutExpired:
            self.kill(process)
            if self.stage_end >= self.end:
                raise OutOfTime from None
            raise StageFailed(f"{' '.join(process.args[:8])}: not done within the stage's time") from None
        self.running.discard(process)
        return process.returncode, said

    def kill(self, process):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.stdout.close()
        process.wait()
        self.running.discard(process)

    def kill_all(self):
        for process in list(self.running):
            self.kill(process)

    def run(self, *words, environment=None, may_fall_back=False):
        """What a command said; it must succeed, and on the GPU."""
        code, said = self.finish(self.start(words, environment))
        if code != 0:
            raise StageFailed(f"{' '.join(words[:8])} ended with {code}: {end_of(said)}")
        if FALLEN_BACK in said and not may_fall_back:
            raise StageFailed(f"{' '.join(words[:8])} left the GPU: {end_of(said)}")
        return said

    def instep(self, *words, **options):
        return self.run(self.command, *words, **options)

    def result(self, *words):
        """The JSON that an instep command ends with."""
        return last_json(self.instep(*words, "--json"))


def end_of(said, most=1000):
    """The last lines of what was said."""
    text = said.strip()
    return text if len(text) <= most else text[-most:].partition("\n")[2] or text[-most:]


def last_json(said):
    for line in reversed(said.splitlines()):
        if line.startswith("{"):
            try:
                return json.loads(line)
            except ValueError:
                break
    raise StageFailed(f"no result among: {end_of(said)}")

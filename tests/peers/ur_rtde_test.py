"""ur_rtde of PyPI receives from and moves the simulated UR5 and UR5e (argument 1: the command).

Its ports cannot be chosen, so that the simulators stand on loopback addresses of their own.
"""

import os
import signal
import subprocess
import sys
import time

try:
    import rtde_control
    import rtde_receive
    from dashboard_client import DashboardClient
except ImportError:
    print("skipped: pip install ur_rtde==1.6.5")
    sys.exit(77)


def check(holds, what):
    print(("ok    " if holds else "WRONG ") + what, flush=True)
    if not holds:
        raise SystemExit(1)


def wait_for(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False


class Simulator:
    def __init__(self, command, address, model):
        self.process = subprocess.Popen(
            [*command, "sim", "ur", "--address", address, "--model", model],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        check("ready" in self.process.stdout.readline(), f"{model}: the simulator is ready")

    def say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        text, _ = self.process.communicate(timeout=20)
        if os.environ.get("VERBOSE"):
            print(text)
        check(self.process.returncode == 0, "Ctrl-C ends the simulator with exit code 0")
        return text


def receive(address, frequency):
    """Data at the controller's own rate, by its own clock."""
    receiver = rtde_receive.RTDEReceiveInterface(address, frequency)
    stamps = []
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        stamp = receiver.getTimestamp()
        if not stamps or stamp != stamps[-1]:
            stamps.append(stamp)
        time.sleep(0.0002)
    steps = sorted(b - a for a, b in zip(stamps, stamps[1:]))
    median = steps[len(steps) // 2]
    check(abs(median - 1.0 / frequency) < 1e-6, f"{frequency:.0f} Hz: a step is {median * 1e3:.3f} ms")
    rate = (len(stamps) - 1) / (stamps[-1] - stamps[0])
    # A busy machine lets this loop miss packages.
    check(rate > 0.5 * frequency, f"{rate:.1f} packages a second were seen")
    check(len(receiver.getActualQ()) == 6, "six joint angles")
    check(receiver.getRobotMode() == 7 and receiver.getSafetyMode() == 1, "running, normal")
    return receiver


def move(address, receiver, frequency):
    control = rtde_control.RTDEControlInterface(address, frequency)
    check(control.isProgramRunning(), "its own program runs, as it was sent")
    target = [0.2, -1.4, 0.3, -1.5, 0.1, -0.2]
    check(control.moveJ(target, 1.0, 1.4), "moveJ")
    reached = receiver.getActualQ()
    check(max(abs(a - b) for a, b in zip(reached, target)) < 0.002, "moveJ has arrived")
    # It stays for all that follows: what takes longer than half a second is not asked for.
    check(control.setWatchdog(2.0), "setWatchdog")
    before = receiver.getActualQ()
    speed = [0.0, 0.0, 0.3, 0.0, 0.0, -0.2]
    for _ in range(50):
        check_quietly(control.speedJ(speed, 1.4, 0.02), "speedJ")
        time.sleep(0.02)
        check_quietly(control.kickWatchdog(), "kickWatchdog")
    moving = receiver.getActualQd()
    check(abs(moving[2] - 0.3) < 0.02 and abs(moving[5] + 0.2) < 0.02, f"speedJ: {moving[2]:.3f} rad/s")
    check(control.speedStop(2.0), "speedStop")
    check(wait_for(lambda: max(map(abs, receiver.getActualQd())) < 0.01), "it stands")
    after = receiver.getActualQ()
    check(0.15 < after[2] - before[2] < 2.0, f"joint 3 has turned by {after[2] - before[2]:.3f} rad")
    check(control.servoJ(after, 0.0, 0.0, 0.01, 0.1, 300), "servoJ")
    control.servoStop()
    return control


def check_quietly(holds, what):
    if not holds:
        check(False, what)


def lose_the_client(control, receiver):
    """Without kicks the watchdog stops program and arm."""
    for _ in range(10):
        control.speedJ([0.0, 0.0, 0.0, 0.0, 0.0, 0.3], 1.4, 0.02)
        time.sleep(0.02)
    check(wait_for(lambda: not control.isProgramRunning(), 3.0), "the watchdog stops the program")
    check(wait_for(lambda: max(map(abs, receiver.getActualQd())) < 0.01), "and the arm")
    check(control.reuploadScript(), "reuploadScript")
    check(wait_for(control.isProgramRunning), "the program runs again")


def stop_protectively(simulator, address, control, receiver):
    simulator.say("protect")
    check(wait_for(lambda: receiver.getSafetyMode() == 3), "a protective stop is reported")
    dashboard = DashboardClient(address)
    dashboard.connect()
    check("PROTECTIVE" in dashboard.safetymode(), "by the dashboard, too")
    check("3.15" in dashboard.polyscopeVersion() or "5.12" in dashboard.polyscopeVersion(), "its version")
    time.sleep(5.3)
    dashboard.closeSafetyPopup()
    dashboard.unlockProtectiveStop()
    check(wait_for(lambda: receiver.getSafetyMode() == 1), "unlocked after five seconds")
    check(not control.isProgramRunning() or dashboard.running() is False, "nothing moves by itself")
    dashboard.disconnect()


def run(command, address, model, frequency):
    simulator = Simulator(command, address, model)
    try:
        receiver = receive(address, frequency)
        control = move(address, receiver, frequency)
        lose_the_client(control, receiver)
        control.stopScript()
        check(wait_for(lambda: not control.isProgramRunning()), "stopScript")
        stop_protectively(simulator, address, control, receiver)
        control.disconnect()
        receiver.disconnect()
    finally:
        text = simulator.stop()
    check("own lateness" in text, text[text.rindex("own lateness") :].strip())


NETWORK = f"127.{80 + os.getpid() // 65024 % 40}.{os.getpid() // 254 % 256}"
run(sys.argv[1:], f"{NETWORK}.{1 + os.getpid() % 254}", "cb3", 125.0)
run(sys.argv[1:], f"{NETWORK}.{1 + os.getpid() % 254}", "e-series", 500.0)

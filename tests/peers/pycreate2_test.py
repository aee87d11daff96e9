"""pycreate2 of PyPI starts, reads and drives the simulated Create 2 (argument 1: the command).

Its wake() pulls the line RTS, which a pseudo-terminal has not: it is left out.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time

try:
    import pycreate2
except ImportError:
    print("skipped: pip install pycreate2==0.8.0 pyserial==3.5")
    sys.exit(77)


def check(holds, what):
    print(("ok    " if holds else "WRONG ") + what, flush=True)
    if not holds:
        sys.exit(1)


def count_between(first, second):
    """Encoders are read as unsigned here, and wrap."""
    return (second - first + 32768) % 65536 - 32768


def drive(robot):
    robot.start()
    robot.safe()
    sensors = robot.get_sensors()
    check(sensors.open_interface_mode == 2, "Safe mode is reported")
    check(2600 <= sensors.battery_charge <= 2700, "a full battery is reported")
    check(13000 < sensors.voltage < 17000, "the voltage is a battery's")
    check(not any((sensors.cliff_left, sensors.cliff_right)), "there is no cliff")
    check(0 <= sensors.light_bumper_center_left <= 4095, "light bumpers are in range")

    before = robot.get_sensors()
    robot.drive_direct(-100, -100)
    time.sleep(1.0)
    after = robot.get_sensors()
    robot.drive_stop()
    left = count_between(before.encoder_counts_left, after.encoder_counts_left)
    right = count_between(before.encoder_counts_right, after.encoder_counts_right)
    # 114 mm/s for a second, give or take a slow machine.
    check(-400 < left < -180 and abs(left - right) < 10, f"both wheels went back: {left}, {right}")

    before = robot.get_sensors()
    robot.drive_direct(100, -100)  # its order is right, left
    time.sleep(0.5)
    robot.drive_stop()
    after = robot.get_sensors()
    left = count_between(before.encoder_counts_left, after.encoder_counts_left)
    right = count_between(before.encoder_counts_right, after.encoder_counts_right)
    check(left < -60 and right > 60, f"it turned to the left: {left}, {right}")

    time.sleep(0.5)
    still = robot.get_sensors()
    time.sleep(0.3)
    check(
        robot.get_sensors().encoder_counts_left == still.encoder_counts_left,
        "it stands after drive_stop()",
    )


def main():
    folder = tempfile.mkdtemp()
    link = os.path.join(folder, "robot")
    simulator = subprocess.Popen(
        [*sys.argv[1:], "sim", "create2", "--link", link],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        check("ready" in simulator.stdout.readline(), "the simulator says that it is ready")
        robot = pycreate2.Create2(link)
        drive(robot)
        del robot  # stops it and closes the port
    finally:
        simulator.send_signal(signal.SIGINT)
        code = simulator.wait(10)
    check(code == 0, "Ctrl-C ends the simulator with exit code 0")
    check(not os.path.lexists(link), "its link is gone")
    os.rmdir(folder)


main()

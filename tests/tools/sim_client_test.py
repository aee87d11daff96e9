"""A client of its own, made of the specification's bytes, against `instep sim create2` (argument 1: the command).

It knows nothing of terminals: it opens the port, writes and reads. Standard library only.
"""

import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

START, BAUD, SAFE, FULL, DRIVE, SENSORS, SEEK_DOCK = 128, 129, 131, 132, 137, 142, 143
DIRECT, PWM, STREAM, QUERY_LIST, PAUSE, RESET, STOP = 145, 146, 148, 149, 150, 7, 173
MODE, REQUESTED_RIGHT = 35, 41
SIZES = {0: 26, 1: 10, 2: 6, 3: 10, 4: 14, 5: 12, 6: 52, 100: 80, 101: 28, 106: 12, 107: 9}
SIZES.update({id: 1 for id in [*range(7, 19), 21, 24, 32, 34, 35, 36, 37, 38, 45, 52, 53, 58]})
SIZES.update({id: 2 for id in [19, 20, 22, 23, *range(25, 32), 33, *range(39, 45), *range(46, 52), 54, 55, 56, 57]})


def check(holds, what):
    print(("ok    " if holds else "WRONG ") + what, flush=True)
    if not holds:
        sys.exit(1)


class Client:
    def __init__(self, path):
        self.port = os.open(path, os.O_RDWR | os.O_NOCTTY)

    def close(self):
        os.close(self.port)

    def send(self, *data):
        os.write(self.port, bytes(data))

    def receive(self, size, seconds=5.0):
        """That many bytes, or fewer when no more come in that time."""
        data, end = b"", time.monotonic() + seconds
        while len(data) < size and select.select([self.port], [], [], max(0.0, end - time.monotonic()))[0]:
            data += os.read(self.port, size - len(data))
        return data

    def silent(self, seconds=0.2):
        return self.receive(1, seconds) == b""

    def ask(self, id):
        self.send(SENSORS, id)
        return self.receive(SIZES[id])

    def mode(self):
        return self.ask(MODE)[0]

    def wheels(self):
        """What right and left wheel were last told."""
        return struct.unpack(">hh", self.ask(REQUESTED_RIGHT) + self.ask(REQUESTED_RIGHT + 1))

    def set_baud(self, rate):
        settings = termios.tcgetattr(self.port)
        settings[4] = settings[5] = rate
        termios.tcsetattr(self.port, termios.TCSANOW, settings)


def modes(robot):
    robot.send(SENSORS, MODE)
    check(robot.silent(), "a robot that is off says nothing")
    robot.send(START)
    check(robot.mode() == 1, "Start: Passive mode")
    robot.send(DIRECT, 0, 100, 0, 100)
    check(robot.wheels() == (0, 0), "in Passive mode it does not drive")
    robot.send(FULL)
    check(robot.mode() == 3, "Full mode")
    robot.send(SEEK_DOCK)
    check(robot.mode() == 1, "on its way to the dock: Passive mode")
    robot.send(SAFE)
    check(robot.mode() == 2, "Safe mode")


def queries(robot):
    for id, size in SIZES.items():
        robot.send(SENSORS, id)
        check(len(robot.receive(size)) == size, f"packet {id} has {size} bytes")
    robot.send(SENSORS, 200, QUERY_LIST, 0, QUERY_LIST, 2, 29, 13)
    check(len(robot.receive(3)) == 3 and robot.silent(), "a list of two packets, nothing for unknown ones")


def commands(robot):
    robot.send(DRIVE, 0xFF, 0x38, 0x01, 0xF4)
    check(robot.wheels() == (-247, -153), "backwards at 200 mm/s, 500 mm radius")
    robot.send(DIRECT, 0xFF, 0x9C, 0x00, 0xC8)
    check(robot.wheels() == (-100, 200), "the right wheel comes first")
    robot.send(DIRECT, 0x7F, 0xFF, 0x80, 0x00)
    check(robot.wheels() == (500, -500), "speeds are clipped")
    robot.send(PWM, 0x00, 0x80, 0xFF, 0x80)
    check(robot.wheels() == (250, -250), "half of full speed")
    robot.send(DIRECT, 0, 0, 0, 0)
    # Lights, songs, brushes, schedules and what is no opcode at all: the next command is understood.
    for data in ([139, 4, 0, 128], [140, 0, 2, 60, 16, 62, 16], [141, 0], [138, 13], [144, 1, 2, 3], [162, 0, 0],
                 [163, 1, 2, 3, 4], [164, 65, 66, 67, 68], [165, 0], [167] + [0] * 15, [168, 1, 2, 3],
                 [0, 1, 127, 174, 200, 255]):
        robot.send(*data)
        check(robot.mode() == 2, f"in step after {data[0]}")
    robot.send(DIRECT, 0, 100)
    robot.send(SENSORS, MODE)
    check(robot.silent() and robot.wheels() == (100, -500), "a command that was cut off swallows the next")


def stream(robot):
    robot.send(STREAM, 2, 29, 13)
    data = robot.receive(8 * 30)
    begin = data.find(b"\x13\x05\x1d")
    frame = data[begin : begin + 8]
    check(len(frame) == 8 and frame[5] == 13 and sum(frame) % 256 == 0, "a frame with its checksum")
    robot.send(PAUSE, 0)
    time.sleep(0.1)
    robot.receive(4096, 0.2)
    check(robot.silent(), "the stream pauses")
    robot.send(PAUSE, 1)
    check(len(robot.receive(80)) == 80, "and goes on")


def several_clients(link, robot):
    robot.close()
    time.sleep(0.5)
    robot = Client(link)
    robot.send(PAUSE, 0)
    check(len(robot.receive(4096, 0.2)) < 200, "what was streamed while nobody listened is gone")
    check(robot.mode() == 2, "the second client finds the robot as it was left")
    settings = termios.tcgetattr(robot.port)
    settings[0] |= termios.ICRNL | termios.IXON
    settings[3] |= termios.ICANON | termios.ECHO | termios.ISIG
    termios.tcsetattr(robot.port, termios.TCSANOW, settings)
    robot.close()
    time.sleep(0.2)
    for data in (b"\x80", b"\x83", b"\x91\x00\x64\x00\x64"):
        with open(link, "wb", buffering=0) as port:
            port.write(data)
    robot = Client(link)
    check(robot.wheels() == (100, 100), "clients of one message each, behind one that changed the terminal")
    robot.send(DIRECT, 0, 0, 0, 0)
    return robot


def rates(robot):
    for rate in (termios.B9600, termios.B57600, termios.B115200):
        robot.set_baud(rate)
        check(robot.mode() == 2, f"any rate will do: {rate}")
    robot.send(BAUD, 7)
    time.sleep(0.1)
    robot.send(SENSORS, MODE)
    check(robot.silent(), "at 19200 baud it does not hear 115200")
    robot.set_baud(termios.B19200)
    check(robot.mode() == 2, "it hears 19200")
    robot.send(BAUD, 11)
    time.sleep(0.1)
    robot.set_baud(termios.B115200)
    check(robot.mode() == 2, "and 115200 again")


def ends(robot):
    robot.send(RESET)
    check(b"release-3.2.6" in robot.receive(149, 1.0), "Reset: its banner")
    robot.send(START, STOP, SENSORS, MODE)
    check(robot.silent(), "Stop: off")
    robot.close()


def main():
    folder = tempfile.mkdtemp()
    link = os.path.join(folder, "robot")
    simulator = subprocess.Popen([*sys.argv[1:], "sim", "create2", "--link", link], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, text=True)
    try:
        check("ready" in simulator.stdout.readline(), "the simulator says that it is ready")
        robot = Client(link)
        modes(robot)
        queries(robot)
        commands(robot)
        stream(robot)
        robot = several_clients(link, robot)
        rates(robot)
        ends(robot)
    finally:
        simulator.send_signal(signal.SIGINT)
        code = simulator.wait(30)
    check(code == 0, "Ctrl-C ends the simulator with exit code 0")
    os.rmdir(folder)


main()

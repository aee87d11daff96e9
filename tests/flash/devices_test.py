"""devices_test.py SOURCE_DIR: tools/flash on real block devices of the kernel: loop devices over a card that nbdkit
plays (through FUSE), which works, fails half-way, or claims more than it has. Needs root; exits with 77 where that
cannot be tried."""
import os
import shutil
import stat
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import flash_test as base  # noqa: E402  (takes SOURCE_DIR from the arguments)
import made_up  # noqa: E402
from made_up import MIB  # noqa: E402

PLUGIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "card_plugin.py")


def skip(why):
    print(f"skipped: {why}")
    sys.exit(made_up.SKIP)


class DevicesTest(base.CardTest):
    """What CardTest does with files, and more, with the kernel's own errors."""

    def add_card(self, **how):
        """Replaces the file that stands for the card by a block device. Answers the loop device's path."""
        play, self.play_file = [f"{key}={value}" for key, value in how.items()], f"{self.folder}/card-{time.monotonic_ns()}"
        with open(self.play_file, "wb"):
            pass
        process = subprocess.Popen(["nbdfuse", self.play_file, "--socket-activation", "nbdkit", "--exit-with-parent",
                                    "python", f"script={PLUGIN}", *play], stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(subprocess.run, ["fusermount3", "-u", self.play_file], check=False)
        end = time.monotonic() + 60
        while os.stat(self.play_file).st_size == 0:
            self.assertLess(time.monotonic(), end, "nbdfuse did not start")
            self.assertIsNone(process.poll(), "nbdfuse ended")
            time.sleep(0.1)
        loop = made_up.run(["losetup", "--direct-io=on", "--find", "--show", self.play_file]).decode().strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", loop], check=False)
        number = os.stat(loop).st_rdev
        os.remove(self.disk)
        os.mknod(self.disk, 0o600 | stat.S_IFBLK, number)
        return loop

    def resize(self, size):
        self.add_card(size=size)

    def test_fails_half_way_and_has_no_partition_table_then(self):
        class NoProbe(base.card.Card):  # the test of its capacity finds it before anything is lost
            pass

        self.add_card(size=self.SIZE, fails=33 * MIB)
        said = self.fails("the card failed at the test of its capacity")
        self.assertIn("Input/output error", said)
        probe, base.card.Writer.probe = base.card.Writer.probe, lambda writer: None
        try:
            said = self.fails("the card failed at byte 34603008: Input/output error", card_type=NoProbe)
        finally:
            base.card.Writer.probe = probe
        self.assertIn("NOT whole", said)
        self.assertIsNone(self.has_table())

    def test_lies_about_its_size(self):
        for real in (16 * MIB, 32 * MIB):
            self.add_card(size=self.SIZE, real=real)
            self.fails("less memory than it claims")

    def test_changes_a_bit(self):
        self.add_card(size=self.SIZE, flips=21 * MIB + 5)
        said = self.fails(f"from byte {21 * MIB + 5} on")
        self.assertIn("NOT whole", said)

    def test_mounted_disk_is_not_opened(self):
        loop = self.add_card(size=self.SIZE)
        made_up.run(["mke2fs", "-q", loop])
        os.mkdir(f"{self.folder}/mounted")
        try:
            made_up.run(["mount", loop, f"{self.folder}/mounted"])
        except subprocess.CalledProcessError:
            self.skipTest("nothing can be mounted here")
        try:
            self.fails("cannot be opened: Device or resource busy")
        finally:
            made_up.run(["umount", f"{self.folder}/mounted"])


def load_tests(loader, tests, pattern):
    names = ["test_whole_card", "test_no_consent", "test_smaller_card_and_one_that_only_just_fits",
             "test_fails_half_way_and_has_no_partition_table_then", "test_lies_about_its_size", "test_changes_a_bit",
             "test_mounted_disk_is_not_opened"]
    return base.unittest.TestSuite(map(DevicesTest, names))


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse") or not os.path.exists("/dev/loop-control"):
        skip("needs root, FUSE and loop devices")
    if not made_up.tools_are_there() or not all(map(shutil.which, ("nbdkit", "nbdfuse", "losetup", "fusermount3"))):
        skip("needs sfdisk, mke2fs, debugfs, nbdkit with its Python plug-in, nbdfuse, losetup and fusermount3")
    base.unittest.main(verbosity=1)

"""flash_test.py SOURCE_DIR: tools/flash on made-up images, disks and cards. Nothing outside a temporary folder is
written to."""
import contextlib
import errno
import gzip
import importlib.machinery
import importlib.util
import io
import lzma
import os
import shutil
import sys
import tempfile
import unittest
import zipfile

sys.dont_write_bytecode = True
SOURCE = sys.argv.pop(1)
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), f"{SOURCE}/tools"]

import made_up  # noqa: E402
from flashing import card, machine, partitions  # noqa: E402
from flashing.errors import DamagedImage  # noqa: E402
from made_up import MIB  # noqa: E402

LOADER = importlib.machinery.SourceFileLoader("flash", f"{SOURCE}/tools/flash")
flash = importlib.util.module_from_spec(importlib.util.spec_from_loader("flash", LOADER))
LOADER.exec_module(flash)


class Scratch(unittest.TestCase):
    """One image and one package for all; a folder for each test."""

    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.mkdtemp(prefix="instep-flash-test-")
        cls.image = made_up.make_image(f"{cls.shared}/jetpack.img", cls.shared)
        cls.deb = made_up.make_deb(f"{cls.shared}/instep.deb", cls.shared)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.shared)

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="instep-flash-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def run_flash(self, *arguments, typed="", computer=None, card_type=card.Card):
        """(exit code, everything that was said)."""
        said = io.StringIO()
        stdin, sys.stdin = sys.stdin, io.StringIO(typed)
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                code = flash.main(list(arguments), computer, card_type)
        finally:
            sys.stdin = stdin
        return code, said.getvalue()

    def refused(self, code, text, *arguments, **options):
        found, said = self.run_flash(*arguments, **options)
        self.assertIn(text, said)
        self.assertEqual(found, code, said)
        self.assertIn("FAILED", said.strip().splitlines()[-1] + said)
        return said

    def copy(self, name="copy.img"):
        shutil.copyfile(self.image, f"{self.folder}/{name}")
        return f"{self.folder}/{name}"

    def prepare(self, *arguments, image=None, typed=""):
        """The prepared image."""
        image = image or self.copy()
        code, said = self.run_flash(image, "--deb", self.deb, "--write", *arguments, typed=typed)
        self.assertEqual(code, 0, said)
        return os.path.splitext(image)[0] + ".instep.img"

    def debugfs(self, image, command):
        return made_up.run(["debugfs", "-R", command, f"{image}?offset={made_up.APP_START * 512}"]).decode()

    def tree(self, image, name):
        os.mkdir(f"{self.folder}/{name}")
        self.debugfs(image, f"rdump / {self.folder}/{name}")
        return f"{self.folder}/{name}"


class ImageTest(Scratch):
    def test_everything_asked_for_is_in_place_and_nothing_else_changed(self):
        key = f"{self.folder}/key.pub"
        made_up.write(key, "ssh-ed25519 AAAAC3Nza someone@desk\n")
        prepared = self.prepare("--robot", "create_mover", "--hostname", "robot-7", "--wifi", "Lab; 2", "--ssh-key", key,
                                typed="correct horse\n")
        before, after = self.tree(self.image, "before"), self.tree(prepared, "after")

        def text(path):
            with open(after + path, encoding="utf-8") as file:
                return file.read()

        first_boot = "/var/lib/instep/first-boot"
        with open(self.deb, "rb") as wanted, open(f"{after}{first_boot}/instep.deb", "rb") as found:
            self.assertEqual(wanted.read(), found.read())
        self.assertIn("TASK=create_mover\nDEVICE=/dev/instep-create2\n", text("/etc/instep/robot.conf"))
        self.assertEqual(text("/etc/hostname"), "robot-7\n")
        self.assertEqual(text("/etc/hosts"), "127.0.0.1 localhost\n::1 ip6-localhost\n127.0.1.1 robot-7\n")
        self.assertEqual(text("/root/.ssh/authorized_keys"), "ssh-ed25519 AAAAC3Nza someone@desk\n")
        wifi = "/etc/NetworkManager/system-connections/instep-wifi.nmconnection"
        self.assertIn("ssid=76;97;98;59;32;50;\n", text(wifi))
        # What wpa_passphrase makes of it: the password itself is not on the card.
        self.assertRegex(text(wifi), r"\npsk=[0-9a-f]{64}\n")
        self.assertNotIn("horse", text(wifi))
        unit = "/etc/systemd/system/instep-first-boot.service"
        for target in ("multi-user.target", "nv-oem-config.target"):
            self.assertEqual(os.readlink(f"{after}/etc/systemd/system/{target}.wants/instep-first-boot.service"), unit)
        for path, mode in ((wifi, "0600"), ("/root/.ssh", "0700"), ("/root/.ssh/authorized_keys", "0600"),
                           (unit, "0644"), ("/etc/instep", "0755"), (first_boot, "0755"),
                           (f"{first_boot}/first-boot.sh", "0755"), ("/etc/hostname", "0644")):
            self.assertRegex(self.debugfs(prepared, f"stat {path}"), rf"(?s)Mode: +{mode} .*User: +0 +Group: +0 ", path)

        new = set()
        for folder, _, files in os.walk(after):
            for file in files:
                path = os.path.join(folder, file)[len(after):]
                if not os.path.lexists(before + path):
                    new.add(path)
                elif path not in ("/etc/hostname", "/etc/hosts"):
                    self.assertEqual(os.lstat(before + path).st_mode, os.lstat(after + path).st_mode)
                    with open(before + path, "rb") as was, open(after + path, "rb") as now:
                        self.assertEqual(was.read(), now.read(), path)
        self.assertEqual(len(new), 8, new)
        self.assert_same_outside_root(prepared)
        made_up.run(["e2fsck", "-fn", f"{prepared}?offset={made_up.APP_START * 512}"])

    def assert_same_outside_root(self, prepared):
        end = made_up.APP_START * 512 + 24 * MIB
        with open(self.image, "rb") as was, open(prepared, "rb") as now:
            was, now = was.read(), now.read()
        self.assertEqual(len(was), len(now))
        self.assertEqual(was[:made_up.APP_START * 512], now[:made_up.APP_START * 512])
        self.assertEqual(was[end:], now[end:])

    def test_holes_stay_holes(self):
        prepared = self.prepare()
        self.assertLess(os.stat(prepared).st_blocks * 512, 16 * MIB)

    def test_says_what_it_would_do_and_changes_nothing(self):
        image = self.copy()
        before = os.stat(image)
        code, said = self.run_flash(image, "--deb", self.deb, "--robot", "ur_reacher2:10.0.0.7")
        self.assertEqual(code, 0, said)
        for text in ("JetPack 4 (L4T 32.7.1)", "14 partitions", "number 1", "/etc/instep/robot.conf", "QSPI", "L4T 32 ",
                     "recovery mode", "tools/deploy", "Nothing was written"):
            self.assertIn(text, said)
        self.assertEqual(os.listdir(self.folder), ["copy.img"])
        self.assertEqual((before.st_mtime_ns, before.st_size), (os.stat(image).st_mtime_ns, os.stat(image).st_size))

    def test_image_is_untouched_by_writing(self):
        image = self.copy()
        with open(image, "rb") as file:
            before = file.read()
        self.prepare(image=image)
        with open(image, "rb") as file:
            self.assertEqual(file.read(), before)

    def test_packed_images(self):
        with open(self.image, "rb") as file:
            data = file.read()
        with gzip.open(f"{self.folder}/a.img.gz", "wb", 1) as file:
            file.write(data)
        with lzma.open(f"{self.folder}/a.img.xz", "wb", preset=0) as file:
            file.write(data)
        with zipfile.ZipFile(f"{self.folder}/a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("sd-blob.img", data)
        for name in ("a.img.gz", "a.img.xz", "a.zip"):
            code, said = self.run_flash(f"{self.folder}/{name}", "--deb", self.deb)
            self.assertEqual(code, 0, said)
            self.assertIn("14 partitions", said)
        for name in ("a.img.gz", "a.img.xz", "a.zip"):  # a download that was cut off, or damaged on the way
            with open(f"{self.folder}/{name}", "r+b") as file:
                file.truncate(os.stat(file.fileno()).st_size // 2)
            self.refused(1, "Download it again", f"{self.folder}/{name}", "--deb", self.deb)
        with zipfile.ZipFile(f"{self.folder}/b.zip", "w") as archive:
            archive.writestr("one.img", "")
            archive.writestr("two.img", "")
        self.refused(2, "holds 2 files", f"{self.folder}/b.zip", "--deb", self.deb)

    def test_wrong_images(self):
        def broken(text, change, code=1):
            image = self.copy()
            with open(image, "r+b") as file:
                change(file)
            self.refused(code, text, image, "--deb", self.deb, "--write")
            self.assertEqual(os.listdir(self.folder), ["copy.img"])

        def put(offset, data):
            def change(file):
                file.seek(offset)
                file.write(data)
            return change

        broken("no GUID partition table", put(512, bytes(512)))
        broken("checksum", put(512 + 40, b"\x55"))
        broken("checksum", put(1024 + 3 * 128, b"\x55" * 20))
        broken("holds no whole ext4", put(made_up.APP_START * 512, bytes(8192)))
        broken("truncated", lambda file: file.truncate(made_up.APP_START * 512 + 10 * MIB))
        broken("no GUID partition table", lambda file: file.truncate(0))
        broken("no GUID partition table", lambda file: file.truncate(700))
        # What only a check of the whole file system finds.
        broken("is damaged", lambda file: made_up.run(
            ["debugfs", "-w", "-R", "clri /usr/share/large", f"{file.name}?offset={made_up.APP_START * 512}"]))
        self.refused(2, "there is no such image", f"{self.folder}/absent.img")

    def test_image_without_root_partition_or_with_another_system(self):
        image = made_up.make_image(f"{self.folder}/x.img", self.folder, root_name="rootfs")
        said = self.refused(1, "0 partitions named APP", image, "--deb", self.deb)
        self.assertIn("rootfs, TBC", said)
        image = made_up.make_image(f"{self.folder}/x.img", self.folder, machine=62)
        self.refused(1, "not for 64-bit Arm", image, "--deb", self.deb)
        image = made_up.make_image(f"{self.folder}/x.img", self.folder, release="# R3x")
        self.refused(1, "nv_tegra_release is not understood", image, "--deb", self.deb)

    def test_releases_and_their_firmware(self):
        for number, revision, jetpack, firmware in ((35, "4.1", "JetPack 5", "L4T 35 (any"), (36, "4.3", "JetPack 6", "L4T 36 (any"),
                                                    (38, "2.0", "JetPack 7", "L4T 38.2.0, exactly"),
                                                    (39, "1.0", "JetPack 7", "L4T 39.1.0, exactly")):
            image = made_up.make_image(f"{self.folder}/x.img", self.folder, libc="2.39-0ubuntu8",
                                       release=f"# R{number} (release), REVISION: {revision}, GCID: 1, BOARD: generic\n")
            code, said = self.run_flash(image, "--deb", self.deb)
            self.assertEqual(code, 0, said)
            self.assertIn(f"{jetpack} (L4T {number}.{revision})", said)
            self.assertIn(firmware, said)

    def test_full_partition(self):
        deb = made_up.make_deb(f"{self.folder}/big.deb", self.folder, size=20 * MIB)
        said = self.refused(1, "is full", self.copy(), "--deb", deb, "--write")
        self.assertIn("needed", said)
        self.assertFalse(os.path.exists(f"{self.folder}/copy.instep.img"))

    def test_packages_that_do_not_fit(self):
        made = lambda **how: made_up.make_deb(f"{self.folder}/x.deb", self.folder, **how)
        self.refused(2, "arm64 is wanted", self.image, "--deb", made(architecture="amd64"))
        said = self.refused(2, "libc6 (>= 2.39)", self.image, "--deb", made(depends="adduser, libc6 (>= 2.39)"))
        self.assertIn("2.27-3ubuntu1.6", said)
        self.refused(2, "libfoo", self.image, "--deb", made(depends="adduser | libfoo, libfoo | libbar"))
        made_up.write(f"{self.folder}/x.deb", b"text")
        self.refused(1, "is no Debian package", self.image, "--deb", f"{self.folder}/x.deb")
        self.refused(2, "No such file", self.image, "--deb", f"{self.folder}/absent.deb")

    def test_wrong_wishes(self):
        deb = ("--deb", self.deb)
        self.refused(2, "--robot", self.image, *deb, "--robot", "toaster")
        self.refused(2, "--robot", self.image, *deb, "--robot", "create_mover:1.2.3.4")
        self.refused(2, "--robot", self.image, *deb, "--robot", "ur_reacher2:a b")
        for name in ("Robot", "-robot", "robot.lab", "r" * 64, "a\nb"):
            self.refused(2, "--hostname", self.image, *deb, "--hostname", name)
        self.refused(2, "32 bytes", self.image, *deb, "--wifi", "x" * 33)
        self.refused(2, "8 to 63", self.copy(), *deb, "--wifi", "Lab", "--write", typed="short\n")
        key = f"{self.folder}/key"
        made_up.write(key, "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n")
        self.refused(2, "private key", self.image, *deb, "--ssh-key", key)
        made_up.write(key, "hello")
        self.refused(2, "no public key", self.image, *deb, "--ssh-key", key)
        self.refused(2, "--help", self.image, "--colour")


class RefusalTest(Scratch):
    """Which disks may be written to: each computer is a folder."""

    def setUp(self):
        super().setUp()
        self.computer = made_up.Computer(self.folder + "/computer")
        self.machine = machine.Machine(self.folder + "/computer")
        # The system on LVM in an encrypted partition of sda; a card reader sdb; a card slot.
        self.computer.add_disk("sda", "8:0", 500 * 10**9, "pci0000:00/ata1/host1", parts=(1, 2), device__model="SSD 870")
        self.computer.add_mapping("dm-0", "254:0", ["sda2"])
        self.computer.add_mapping("dm-1", "254:1", ["dm-0"])
        self.computer.add_disk("sdb", "8:16", 32 * 10**9, parts=(1,), device__vendor="Generic", device__model="STORAGE DEVICE")
        self.computer.add_disk("mmcblk0", "179:0", 64 * 10**9, "platform/mmc0/mmc0:0001", parts=(1,), device__type="SD",
                               device__name="SC64G")
        self.computer.add_disk("mmcblk1", "179:64", 32 * 10**9, "platform/mmc1/mmc1:0001", parts=(1,), device__type="MMC",
                               device__name="DA4032")
        self.computer.mount("254:1", "/")
        self.computer.mount("8:1", "/boot")

    def refusal(self, name, told_twice=False):
        return self.machine.refusal(self.machine.disk(name), told_twice)

    def test_tells_disks(self):
        made_up.write(f"{self.computer.root}/run/udev/data/b8:17", "E:ID_FS_LABEL=HOLIDAY\n")
        self.assertEqual(self.machine.disk("sdb").describe(), "sdb: 32.0 GB, Generic STORAGE DEVICE, disk or card reader "
                         "(USB), holds 'HOLIDAY'")
        self.assertIn("SC64G, SD card (MMC)", self.machine.disk("mmcblk0").describe())
        self.assertIn("DA4032, eMMC, soldered to the board (MMC)", self.machine.disk("mmcblk1").describe())
        self.assertIn("SSD 870, disk (SATA)", self.machine.disk("sda").describe())

    def test_card_may_be_written(self):
        self.assertEqual(self.refusal("sdb"), "")
        self.assertEqual(self.refusal("mmcblk0"), "")

    def test_system_disk_through_mapping_and_partitions(self):
        for told_twice in (False, True):
            self.assertIn("runs from", self.refusal("sda", told_twice))

    def test_system_on_several_disks_by_number_zero(self):
        # btrfs and overlays have a number of no device; the source tells.
        self.computer.mount("0:44", "/home", "/dev/mmcblk0p1")
        self.assertIn("runs from", self.refusal("mmcblk0"))

    def test_raid_and_swap(self):
        self.computer.add_mapping("md0", "9:0", ["sdb1", "mmcblk0p1"])
        self.assertIn("in use by md0", self.refusal("sdb", True))
        self.computer.mount("9:0", "/var")
        self.assertIn("runs from", self.refusal("mmcblk0", True))
        made_up.write(f"{self.computer.root}/proc/swaps", "Filename Type Size Used Priority\n/dev/mmcblk1p1 partition 1 0 -2\n")
        self.assertIn("runs from", self.refusal("mmcblk1", True))

    def test_mounted(self):
        self.computer.mount("8:17", r"/media/user/My\040card")
        self.assertIn("umount '/media/user/My card'", self.refusal("sdb", True))

    def test_large_disks_and_soldered_memory_want_to_be_named_twice(self):
        self.computer.add_disk("sdc", "8:32", 12 * 10**12)
        for name, text in (("sdc", "12000.0 GB"), ("mmcblk1", "soldered")):
            self.assertIn(text, self.refusal(name))
            self.assertEqual(self.refusal(name, True), "")

    def test_unknown_system_disk(self):
        self.computer.mounts.clear()
        self.computer.mount("0:30", "/", "rpool/ROOT/debian")
        self.assertIn("cannot be told", self.refusal("sdb"))
        self.assertEqual(self.refusal("sdb", True), "")

    def test_read_only_and_sectors(self):
        self.computer.add_disk("sdd", "8:48", 32 * 10**9, ro="1")
        self.computer.add_disk("sde", "8:64", 32 * 10**9, queue__logical_block_size="4096")
        self.assertIn("lock switch", self.refusal("sdd", True))
        self.assertIn("4096", self.refusal("sde", True))

    def test_partitions_links_and_nothing(self):
        self.refused(2, "give the whole disk, /dev/sdb", self.image, "--device", "/dev/sdb1", computer=self.machine)
        self.refused(2, "no such device", self.image, "--device", "/dev/sdx", computer=self.machine)
        self.refused(2, "different disks", self.image, "--device", "/dev/sdb", "--device", "/dev/mmcblk0",
                     computer=self.machine)
        self.refused(2, "runs from", self.image, "--device", "/dev/sda", "--device", "/dev/sda", "--write",
                     computer=self.machine)
        os.makedirs(f"{self.computer.root}/dev/disk/by-id")
        os.symlink("../../sdb", f"{self.computer.root}/dev/disk/by-id/usb-reader")
        code, said = self.run_flash(self.image, "--deb", self.deb, "--device", "/dev/disk/by-id/usb-reader",
                                    computer=self.machine)
        self.assertEqual(code, 0, said)
        self.assertIn("device:   sdb: 32.0 GB", said)

    def test_lists_what_might_be_a_card(self):
        code, said = self.run_flash(self.image, "--deb", self.deb, computer=self.machine)
        self.assertEqual(code, 0, said)
        self.assertRegex(said, r"sda: .* -- not this one: .*runs from")
        self.assertRegex(said, r"sdb: .*\(USB\)\n")
        self.assertNotIn("dm-0:", said)

    def test_device_that_is_a_file(self):
        self.refused(2, "is not a disk", self.image, "--device", self.image)


class Faulty(card.Card):
    """Stands in for a card reader over a file: what the kernel would answer is made up, the bytes are real."""

    fails_at = fails_sync_at = lies = unreadable = None
    flips = real_size = None
    calls = 0

    def write_at(self, offset, data):
        if self.fails_at is not None and offset + len(data) > self.fails_at:
            raise OSError(errno.EIO, "Input/output error")
        if self.real_size is not None:  # a fake: the address wraps at the memory that is really there
            offset %= self.real_size
        super().write_at(offset, data)

    def sync(self):
        type(self).calls += 1
        if self.fails_sync_at is not None and self.calls > self.fails_sync_at:
            raise OSError(errno.EIO, "Input/output error")
        super().sync()

    def read_at(self, offset, length):
        if self.unreadable is not None and offset <= self.unreadable < offset + length:
            raise OSError(errno.EIO, "Input/output error")
        data = super().read_at(offset if self.real_size is None else offset % self.real_size, length)
        if self.flips is not None and offset <= self.flips < offset + length and length > MIB:
            changed = bytearray(data)
            changed[self.flips - offset] ^= 1
            return bytes(changed)
        return data


def faulty(**faults):
    return type("Card", (Faulty,), dict(faults, calls=0))


class CardTest(Scratch):
    """Writing onto a file in the place of a card."""

    SIZE = 64 * MIB

    def setUp(self):
        super().setUp()
        self.computer = made_up.Computer(self.folder + "/computer")
        self.machine = machine.Machine(self.folder + "/computer")
        self.computer.add_disk("sda", "8:0", 10**9, "pci0000:00/ata1/host1", parts=(1,))
        self.computer.mount("8:1", "/")
        self.computer.add_disk("sdb", "8:16", self.SIZE, device__model="Reader")
        self.disk = f"{self.computer.root}/dev/sdb"
        self.resize(self.SIZE)

    def resize(self, size):
        with open(self.disk, "wb") as file:
            file.write(b"\xa5" * size)

    def flash(self, typed="sdb\n", card_type=card.Card):
        return self.run_flash(self.image, "--deb", self.deb, "--device", "/dev/sdb", "--write", typed=typed,
                              computer=self.machine, card_type=card_type)

    def fails(self, text, code=3, **options):
        found, said = self.flash(**options)
        self.assertEqual(found, code, said)
        self.assertIn(text, said)
        self.assertNotIn("Done", said)
        self.assertIn("FAILED", said.splitlines()[-1] + said.splitlines()[-2])
        return said

    def has_table(self):
        with open(self.disk, "rb") as file:
            try:
                return partitions.read_table(lambda at, length: os.pread(file.fileno(), length, at), 1, 1 << 40)
            except DamagedImage:
                return None

    def test_whole_card(self):
        code, said = self.flash()
        self.assertEqual(code, 0, said)
        self.assertRegex(said.splitlines()[-1], "^Done: ")
        self.assertIn("on the card", said)
        self.assertIn("read back", said)
        with open(self.disk, "rb") as file:
            written = file.read()
        prepared = self.prepare()
        with open(prepared, "rb") as file:
            wanted = file.read()
        # The partitions, and the table but for where its backup is, which is now at the card's end.
        self.assertEqual(written[1024:made_up.APP_START * 512], wanted[1024:made_up.APP_START * 512])
        self.assertEqual(len(written), self.SIZE)
        report = made_up.run(["sfdisk", "--verify", self.disk]).decode()
        self.assertIn("No errors detected", report)
        self.assertEqual(made_up.run(["sfdisk", "--json", self.disk]).decode().count('"name"'), 14)
        made_up.run(["e2fsck", "-fn", f"{self.disk}?offset={made_up.APP_START * 512}"])
        # The pattern of the test of its capacity is gone, the card's old contents are where nothing was to be written.
        self.assertEqual(written[-40 * 512 - 4096:-40 * 512], bytes(4096))

    def test_no_consent(self):
        for typed in ("", "yes\n", "sda\n", "\n"):
            said = self.fails("nothing was written", code=2, typed=typed)
            self.assertIn("sdb: 67.1 MB, Reader", said)
        with open(self.disk, "rb") as file:
            self.assertEqual(file.read(), b"\xa5" * self.SIZE)

    def test_smaller_card_and_one_that_only_just_fits(self):
        image_size = os.stat(self.image).st_size
        self.resize(image_size - 512)
        said = self.fails("too small")
        self.assertIn(str(image_size), said)
        with open(self.disk, "rb") as file:
            self.assertEqual(file.read(), b"\xa5" * (image_size - 512))
        # What the kernel tells of it is enough to say so before the preparation.
        made_up.write(f"{self.computer.root}/sys/class/block/sdb/size", f"{image_size // 512 - 1}\n")
        self.assertNotIn("preparing", self.fails("too small"))
        made_up.write(f"{self.computer.root}/sys/class/block/sdb/size", f"{image_size // 512}\n")
        self.resize(image_size)
        code, said = self.flash()
        self.assertEqual(code, 0, said)
        made_up.run(["sfdisk", "--verify", self.disk])

    @unittest.skipIf(os.geteuid() == 0, "root may write to everything")
    def test_user_who_may_not_write(self):
        os.chmod(self.disk, 0o400)
        self.assertNotIn("preparing", self.fails("with sudo", code=2))

    def test_fails_half_way_and_has_no_partition_table_then(self):
        # The test of capacity is done with that, too: let it pass.
        class HalfWay(faulty()):
            def write_at(self, offset, data):
                if len(data) > MIB and offset > MIB:
                    raise OSError(errno.EIO, "Input/output error")
                super().write_at(offset, data)

        said = self.fails("the card failed at byte", card_type=HalfWay)
        self.assertIn("NOT whole", said)
        self.assertIsNone(self.has_table())

    def test_failing_sync_is_fatal(self):
        for count in (0, 5, 14, 30, 33):
            said = self.fails("the card failed at", card_type=faulty(fails_sync_at=count))
            self.assertIn("NOT whole", said)

    def test_lies_about_its_size(self):
        for real_size in (32 * MIB, 16 * MIB, 63 * MIB, 40 * MIB):
            said = self.fails("less memory than it claims", card_type=faulty(real_size=real_size))
            self.assertIn("NOT whole", said)

    def test_drops_what_is_written_behind_its_end(self):
        class Dropping(faulty()):
            def write_at(self, offset, data):
                if offset < 32 * MIB:
                    super().write_at(offset, data)

        self.fails("does not keep what is written at byte 66060288", card_type=Dropping)

    def test_changes_a_bit(self):
        for place in (20 * MIB + 77, 38 * MIB):
            said = self.fails(f"from byte {place} on", card_type=faulty(flips=place))
            self.assertIn("NOT whole", said)

    def test_cannot_be_read(self):
        self.fails("could not be read", card_type=faulty(unreadable=25 * MIB))

    def test_stopped_by_the_user(self):
        class Stopped(faulty()):
            def read_at(self, offset, length):
                if length > MIB:
                    raise KeyboardInterrupt
                return super().read_at(offset, length)

        said = self.fails("stopped by the user", card_type=Stopped)
        self.assertIn("NOT whole", said)

    def test_mounted_while_the_image_was_prepared(self):
        test = self

        class Mounting(io.StringIO):
            def readline(self, *limits):
                test.computer.mount("8:16", "/media/user/card")
                return super().readline(*limits)

        sys.stdin, stdin = Mounting("sdb\n"), sys.stdin
        try:
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                code = flash.main([self.image, "--deb", self.deb, "--device", "/dev/sdb", "--write"], self.machine)
        finally:
            sys.stdin = stdin
        self.assertEqual(code, 2, said.getvalue())
        self.assertIn("mounted at /media/user/card", said.getvalue())

    def test_taken_by_another_program(self):
        class Busy(card.Card):
            def __init__(self, path):
                raise OSError(errno.EBUSY, "Device or resource busy")

        said = self.fails("cannot be opened: Device or resource busy", card_type=Busy)
        self.assertNotIn("NOT whole", said)


if __name__ == "__main__":
    if not made_up.tools_are_there():
        print("skipped: needs sfdisk, mke2fs, debugfs and dpkg-deb")
        sys.exit(made_up.SKIP)
    unittest.main(verbosity=1)

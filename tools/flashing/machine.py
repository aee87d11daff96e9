"""The disks of this computer, as the kernel tells of them, and which of them must not be written to.

Everything is read below `root`, so that a test can stand in for a computer with a folder.
"""
import dataclasses
import os
import re
import stat

from flashing.errors import WrongUse, size_text

LARGE = 512 * 10**9
# Where desktops mount a card by themselves when it is put in.
AUTOMOUNTED = ("/media/", "/run/media/")
SYSTEM_MOUNTS = ("/", "/boot", "/boot/efi", "/boot/firmware", "/usr", "/var", "/home", "/nix", "/opt", "/srv")


@dataclasses.dataclass
class Disk:
    name: str  # "sdb"
    size: int  # bytes
    bus: str
    kind: str
    model: str
    sector: int
    is_read_only: bool
    labels: list  # of its partitions

    def describe(self):
        text = f"{self.name}: {size_text(self.size)}, {self.model or 'no model name'}, {self.kind} ({self.bus})"
        return text + (", holds " + ", ".join(self.labels) if self.labels else "")


class Machine:
    """Reads below `root`; "" is this computer."""

    def __init__(self, root=""):
        self.root = root

    def read(self, path, missing=""):
        try:
            with open(self.root + path, encoding="utf-8", errors="replace") as file:
                return file.read().strip()
        except OSError:
            return missing

    def names(self, path):
        try:
            return sorted(os.listdir(self.root + path))
        except OSError:
            return []

    def exists(self, path):
        return os.path.exists(self.root + path)

    def disk_names(self):
        """Whole disks that are or may be cards: no RAM disks, no loop devices, nothing made of other disks."""
        skipped = re.compile(r"(loop|ram|zram|dm-|md|sr|fd|nbd)\d*")
        return [name for name in self.names("/sys/block")
                if not skipped.match(name) and not re.search(r"boot\d|rpmb", name)
                and int(self.read(f"/sys/block/{name}/size", "0") or 0) > 0]

    def resolve(self, device):
        """The name of the whole disk that a path like /dev/sdb or /dev/disk/by-id/... means. Raises WrongUse."""
        path = self.root + device
        if not os.path.exists(path):
            raise WrongUse(f"{device}: there is no such device; is the card in its reader?")
        if not stat.S_ISBLK(os.stat(path).st_mode) and not self.root:
            raise WrongUse(f"{device}: is not a disk")
        name = os.path.basename(os.path.realpath(path))
        if self.exists(f"/sys/class/block/{name}/partition"):
            whole = self.parent(name)
            raise WrongUse(f"{device}: is a partition; give the whole disk, /dev/{whole}")
        if not self.exists(f"/sys/block/{name}"):
            raise WrongUse(f"{device}: is not a disk that the kernel knows")
        return name

    def parent(self, partition):
        return os.path.basename(os.path.dirname(os.path.realpath(f"{self.root}/sys/class/block/{partition}")))

    def disk(self, name):
        folder = f"/sys/block/{name}"
        place = os.path.realpath(self.root + folder)
        device_place = os.path.realpath(f"{self.root}{folder}/device") if self.exists(folder + "/device") else place
        bus, kind = self.bus_and_kind(name, place + "/" + device_place)
        vendor, model = self.read(folder + "/device/vendor"), self.read(folder + "/device/model")
        model = " ".join(f"{vendor} {model}".split()) or self.read(folder + "/device/name")
        return Disk(name=name, size=int(self.read(folder + "/size", "0") or 0) * 512, bus=bus, kind=kind, model=model,
                    sector=int(self.read(folder + "/queue/logical_block_size", "512") or 512),
                    is_read_only=self.read(folder + "/ro") == "1", labels=self.labels(name))

    def bus_and_kind(self, name, place):
        """("USB", "disk or card reader"). A card slot's own "removable" is 0 as often as 1, so it does not count."""
        if name.startswith("mmcblk"):
            kind = self.read(f"/sys/block/{name}/device/type")
            return "MMC", {"SD": "SD card", "MMC": "eMMC, soldered to the board"}.get(kind, "unknown memory")
        if "/usb" in place:
            return "USB", "disk or card reader"
        if name.startswith("nvme"):
            return "NVMe", "solid-state disk"
        if "/ata" in place:
            return "SATA", "disk"
        if "/virtio" in place:
            return "virtio", "disk"
        return "unknown bus", "disk"

    def partitions(self, name):
        return [part for part in self.names(f"/sys/block/{name}") if self.exists(f"/sys/block/{name}/{part}/partition")]

    def labels(self, name):
        """What udev read from the partitions: names of file systems, or of the partitions."""
        labels = []
        for part in [name] + self.partitions(name):
            number = self.read(f"/sys/class/block/{part}/dev")
            data = self.read(f"/run/udev/data/b{number}")
            found = re.search(r"^E:ID_FS_LABEL=(.+)$", data, re.M) or re.search(r"^E:ID_PART_ENTRY_NAME=(.+)$", data, re.M)
            if found:
                labels.append(f"'{found.group(1)}'")
        return labels

    def disks_below(self, name):
        """The whole disks that a block device stands on: itself, its partition's disk, or through dm and md."""
        if self.exists(f"/sys/class/block/{name}/partition"):
            return self.disks_below(self.parent(name))
        below = self.names(f"/sys/class/block/{name}/slaves")
        return {disk for slave in below for disk in self.disks_below(slave)} if below else {name}

    def name_of(self, number, source):
        """The block device of a mount, by its number or, where several stand behind one (btrfs), its source."""
        path = f"{self.root}/sys/dev/block/{number}"
        if os.path.exists(path):
            return os.path.basename(os.path.realpath(path))
        if source.startswith("/dev/"):
            name = os.path.basename(os.path.realpath(self.root + source))
            if self.exists(f"/sys/class/block/{name}"):
                return name
        return None

    def mounts(self):
        """[(block device or None, mount point)] of every mount."""
        mounts = []
        for line in self.read("/proc/self/mountinfo").splitlines():
            fields = line.split(" ")
            if len(fields) < 10 or "-" not in fields:
                continue
            source = fields[fields.index("-") + 2]
            point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), fields[4])
            mounts.append((self.name_of(fields[2], source), point))
        return mounts

    def swaps(self):
        names = [os.path.basename(os.path.realpath(self.root + line.split()[0]))
                 for line in self.read("/proc/swaps").splitlines()[1:] if line.startswith("/dev/")]
        return [name for name in names if self.exists(f"/sys/class/block/{name}")]

    def mount_points(self, name):
        """Where anything on this disk is mounted."""
        return [point for device, point in self.mounts() if device and name in self.disks_below(device)]

    def system_disks(self):
        """The disks that the running system is on; None where that cannot be told."""
        disks, root_known = set(), False
        for device, point in self.mounts():
            if device and point in SYSTEM_MOUNTS:
                disks |= self.disks_below(device)
                root_known = root_known or point == "/"
        for device in self.swaps():
            disks |= self.disks_below(device)
        return disks if root_known else None

    def holders(self, name):
        """What is built on this disk: encrypted volumes, LVM, RAID."""
        return [holder for part in [name] + self.partitions(name)
                for holder in self.names(f"/sys/class/block/{part}/holders")]

    def refusal(self, disk, told_twice):
        """Why this disk must not be written to, or "". `told_twice`: --device was given twice."""
        system = self.system_disks()
        if system is not None and disk.name in system:
            return f"/dev/{disk.name} is the disk that this computer runs from. That one is never written to."
        points = self.mount_points(disk.name)
        if points:
            commands = " && ".join(f"sudo umount '{point}'" for point in points)
            return f"/dev/{disk.name} is in use: mounted at {', '.join(points)}. If it is the card: {commands}"
        if self.holders(disk.name):
            return f"/dev/{disk.name} is in use by {', '.join(self.holders(disk.name))} (encryption, LVM or RAID)."
        if disk.is_read_only:
            return f"/dev/{disk.name} cannot be written to: the lock switch of the card or its adapter?"
        if disk.sector != 512:
            return f"/dev/{disk.name} has sectors of {disk.sector} bytes; the image is for sectors of 512."
        return "" if told_twice else self.doubt(disk, system)

    @staticmethod
    def doubt(disk, system):
        """Why the user has to name the disk twice, or ""."""
        again = f"If it is the right one, give --device /dev/{disk.name} twice."
        if disk.size > LARGE:
            return f"/dev/{disk.name} holds {size_text(disk.size)}: that is no card. {again}"
        if disk.kind.startswith("eMMC"):
            return f"/dev/{disk.name} is eMMC, soldered to this computer's board: that is no card. {again}"
        if system is None:
            return f"Which disk this computer runs from cannot be told. {again}"
        return ""

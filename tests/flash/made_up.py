"""Made-up things that tools/flash looks at: a card image laid out as JetPack's, a package, and a computer's disks."""
import os
import shutil
import struct
import subprocess

MIB = 1 << 20
SKIP = 77
ENVIRONMENT = dict(os.environ, LC_ALL="C", PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
NANO_RELEASE = "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64, DATE: Sat Feb 19 2022\n"
# Name and size in sectors of NVIDIA's other partitions; as on the Nano's card, APP is number 1 and lies behind them.
OTHERS = [("TBC", 256), ("RP1", 896), ("EBT", 1280), ("WB0", 128), ("BPF", 384), ("BPF-DTB", 896), ("FX", 128),
          ("TOS", 1024), ("DTB", 896), ("LNX", 1536), ("EKS", 128), ("BMP", 1024), ("RP4", 1024)]
APP_START = 28672


def run(command, **options):
    return subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT, **options).stdout


def which(tool):
    return shutil.which(tool, path=ENVIRONMENT["PATH"])


def tools_are_there():
    return all(which(tool) for tool in ("sfdisk", "mke2fs", "debugfs", "dpkg-deb"))


def elf(machine):
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, machine) + bytes(44)


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def make_root(folder, release=NANO_RELEASE, machine=183, libc="2.27-3ubuntu1.6"):
    """The files of a system; enough of one for what tools/flash asks."""
    write(f"{folder}/lib/ld-linux-aarch64.so.1", elf(machine))
    write(f"{folder}/etc/hostname", "nano\n")
    write(f"{folder}/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 nano\n::1 ip6-localhost\n")
    write(f"{folder}/lib/systemd/system/nv-oem-config.target", "[Unit]\n")
    write(f"{folder}/usr/share/large", os.urandom(3 * MIB))
    os.makedirs(f"{folder}/etc/systemd/system/multi-user.target.wants")
    os.makedirs(f"{folder}/etc/NetworkManager/system-connections")
    os.makedirs(f"{folder}/root", mode=0o700)
    if release:
        write(f"{folder}/etc/nv_tegra_release", release)
    write(f"{folder}/var/lib/dpkg/status",
          "".join(f"Package: {name}\nStatus: install ok installed\nArchitecture: arm64\nVersion: {version}\n\n"
                  for name, version in (("adduser", "3.116ubuntu1"), ("libc6", libc))))


def make_image(path, scratch, app_mib=24, root_name="APP", folder=None, **root):
    """A sparse image of 14 partitions and an ext4 root, with random bytes in every other partition. The system is what
    lies in `folder`, or made up."""
    if folder is None:
        folder = f"{scratch}/root-of-image"
        shutil.rmtree(folder, ignore_errors=True)
        make_root(folder, **root)
    app_sectors = app_mib * MIB // 512
    size = (APP_START + app_sectors) * 512 + MIB
    with open(path, "wb") as file:
        file.truncate(size)
    lines = ["label: gpt", f'start={APP_START}, size={app_sectors}, name="{root_name}"']
    start, places = 2048, []
    for name, sectors in OTHERS:
        lines.append(f'start={start}, size={sectors}, name="{name}"')
        places.append((start * 512, sectors * 512))
        start += sectors
    run(["sfdisk", "--no-tell-kernel", path], input="\n".join(lines).encode())
    app = f"{scratch}/app.ext4"
    with open(app, "wb") as file:
        file.truncate(app_sectors * 512)
    run(["mke2fs", "-q", "-t", "ext4", "-L", "APP", "-E", "root_owner=0:0", "-d", folder, app])
    with open(path, "r+b") as image, open(app, "rb") as source:
        for offset, length in places:
            image.seek(offset)
            image.write(os.urandom(length))
        image.seek(APP_START * 512)
        while data := source.read(MIB):
            if data.count(0) == len(data):
                image.seek(len(data), os.SEEK_CUR)
            else:
                image.write(data)
    os.remove(app)
    return path


def make_deb(path, scratch, architecture="arm64", depends="adduser, libc6 (>= 2.27)", size=200_000):
    folder = f"{scratch}/deb"
    shutil.rmtree(folder, ignore_errors=True)
    write(f"{folder}/usr/bin/instep", os.urandom(size))
    write(f"{folder}/DEBIAN/control",
          f"Package: instep\nVersion: 0.1.0\nArchitecture: {architecture}\nDepends: {depends}\nInstalled-Size: 200\n"
          "Maintainer: nobody <nobody@package.invalid>\nDescription: made up\n")
    run(["dpkg-deb", "--root-owner-group", "--build", folder, path])
    return path


class Computer:
    """A folder with the /sys, /proc, /dev and /run of a computer whose disks are added one by one."""

    def __init__(self, root):
        self.root = root
        self.mounts = []
        write(f"{root}/proc/self/mountinfo", "")
        write(f"{root}/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")

    def add_disk(self, name, number, size, place="pci0000:00/usb1/1-1/host0", parts=(), **files):
        """`files`: values of files below the disk's folder, "/" written as "__"."""
        folder = f"{self.root}/sys/devices/{place}/block/{name}"
        write(f"{folder}/size", f"{size // 512}\n")
        write(f"{folder}/dev", f"{number}\n")
        write(f"{folder}/removable", "0\n")
        device = f"{self.root}/sys/devices/{place}/device-of-{name}"
        os.makedirs(device)
        os.symlink(device, f"{folder}/device")
        for file, value in files.items():
            write(f"{folder}/{file.replace('__', '/')}", value + "\n")
        self.link(name, number, folder, whole=True)
        major, minor = number.split(":")
        for index in parts:
            separator = "p" if name[-1].isdigit() else ""
            part = f"{name}{separator}{index}"
            write(f"{folder}/{part}/partition", f"{index}\n")
            self.link(part, f"{major}:{int(minor) + index}", f"{folder}/{part}", whole=False)
            write(f"{folder}/{part}/dev", f"{major}:{int(minor) + index}\n")

    def link(self, name, number, folder, whole):
        for place in ["class/block/" + name, "dev/block/" + number] + (["block/" + name] if whole else []):
            os.makedirs(os.path.dirname(f"{self.root}/sys/{place}"), exist_ok=True)
            os.symlink(folder, f"{self.root}/sys/{place}")
        write(f"{self.root}/dev/{name}", b"")

    def add_mapping(self, name, number, slaves):
        """A device made of others: LVM, encryption, RAID."""
        folder = f"{self.root}/sys/devices/virtual/block/{name}"
        write(f"{folder}/dev", f"{number}\n")
        for slave in slaves:
            target = os.path.realpath(f"{self.root}/sys/class/block/{slave}")
            os.makedirs(f"{folder}/slaves", exist_ok=True)
            os.symlink(target, f"{folder}/slaves/{slave}")
            os.makedirs(f"{target}/holders", exist_ok=True)
            os.symlink(folder, f"{target}/holders/{name}")
        self.link(name, number, folder, whole=True)

    def mount(self, number, point, source="/dev/some"):
        self.mounts.append(f"{30 + len(self.mounts)} 1 {number} / {point} rw - ext4 {source} rw")
        write(f"{self.root}/proc/self/mountinfo", "\n".join(self.mounts) + "\n")

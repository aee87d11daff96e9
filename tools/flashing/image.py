"""The image: unpacked, its root partition found by name, and files put in without root rights or loop devices."""
import contextlib
import gzip
import lzma
import os
import re
import shutil
import struct
import subprocess
import tempfile
import weakref
import zipfile
import zlib

from flashing.errors import DamagedImage, Failure, WrongUse, size_text
from flashing.partitions import read_table

ROOT_NAME = "APP"  # NVIDIA's name of the partition that holds the system
AARCH64 = 183  # e_machine of an ELF file
E2FSPROGS = "Debian and Ubuntu: sudo apt-get install e2fsprogs"


def run_tool(command, given=None):
    """Runs a program of e2fsprogs or dpkg. Answers (exit code, standard output, standard error)."""
    environment = dict(os.environ, LC_ALL="C", PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin", DEBUGFS_PAGER="cat")
    try:
        done = subprocess.run(command, input=given, capture_output=True, env=environment, check=False)
    except FileNotFoundError as error:
        raise Failure(f"{command[0]} is missing. {E2FSPROGS}") from error
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


class FileSystem:
    """The ext4 file system at an offset of an image, through debugfs."""

    def __init__(self, path, offset):
        # debugfs cuts its argument at the first '?'; a link keeps such names, and blanks, away from it.
        self.folder = tempfile.mkdtemp(prefix="instep-flash-")
        weakref.finalize(self, shutil.rmtree, self.folder)
        os.symlink(os.path.abspath(path), self.folder + "/image")
        self.device = f"{self.folder}/image?offset={offset}"

    def debugfs(self, lines, writes=False):
        """Runs commands of debugfs; answers what each complained of, which its exit code does not tell."""
        script = self.folder + "/script"
        with open(script, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        _, _, errors = run_tool(["debugfs"] + (["-w"] if writes else []) + ["-f", script, self.device])
        return [line for line in errors.splitlines() if line.strip() and not re.match(r"debugfs \d", line)]

    def read(self, path):
        """The bytes of a file; None where there is none."""
        copy = self.folder + "/copy"
        complaints = self.debugfs([f'dump "{path}" "{copy}"'])
        if complaints or not os.path.exists(copy):
            return None
        with open(copy, "rb") as file:
            data = file.read()
        os.remove(copy)
        return data

    def exists(self, path):
        _, out, _ = run_tool(["debugfs", "-R", f'stat "{path}"', self.device])
        return out.startswith(b"Inode:")

    def header(self):
        """What dumpe2fs tells of the file system, by name."""
        code, out, errors = run_tool(["dumpe2fs", "-h", self.device])
        if code != 0:
            raise DamagedImage(f"partition {ROOT_NAME} holds no whole ext4 file system: {errors.strip()[-200:]}")
        pairs = (line.split(":", 1) for line in out.decode(errors="replace").splitlines() if ":" in line)
        return {name.strip(): value.strip() for name, value in pairs}

    def free_bytes(self):
        header = self.header()
        return int(header["Free blocks"]) * int(header["Block size"])

    def require_clean(self, when):
        code, out, errors = run_tool(["e2fsck", "-fn", self.device])
        if code != 0:
            lines = (out.decode(errors="replace") + errors).strip().splitlines()
            raise DamagedImage(f"the file system of {ROOT_NAME} is damaged {when}: {'; '.join(lines[-4:])}")

    def add(self, entries):
        """Puts Entry objects in, folders on the way too. Raises DamagedImage with what debugfs said."""
        lines, made = [], set()
        for number, entry in enumerate(entries):
            for folder in reversed(list(parents(entry.path))):
                if folder not in made and not self.exists(folder):
                    lines += [f'mkdir "{folder}"'] + self.owned(folder, 0o040755)
                made.add(folder)
            present = self.exists(entry.path)
            if entry.kind == "folder":
                lines += ([] if present or entry.path in made else [f'mkdir "{entry.path}"'])
                lines += self.owned(entry.path, 0o040000 | entry.mode)
                made.add(entry.path)
                continue
            lines += [f'rm "{entry.path}"'] if present else []
            if entry.kind == "link":
                lines.append(f'symlink "{entry.path}" "{entry.content}"')
            else:
                source = f"{self.folder}/file{number}"
                with open(source, "wb") as file:
                    file.write(entry.content)
                lines += [f'write "{source}" "{entry.path}"'] + self.owned(entry.path, 0o100000 | entry.mode)
        complaints = self.debugfs(lines, writes=True)
        if complaints:
            raise DamagedImage(f"could not put the files into {ROOT_NAME}: {complaints[0]}")
        for entry in entries:
            if entry.kind == "file" and self.read(entry.path) != entry.content:
                raise DamagedImage(f"{entry.path} did not arrive whole in {ROOT_NAME}: is it full?")

    @staticmethod
    def owned(path, mode):
        """Everything belongs to root, whoever prepares the image."""
        return [f'set_inode_field "{path}" {field} {value}' for field, value in
                (("mode", f"0{mode:o}"), ("uid", 0), ("gid", 0))]


class Entry:
    """One file, folder or link to be put into the image."""

    def __init__(self, path, content=b"", mode=0o644, kind="file"):
        if '"' in path:
            raise WrongUse(f"{path}: a name with quotation marks cannot be put into an image")
        self.path, self.content, self.mode, self.kind = path, content, mode, kind

    def describe(self):
        if self.kind == "link":
            return f"{self.path} -> {self.content}"
        return self.path + ("/" if self.kind == "folder" else f" ({size_text(len(self.content))})")


def parents(path):
    """The folders above, deepest first, without the root."""
    folder = os.path.dirname(path)
    while folder not in ("/", ""):
        yield folder
        folder = os.path.dirname(folder)


class Image:
    """A raw image of a whole card with its root partition."""

    def __init__(self, path):
        self.path = path
        try:
            with open(path, "rb") as file:
                self.size = os.fstat(file.fileno()).st_size
                self.table = read_table(lambda offset, length: os.pread(file.fileno(), length, offset), 1, self.size)
        except DamagedImage as error:
            raise DamagedImage(f"{path}: {error}. It is not a card image that can be used.") from error
        found = [partition for partition in self.table.partitions if partition.name == ROOT_NAME]
        if len(found) != 1:
            names = ", ".join(partition.name or "(no name)" for partition in self.table.partitions)
            raise DamagedImage(f"{path}: has {len(found)} partitions named {ROOT_NAME}, which is to hold the system; "
                               f"its partitions: {names or 'none'}. Is it a JetPack image for an SD card?")
        self.root = found[0]
        self.file_system = FileSystem(path, self.root.offset)
        header = self.file_system.header()
        if int(header["Block count"]) * int(header["Block size"]) > self.root.size:
            raise DamagedImage(f"{path}: the file system of {ROOT_NAME} is larger than its partition")

    def require_arm(self):
        """Raises DamagedImage unless the system in it is one for 64-bit Arm."""
        for path in ("/lib/ld-linux-aarch64.so.1", "/bin/dash", "/usr/bin/dash", "/usr/bin/dpkg"):
            head = self.file_system.read(path) or b""
            if head[:4] == b"\x7fELF":
                machine = struct.unpack_from("<H", head, 18)[0]
                if machine != AARCH64:
                    raise DamagedImage(f"{self.path}: the system in it is not for 64-bit Arm (ELF machine {machine})")
                return
        # The loader is a link to a name with its version in older systems.
        if not self.file_system.exists("/lib/ld-linux-aarch64.so.1"):
            raise DamagedImage(f"{self.path}: no system for 64-bit Arm in partition {ROOT_NAME}")

    def installed_version(self, package):
        """The version of an installed Debian package; None where it is not installed."""
        status = (self.file_system.read("/var/lib/dpkg/status") or b"").decode(errors="replace")
        found = re.search(rf"^Package: {re.escape(package)}\n((?:.+\n)*)", status, re.M)
        version = re.search(r"^Version: (.+)$", found.group(1), re.M) if found else None
        return version.group(1) if version and "Status: install ok installed" in found.group(1) else None


def packing(path):
    """How the image is packed: "zip", "gzip", "xz", or "raw" where it is not."""
    with open(path, "rb") as file:
        head = file.read(8)
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    return "raw"


def open_packed(path, kind):
    if kind == "gzip":
        return gzip.open(path)
    if kind == "xz":
        return lzma.open(path)
    archive = zipfile.ZipFile(path)
    files = [item for item in archive.infolist() if not item.is_dir()]
    if len(files) != 1:
        raise WrongUse(f"{path}: holds {len(files)} files; an archive of exactly one image is wanted")
    return archive.open(files[0])


@contextlib.contextmanager
def unpacking(path):
    """Turns what an archive is found to be while it is read into DamagedImage."""
    try:
        yield
    except (zipfile.BadZipFile, EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
        raise DamagedImage(f"{path}: cannot be unpacked: {error}. Download it again.") from error


def copy_image(path, target):
    """A raw copy of an image, unpacked where it is packed, with holes for zeros. The checksums of the archive are
    tested on the way. Raises DamagedImage."""
    kind = packing(path)
    zeros = bytes(64 << 10)
    with unpacking(path), open(path, "rb") if kind == "raw" else open_packed(path, kind) as source:
        with open(target, "wb") as copy:
            while data := source.read(len(zeros)):
                if data == zeros:
                    copy.seek(len(data), os.SEEK_CUR)
                else:
                    copy.write(data)
            copy.truncate(copy.tell())


def require_space(folder, needed, what):
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Failure(f"{folder}: {size_text(free)} free, {size_text(needed)} needed for {what}; "
                      "another folder may be named by TMPDIR")


def needed_bytes(path):
    """What a copy of the image takes on a disk, as far as that can be told before. Raises DamagedImage."""
    kind = packing(path)
    if kind == "zip":
        with unpacking(path):
            return sum(item.file_size for item in zipfile.ZipFile(path).infolist())
    status = os.stat(path)
    return status.st_blocks * 512 if kind == "raw" else status.st_size

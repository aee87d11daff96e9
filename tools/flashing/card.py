"""Writing a card so that its last byte is known to be there, or the failure is."""
import errno
import fcntl
import mmap
import os
import secrets
import stat
import subprocess
import time

from flashing.errors import DamagedImage, DeviceFailure, size_text
from flashing.machine import AUTOMOUNTED
from flashing.partitions import SECTOR, fitted, read_table

CHUNK = 16 << 20  # bytes under way at once: what is not yet on the card is never more
MIB = 1 << 20
READ_TRIES = 3
BLKRRPART = 0x125F
BLKFLSBUF = 0x1261


class Card:
    """A disk that is open for this program alone. Offsets and lengths are multiples of a sector."""

    def __init__(self, path):
        self.path = path
        self.is_disk = stat.S_ISBLK(os.stat(path).st_mode)
        # The kernel grants O_EXCL of a disk only while nothing on it is mounted, and nobody can mount it then.
        self.descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_EXCL if self.is_disk else 0))
        self.size = os.lseek(self.descriptor, 0, os.SEEK_END)
        self.reader = self.open_reader()
        self.buffer = mmap.mmap(-1, CHUNK)  # whole pages, as reading past the cache wants them

    def open_reader(self):
        """A second descriptor, past the page cache; a plain one where the file system has no such thing."""
        try:
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL or self.is_disk:
                raise
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def write_at(self, offset, data):
        view = memoryview(data)
        while view:
            count = os.pwrite(self.descriptor, view, offset)
            if count == 0:
                raise OSError(errno.ENOSPC, "nothing was taken")
            offset, view = offset + count, view[count:]

    def sync(self):
        os.fsync(self.descriptor)

    def drop_cache(self):
        """What is read after this comes from the card."""
        if self.is_disk and os.geteuid() == 0:  # the reader goes past the cache without it as well
            fcntl.ioctl(self.descriptor, BLKFLSBUF)
        os.posix_fadvise(self.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def read_at(self, offset, length):
        """At most CHUNK bytes, from the card and not from memory."""
        done = 0
        whole = -(-length // SECTOR) * SECTOR
        while done < length:
            count = os.preadv(self.reader, [memoryview(self.buffer)[done:whole]], offset + done)
            if count == 0:
                break
            done += count
        return self.buffer[:min(done, length)]

    def reread_table(self):
        """Has the kernel look at the new partitions. Answers whether it did."""
        try:
            fcntl.ioctl(self.descriptor, BLKRRPART)
        except OSError:
            return False
        return True

    def close(self):
        os.close(self.reader)
        os.close(self.descriptor)


def open_exclusively(machine, name, card_type=Card):
    """Opens the disk; takes down what a desktop has mounted of it by itself in the meantime. Raises DeviceFailure."""
    path = f"{machine.root}/dev/{name}"
    for attempt in range(3):
        try:
            return card_type(path)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                raise DeviceFailure(f"/dev/{name} may not be written by this user: run tools/flash with sudo") from error
            points = machine.mount_points(name)
            if error.errno != errno.EBUSY or attempt == 2 or not all(p.startswith(AUTOMOUNTED) for p in points):
                raise DeviceFailure(f"/dev/{name} cannot be opened: {error.strerror}") from error
            for point in points:
                subprocess.run(["umount", point], check=False)
            time.sleep(1)
    raise AssertionError("unreachable")


def require_size(size, needed):
    if size < needed:
        raise DeviceFailure(f"the card is too small: it has {size} bytes ({size_text(size)}), the image needs {needed} "
                            f"({size_text(needed)}). Nothing was written. Take a larger one.")


class Writer:
    """One image onto one card. `show(text)` gets lines of progress; `card` is given open and left open."""

    def __init__(self, card, image, show):
        self.card = card
        self.image = image
        self.show = show
        self.has_begun = False  # something on the card has been changed
        self.size = os.stat(image.fileno()).st_size

    def read_image(self, offset, length):
        return os.pread(self.image.fileno(), length, offset)

    def run(self):
        """Writes and checks everything. Raises Failure; the card is then not to be used."""
        table = read_table(self.read_image, 1, self.size)
        self.require_space(table)
        pieces = fitted(table, self.card.size)
        head = bytearray(self.read_image(0, MIB))
        head[SECTOR:2 * SECTOR] = pieces[0][1]
        self.at("the test of its capacity", self.probe)
        # Until everything else is on it the card has no partition table: it cannot pass for a whole one.
        self.at("wiping its beginning", lambda: self.put(0, bytes(MIB)))
        self.write_body()
        self.at("writing the backup of its partition table", lambda: self.put_end(pieces))
        self.at("writing its partition table", lambda: self.put(0, bytes(head)))
        self.at("emptying the cache", self.card.drop_cache)
        self.check_body(head)
        self.check_tables(table, pieces)

    def at(self, what, action):
        try:
            return action()
        except OSError as error:
            raise DeviceFailure(f"the card failed at {what}: {error.strerror}") from error

    def put(self, offset, data):
        self.has_begun = True
        self.card.write_at(offset, data)
        self.card.sync()

    def require_space(self, table):
        # The backup of the table, 33 sectors, has its place behind the last partition.
        ends = [partition.offset + partition.size for partition in table.partitions]
        needed = max([self.size] + [end + 33 * SECTOR for end in ends])
        require_size(self.card.size, needed)

    def probe(self):
        """Writes the last MiB and others in between, then reads them back: a card that claims more than it has loses
        one of them or answers one for the other."""
        places = {0, self.card.size - MIB}
        place = 2 * MIB
        while place <= self.card.size:
            places.add(place - MIB)
            place *= 2
        places |= {self.card.size * eighth // 8 // MIB * MIB for eighth in range(1, 8)}
        patterns = {place: secrets.token_bytes(4096) * (MIB // 4096) for place in sorted(places, reverse=True)}
        for place, pattern in patterns.items():  # the last MiB first
            self.put(place, pattern)
        self.card.drop_cache()
        for place, pattern in patterns.items():
            if self.card.read_at(place, MIB) != pattern:
                raise DeviceFailure(
                    f"the card does not keep what is written at byte {place} of its {self.card.size}: it has less "
                    "memory than it claims (a fake), or is worn out. Take another card.")
        for place in patterns:
            self.put(place, bytes(MIB))

    def chunks(self):
        """The image behind its first MiB."""
        offset = MIB
        while offset < self.size:
            yield offset, min(CHUNK, self.size - offset)
            offset += CHUNK

    def write_body(self):
        started = time.monotonic()
        for offset, length in self.chunks():
            data = self.read_image(offset, length)
            if len(data) != length:
                raise DamagedImage(f"the image ended at byte {offset + len(data)} while it was read")
            self.at(f"byte {offset}", lambda offset=offset, data=data: self.put(offset, data))
            self.progress("on the card", offset + length, started)

    def progress(self, what, done, started):
        rate = done / max(time.monotonic() - started, 1e-3)
        self.show(f"{what}: {size_text(done)} of {size_text(self.size)}, {size_text(int(rate))}/s, "
                  f"{int((self.size - done) / rate)} s left", done == self.size)

    def put_end(self, pieces):
        # Old signatures at the card's end would be found before the new ones.
        if self.card.size - MIB >= self.size:
            self.put(self.card.size - MIB, bytes(MIB))
        for offset, data in pieces[1:]:
            self.put(offset, data)

    def check_body(self, head):
        """Reads everything back. The table's place at the end of an image as large as the card is checked later."""
        started = time.monotonic()
        end_of_image = min(self.size, self.card.size - 64 * SECTOR)
        self.compare(0, bytes(head))
        for offset, length in self.chunks():
            length = min(length, end_of_image - offset)
            if length > 0:
                self.compare(offset, self.read_image(offset, length))
            self.progress("read back", min(offset + CHUNK, self.size), started)

    def compare(self, offset, wanted):
        reason = ""
        for _ in range(READ_TRIES):
            try:
                found = self.card.read_at(offset, len(wanted))
            except OSError as error:
                reason = f"could not be read: {error.strerror}"
                continue
            if found == wanted:
                return
            at = next((i for i, (a, b) in enumerate(zip(found, wanted)) if a != b), len(found))
            reason = f"holds other bytes than were written, from byte {offset + at} on"
        raise DeviceFailure(f"the card is bad at byte {offset}: it {reason}. Take another card or reader.")

    def check_tables(self, table, pieces):
        for lba in (1, pieces[2][0] // SECTOR):
            try:
                found = read_table(self.card.read_at, lba, self.card.size)
            except (DamagedImage, OSError) as error:
                raise DeviceFailure(f"the card's partition table in sector {lba} is bad: {error}") from error
            if found.partitions != table.partitions:
                raise DeviceFailure(f"the card's partition table in sector {lba} is another one than was written")

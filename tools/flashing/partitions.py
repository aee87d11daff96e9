"""GUID partition tables: read, checked, and fitted to a card that is larger than the image."""
import dataclasses
import struct
import uuid
import zlib

from flashing.errors import DamagedImage

SECTOR = 512
# Signature, revision, header size, CRC of the header, reserved, own LBA, other copy's LBA, first and last usable LBA,
# disk's GUID, LBA of the entries, their count, size and CRC.
HEADER = struct.Struct("<8s4sIIIQQQQ16sQIII")
ENTRIES_MAX = 1 << 20  # bytes; real tables take 16 KiB


@dataclasses.dataclass
class Partition:
    number: int
    name: str
    offset: int  # bytes
    size: int  # bytes


@dataclasses.dataclass
class Table:
    fields: list  # of HEADER
    entries: bytes
    partitions: list


def read_table(read_at, lba, size):
    """The table whose header is in sector `lba` of something of `size` bytes; read_at(offset, length) answers bytes.
    Raises DamagedImage."""
    header = read_at(lba * SECTOR, SECTOR)
    fields = list(HEADER.unpack_from(header)) if len(header) == SECTOR else [b""]
    if fields[0] != b"EFI PART":
        raise DamagedImage("no GUID partition table (GPT)")
    length = fields[2]
    if not HEADER.size <= length <= SECTOR:
        raise DamagedImage("the partition table's header is damaged")
    if zlib.crc32(header[:16] + bytes(4) + header[20:length]) != fields[3] or fields[5] != lba:
        raise DamagedImage("the partition table's header is damaged (checksum)")
    count, entry_size = fields[11], fields[12]
    if entry_size < 128 or entry_size % 8 or not 0 < count * entry_size <= ENTRIES_MAX:
        raise DamagedImage("the partition table's header is damaged (entries)")
    entries = read_at(fields[10] * SECTOR, count * entry_size)
    if zlib.crc32(entries) != fields[13]:
        raise DamagedImage("the partition table's entries are damaged (checksum)")
    partitions = []
    for index in range(count):
        kind, _, first, last, _, name = struct.unpack_from("<16s16sQQQ72s", entries, index * entry_size)
        if kind == bytes(16):
            continue
        name = name.decode("utf-16-le", "replace").split("\0")[0]
        partition = Partition(index + 1, name, first * SECTOR, (last + 1 - first) * SECTOR)
        if last < first or partition.offset + partition.size > size:
            raise DamagedImage(
                f"partition {partition.number} ({name}) ends {partition.offset + partition.size - size} bytes behind "
                "the image's end: the image is truncated; download or unpack it again")
        partitions.append(partition)
    return Table(fields, entries, partitions)


def fitted(table, size):
    """The table for a disk of `size` bytes, as [(offset, bytes)]: the header of sector 1, then the backup's entries and
    header at the disk's end. The primary's entries stay where and what they are."""
    last_lba = size // SECTOR - 1
    entry_sectors = -(-len(table.entries) // SECTOR)
    backup_entries_lba = last_lba - entry_sectors

    def header(lba, other_lba, entries_lba):
        fields = list(table.fields)
        fields[3] = 0
        fields[5], fields[6], fields[8], fields[10] = lba, other_lba, backup_entries_lba - 1, entries_lba
        fields[2] = HEADER.size
        fields[3] = zlib.crc32(HEADER.pack(*fields))
        return HEADER.pack(*fields).ljust(SECTOR, b"\0")

    return [
        (SECTOR, header(1, last_lba, table.fields[10])),
        (backup_entries_lba * SECTOR, table.entries.ljust(entry_sectors * SECTOR, b"\0")),
        (last_lba * SECTOR, header(last_lba, 1, backup_entries_lba)),
    ]


def disk_identity(table):
    """The disk's GUID as text."""
    return str(uuid.UUID(bytes_le=table.fields[9]))

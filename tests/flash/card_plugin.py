"""A card as a plug-in of nbdkit: `size` is what it claims, `real` what it has (addresses wrap there), `fails` the byte
from which on nothing can be written, `flips` a byte of which it changes a bit."""
API_VERSION = 2
card = {"size": 64 << 20, "real": 0, "fails": 0, "flips": -1}
memory = bytearray()


def config(key, value):
    card[key] = int(value)


def config_complete():
    memory.extend(b"\xa5" * (card["real"] or card["size"]))


def open(readonly):
    return 0


def get_size(handle):
    return card["size"]


def pread(handle, buffer, offset, flags):
    for done in range(0, len(buffer), 512):
        place = (offset + done) % len(memory)
        buffer[done:done + 512] = memory[place:place + 512]


def pwrite(handle, buffer, offset, flags):
    if card["fails"] and offset + len(buffer) > card["fails"]:
        raise OSError(5, "Input/output error")
    for done in range(0, len(buffer), 512):
        place = (offset + done) % len(memory)
        memory[place:place + 512] = buffer[done:done + 512]
    if offset <= card["flips"] < offset + len(buffer):
        memory[card["flips"]] ^= 1


def flush(handle, flags):
    pass

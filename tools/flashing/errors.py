"""How a step of tools/flash or tools/deploy fails: a sentence for the user, and the exit code."""


class Failure(Exception):
    """What happened, where, and what to do."""

    exit_code = 1


class DamagedImage(Failure):
    """The image, or what is to go on it, is not what it should be."""


class WrongUse(Failure):
    """Refused, or asked for what cannot be."""

    exit_code = 2


class DeviceFailure(Failure):
    """The card, the disk or the connection did not do what it was told."""

    exit_code = 3


def size_text(count):
    """A number of bytes as people read it: 31.9 GB."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"

"""What goes into an image: the package, its service at the first start, and what the user asked for."""
import hashlib
import os
import re

from flashing.errors import WrongUse
from flashing.image import Entry

FOLDER = "/var/lib/instep/first-boot"
UNITS = "/etc/systemd/system"
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "first_boot")

ROBOTS = {
    "create_mover": "TASK=create_mover\nDEVICE=/dev/instep-create2\n",
    "ur_reacher2": "TASK=ur_reacher2\n",
}


def source(name):
    with open(os.path.join(SOURCES, name), "rb") as file:
        return file.read()


def package_entries(file_system, deb):
    """The package and the service that installs it."""
    unit = "instep-first-boot.service"
    entries = [
        Entry(FOLDER, kind="folder", mode=0o755),
        Entry(FOLDER + "/instep.deb", deb),
        Entry(FOLDER + "/first-boot.sh", source("first-boot.sh"), 0o755),
        Entry(f"{UNITS}/{unit}", source(unit)),
        Entry(f"{UNITS}/multi-user.target.wants/{unit}", f"{UNITS}/{unit}", kind="link"),
    ]
    # A JetPack that waits for somebody to answer its first questions does not get as far as multi-user.target.
    questions = "nv-oem-config.target"
    if any(file_system.exists(f"{folder}/{questions}") for folder in (UNITS, "/lib/systemd/system")):
        entries.append(Entry(f"{UNITS}/{questions}.wants/{unit}", f"{UNITS}/{unit}", kind="link"))
    return entries


def robot_entries(robot):
    """Of "create_mover", "ur_reacher2" or "ur_reacher2:ADDRESS"."""
    name, _, address = robot.partition(":")
    if name not in ROBOTS or (address and name != "ur_reacher2"):
        raise WrongUse(f"--robot {robot}: give create_mover, ur_reacher2 or ur_reacher2:ADDRESS")
    if address and not re.fullmatch(r"[A-Za-z0-9.:-]+", address):
        raise WrongUse(f"--robot {robot}: {address} is no address")
    text = "# Written by tools/flash; /usr/share/doc/instep/examples/robot.conf explains every line.\n" + ROBOTS[name]
    if name == "ur_reacher2":
        text += f"DEVICE={address}\n" if address else "# The address of the arm's controller:\n#DEVICE=192.168.1.10\n"
    return [Entry("/etc/instep", kind="folder", mode=0o755), Entry("/etc/instep/robot.conf", text.encode())]


def hostname_entries(file_system, hostname):
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", hostname):
        raise WrongUse(f"--hostname {hostname}: at most 63 small letters, digits and hyphens, no hyphen at the ends")
    hosts = (file_system.read("/etc/hosts") or b"127.0.0.1 localhost\n").decode(errors="replace")
    hosts = re.sub(r"^127\.0\.1\.1\s.*\n?", "", hosts, flags=re.M)
    hosts += ("" if hosts.endswith("\n") else "\n") + f"127.0.1.1 {hostname}\n"
    return [Entry("/etc/hostname", (hostname + "\n").encode()), Entry("/etc/hosts", hosts.encode())]


def wifi_entries(file_system, ssid, password):
    """A connection of NetworkManager; with the key that the password makes, not the password."""
    if not file_system.exists("/etc/NetworkManager"):
        raise WrongUse("--wifi: the system in the image has no NetworkManager; set its network up another way")
    name = ssid.encode()
    if not 1 <= len(name) <= 32:
        raise WrongUse("--wifi: a network's name has 1 to 32 bytes")
    text = ("[connection]\nid=instep-wifi\ntype=wifi\nautoconnect=true\n\n[wifi]\nmode=infrastructure\n"
            "ssid=" + "".join(f"{byte};" for byte in name) + "\n")
    if password:
        if not 8 <= len(password.encode()) <= 63:
            raise WrongUse("--wifi: a network's password has 8 to 63 characters")
        key = hashlib.pbkdf2_hmac("sha1", password.encode(), name, 4096, 32).hex()
        text += f"\n[wifi-security]\nkey-mgmt=wpa-psk\npsk={key}\n"
    text += "\n[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n"
    path = "/etc/NetworkManager/system-connections/instep-wifi.nmconnection"
    return [Entry(path, text.encode(), 0o600)]


def ssh_entries(file_system, key_path):
    """The key may log in as root, the one user that every image has before its first start."""
    try:
        with open(key_path, encoding="utf-8", errors="replace") as file:
            key = file.read().strip()
    except OSError as error:
        raise WrongUse(f"--ssh-key {key_path}: {error.strerror}") from error
    if "PRIVATE KEY" in key:
        raise WrongUse(f"--ssh-key {key_path}: is a private key; give the public one, {key_path}.pub")
    if not re.match(r"(ssh|ecdsa|sk)-\S+ \S+", key) or "\n" in key:
        raise WrongUse(f"--ssh-key {key_path}: is no public key of ssh")
    path = "/root/.ssh/authorized_keys"
    present = (file_system.read(path) or b"").decode(errors="replace")
    lines = [line for line in present.splitlines() if line.strip() and line != key] + [key]
    return [Entry("/root/.ssh", kind="folder", mode=0o700), Entry(path, ("\n".join(lines) + "\n").encode(), 0o600)]

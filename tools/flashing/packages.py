"""The Debian package of instep that fits a system."""
import glob
import os
import re
import subprocess

from flashing.errors import DamagedImage, Failure, WrongUse

SOURCE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def run(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, LC_ALL="C"), check=False)
    except FileNotFoundError as error:
        raise Failure(f"{command[0]} is missing. Debian and Ubuntu have it; elsewhere: package dpkg") from error


def read(path):
    """(fields of its control file, bytes). Raises DamagedImage."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise WrongUse(f"--deb {path}: {error.strerror}") from error
    shown = run(["dpkg-deb", "--field", path])
    if shown.returncode != 0:
        raise DamagedImage(f"{path}: is no Debian package: {shown.stderr.strip()}")
    return dict(re.findall(r"^([A-Za-z-]+): (.*)$", shown.stdout, re.M)), data


def choose(wanted, found_release, target="aarch64"):
    """The package that was named, or the newest that was built for this release; for `target`, as tools/cross calls
    it, where the system is no JetPack."""
    if wanted:
        return wanted
    target = found_release.target() if found_release else target
    if target is None:
        raise WrongUse(f"{found_release.jetpack()} is not known here: name the package with --deb FILE")
    folder = {"aarch64": "aarch64", "amd64": "release"}.get(target, f"jetson-{target}")
    architecture = "amd64" if target == "amd64" else "arm64"
    found = sorted(glob.glob(f"{SOURCE_ROOT}/build/{folder}/instep_*_{architecture}.deb"), key=os.path.getmtime)
    if not found:
        raise WrongUse(f"no package for it in build/{folder}: make it with tools/cross {target} --no-tests, or name one "
                       "with --deb FILE")
    return found[-1]


def is_older(have, wanted):
    return run(["dpkg", "--compare-versions", have, "lt", wanted]).returncode == 0


def unmet(fields, installed_version):
    """The dependencies of a package that are not met; installed_version(name) answers a version or None."""
    missing = []
    for dependency in filter(None, (part.strip() for part in fields.get("Depends", "").split(","))):
        choices = re.findall(r"([a-z0-9][a-z0-9.+-]+)(?:\s*\(>= ([^)]+)\))?", dependency)
        met = False
        for name, version in choices:
            have = installed_version(name)
            met = met or (have is not None and not (version and is_older(have, version)))
        if not met:
            missing.append(f"{dependency} (there: {installed_version(choices[0][0]) or 'none'})")
    return missing

"""What a JetPack release needs: the package that runs on it, and firmware in the module's own flash."""
import dataclasses
import re

from flashing.errors import DamagedImage

JETPACKS = {32: "JetPack 4", 35: "JetPack 5", 36: "JetPack 6", 38: "JetPack 7", 39: "JetPack 7"}
# L4T 39 is for several modules, and Thor runs what is built for Orin.
TARGETS = {32: "nano", 35: "orin", 36: "orin", 38: "thor", 39: "orin"}

EMMC = """\
A module with eMMC (sold for products, without a slot for a card) does not start from this card. It is flashed over USB
in recovery mode by NVIDIA's SDK Manager or flash.sh (the Nano's: flash.sh jetson-nano-emmc mmcblk0p1), and gets instep
over the network afterwards: tools/deploy USER@HOST."""


@dataclasses.dataclass
class Release:
    major: int
    revision: str

    def jetpack(self):
        return f"{JETPACKS.get(self.major, 'an unknown JetPack')} (L4T {self.major}.{self.revision})"

    def target(self):
        """What tools/cross calls the package for it; None of an unknown release."""
        return TARGETS.get(self.major)

    def firmware(self):
        """Which firmware the module needs, and what to do where it has another."""
        exact = self.major >= 38
        wanted = f"L4T {self.major}.{self.revision}, exactly" if exact else f"L4T {self.major} (any {self.major}.x)"
        return (f"The module's own flash (QSPI) must hold the firmware of {wanted}. A kit with another one stays at "
                "NVIDIA's logo: update it as NVIDIA's page of this JetPack says, with SDK Manager or flash.sh in "
                "recovery mode. The first start writes both versions to /var/lib/instep/first-boot/versions.")


def parse_release(text):
    """Of the text of /etc/nv_tegra_release. Raises DamagedImage where it says something else."""
    found = re.match(r"#\s*R(\d+) \(release\), REVISION: ([0-9.]+)", text)
    if not found:
        raise DamagedImage(f"/etc/nv_tegra_release is not understood: {text[:60]!r}")
    return Release(int(found.group(1)), found.group(2))

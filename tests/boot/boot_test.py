"""boot_test.py SOURCE_DIR DEB SCRATCH_DIR: a card that tools/flash has prepared starts a computer.

An arm64 Debian on an image laid out as JetPack's, with the package put in by tools/flash, is started in qemu-system.
Seen on its serial console: the package installs itself, the robot's service waits for a robot that is attached late,
learns with its rights, goes on after SIGKILL, and after the machine is stopped hard, from its checkpoint.
Needs root (for the image's owners), qemu-system-aarch64, mmdebstrap and a kernel that starts arm64 programs; exits with
77 where it cannot be tried. The first time it downloads a Debian."""
import os
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
SOURCE, DEB, SCRATCH = sys.argv[1:4]
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, f"{SOURCE}/tests/flash")
import made_up  # noqa: E402

PACKAGES = "systemd-sysv,udev,dbus,kmod,iproute2,adduser,libstdc++6,linux-image-cloud-arm64,initramfs-tools"
APP_MIB = 1400
START = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - START:4.0f} s] {text}", flush=True)


def may_start_arm_programs():
    """Has the kernel hand programs for arm64 to qemu-user; systemd does so at its start, a container may not have."""
    folder, rule = "/proc/sys/fs/binfmt_misc", "/usr/lib/binfmt.d/qemu-aarch64.conf"
    if not os.path.exists(f"{folder}/register"):
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", folder], capture_output=True, check=False)
    if not os.path.exists(f"{folder}/qemu-aarch64") and os.path.exists(rule) and os.path.exists(f"{folder}/register"):
        with open(rule, "rb") as text, open(f"{folder}/register", "wb", buffering=0) as register:
            register.write(text.read())
    return os.path.exists(f"{folder}/qemu-aarch64")


def require():
    """Exits where the test cannot be made."""
    missing = [tool for tool in ("qemu-system-aarch64", "mmdebstrap", "arch-test") if not made_up.which(tool)]
    if os.geteuid() != 0:
        missing.append("root")
    if not missing and not may_start_arm_programs():
        missing.append("a kernel that starts arm64 programs by qemu-user (binfmt_misc)")
    if missing or not made_up.tools_are_there():
        print(f"skipped: needs {', '.join(missing) or 'e2fsprogs, sfdisk and dpkg-deb'}")
        sys.exit(made_up.SKIP)
    if not os.path.exists(DEB):
        print(f"skipped: {DEB} is not there; make it with tools/cross aarch64")
        sys.exit(made_up.SKIP)


def make_image():
    """The image of a card, and beside it the kernel that the emulated machine is started with."""
    archive = f"{SCRATCH}/debian-boot-arm64.tar"
    if not os.path.exists(archive):
        say("making a Debian for arm64")
        unfinished = f"{SCRATCH}/unfinished.tar"  # the end of its name says that it is to be an archive
        made_up.run(["mmdebstrap", "--mode=root", "--architectures=arm64", "--variant=minbase", f"--include={PACKAGES}",
                     "bookworm", unfinished])
        os.rename(unfinished, archive)
    root = f"{SCRATCH}/root"
    shutil.rmtree(root, ignore_errors=True)
    os.mkdir(root)
    made_up.run(["tar", "-C", root, "--numeric-owner", "-xf", archive])
    for kind, name in (("vmlinuz", "kernel"), ("initrd.img", "initrd")):
        found = sorted(file for file in os.listdir(f"{root}/boot") if file.startswith(kind + "-"))
        shutil.copyfile(f"{root}/boot/{found[-1]}", f"{SCRATCH}/{name}")
    units = f"{root}/etc/systemd/system"
    for unit in ("boot-report.service", "robot-simulator.service"):
        shutil.copyfile(f"{HERE}/{unit}", f"{units}/{unit}")
        os.symlink(f"../{unit}", f"{units}/multi-user.target.wants/{unit}")
    shutil.copyfile(f"{HERE}/boot-report.sh", f"{root}/usr/local/lib/boot-report.sh")
    # An emulated processor is some thirty times slower than the real one: a smaller network.
    made_up.write(f"{units}/instep@robot.service.d/emulated.conf",
                  "[Service]\nEnvironment='OPTIONS=--set hidden=16 --set checkpoint_every=50'\nStandardOutput=journal+console\n"
                  "StandardError=journal+console\n")
    made_up.write(f"{root}/etc/hostname", "unnamed\n")
    image = made_up.make_image(f"{SCRATCH}/card.img", SCRATCH, app_mib=APP_MIB, folder=root)
    shutil.rmtree(root)
    return image


def flash(image):
    """What a user would do. Answers the prepared image."""
    prepared = f"{SCRATCH}/card.instep.img"
    if os.path.exists(prepared):
        os.remove(prepared)
    done = subprocess.run([f"{SOURCE}/tools/flash", image, "--deb", DEB, "--robot", "create_mover", "--hostname", "robot-7",
                           "--write"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"tools/flash failed: {done.stdout}{done.stderr}")
    os.remove(image)
    return prepared


class Computer:
    """The emulated machine, and what its serial console has said since it was started."""

    def __init__(self, disk, log):
        self.log = open(log, "w+b")
        self.process = subprocess.Popen(
            ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57", "-smp", "2", "-m", "1024", "-nographic", "-nic", "none",
             "-kernel", f"{SCRATCH}/kernel", "-initrd", f"{SCRATCH}/initrd",
             "-append", "root=PARTLABEL=APP rw console=ttyAMA0 systemd.show_status=1 quiet",
             "-drive", f"file={disk},format=raw,if=none,id=card,cache=writethrough", "-device", "virtio-blk-pci,drive=card"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)

    def text(self):
        return os.pread(self.log.fileno(), 1 << 24, 0).decode(errors="replace").replace("\r", "")

    def wait_for(self, what, seconds, is_there):
        """Answers what `is_there(text)` answers once that is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = is_there(self.text())
            if found:
                say(what)
                return found
            if self.process.poll() is not None:
                break
            time.sleep(1)
        self.stop_hard()
        sys.exit(f"not within {seconds} s: {what}\n" + "\n".join(self.text().splitlines()[-60:]))

    def stop_hard(self):
        """As when the plug is pulled: what the machine had not written is lost."""
        self.process.kill()
        self.process.wait()


def reports(text):
    """[(step, restarts, the whole line)] of a service that is active."""
    return [(int(found[1]), int(found[2]), found[0]) for found in
            re.finditer(r"boot-report: state active step (\d+) restarts (\d+) process [1-9]\d* .*", text)]


def learns_beyond(step):
    return lambda text: next((found for found in reports(text) if found[0] > step), None)


def main():
    require()
    os.makedirs(SCRATCH, exist_ok=True)
    prepared = flash(make_image())
    say("the image is prepared; first start")
    computer = Computer(prepared, f"{SCRATCH}/console-1.log")
    computer.wait_for("the package has installed itself", 400, lambda text: "instep first boot: installed instep" in text)
    computer.wait_for("doctor has written its findings", 120, lambda text: "/first-boot/doctor" in text)
    computer.wait_for("first boot is done", 120, lambda text: "instep first boot: done" in text)
    first = computer.wait_for("the robot was attached, and the service learns", 400, learns_beyond(0))
    say(first[2])
    for right in (r"fifo_threads [2-9]", "user instep", "locked unlimited"):
        if not re.search(right, first[2]):
            computer.stop_hard()
            sys.exit(f"the service lacks {right}: {first[2]}")
    killed = computer.wait_for("its program is killed", 400, lambda text: re.search(r"killed process \d+ at step (\d+)", text))
    after = computer.wait_for("it goes on after that", 400, lambda text: next(
        (found for found in reports(text[killed.end():]) if found[0] > int(killed[1]) and found[1] >= 1), None))
    say(after[2])
    computer.stop_hard()
    last = reports(computer.text())[-1][0]
    say(f"the machine was stopped hard at step {last}; second start")

    computer = Computer(prepared, f"{SCRATCH}/console-2.log")
    again = computer.wait_for("the service learns again", 400, learns_beyond(0))
    say(again[2])
    further = computer.wait_for("it goes on beyond where it was", 400, learns_beyond(last))
    say(further[2])
    text = computer.text()
    computer.stop_hard()
    if again[0] < last - 1000:
        sys.exit(f"it began anew: step {again[0]} after {last}")
    if "instep first boot" in text:
        sys.exit("the first start was repeated")
    if "robot-7 login" not in text:
        sys.exit("the machine is not called robot-7")
    os.remove(prepared)
    say("done")


if __name__ == "__main__":
    main()

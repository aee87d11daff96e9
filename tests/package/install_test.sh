# install_test.sh ARCHITECTURE DEB SCRATCH
# In a Debian with nothing but the package's dependencies (and, where nothing is emulated, systemd): the package
# installs, its user learns with it, an upgrade keeps what was learnt and what was enabled, and purging leaves
# nothing. Exits with 77 where this cannot be tried.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/debian.sh"
architecture=$1 deb=$2 scratch=$3
may_try "$deb"
[[ $architecture == "$(dpkg --print-architecture)" || -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]] ||
  skip "needs a kernel that starts $architecture by qemu-user (binfmt_misc)"
root=$(unpack_debian "$architecture" "$deb" "$scratch")
trap 'umount "$root/proc" || true; rm -rf --one-file-system "$root"' EXIT
mount -t proc proc "$root/proc"

inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"; }
files() {
  # The databases of packages and users keep a copy of what they were; logs grow; /run ends with the machine.
  find "$root" -xdev -path "$root/proc" -prune -o \( -type f -o -type l -o -type d \) -printf '/%P\n' |
    grep -vE '^/(run/|var/(lib/dpkg|log|cache)|etc/(passwd|group|shadow|gshadow|subuid|subgid)-)' | sort
}

files >"$scratch/before"
copy_packages "$deb" "$root"
inside dpkg --install /instep.deb
inside instep --version

# As systemd would start it, with the folder that it would make.
inside install -d -o instep -g instep /var/lib/instep /var/lib/instep/lab /tmp/whole
inside cp /usr/share/doc/instep/examples/robot.conf /etc/instep/lab.conf
as_robot() { inside runuser -u instep -- env TASK=dot_reacher OPTIONS='--seed 1 --set hidden=64' "$@"; }
as_robot STEPS=2000 /usr/lib/instep/run-robot lab
[[ $(inside stat -c %U /var/lib/instep/lab/checkpoint) == instep ]] || fail "the run is not the user's own"

link=/etc/systemd/system/multi-user.target.wants/instep@lab.service
if inside test -e /usr/bin/systemctl; then
  inside systemctl enable instep@lab
  inside systemd-analyze verify --man=no /lib/systemd/system/instep@.service
  [[ -L $root$link ]] || fail "not enabled"
fi

inside dpkg --install /later.deb
inside dpkg-query --show instep | grep -F +later
[[ ! -e $root/usr/bin/systemctl || -L $root$link ]] || fail "the upgrade disabled the service"
as_robot STEPS=3000 /usr/lib/instep/run-robot lab
as_robot instep train dot_reacher --seed 1 --set hidden=64 --steps 3000 --out /tmp/whole
inside instep compare /var/lib/instep/lab /tmp/whole

inside dpkg --remove instep
[[ ! -e $root/usr/bin/instep && -e $root/var/lib/instep/lab/checkpoint ]] || fail "removing took the run along"
inside dpkg --purge instep
! inside getent passwd instep || fail "the user is left"
! inside getent group instep || fail "the group is left"
rm -r "$root/instep.deb" "$root/later.deb" "$root/tmp/whole"
files >"$scratch/after"
diff "$scratch/before" "$scratch/after" || fail "purging leaves this"

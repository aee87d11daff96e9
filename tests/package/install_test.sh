# install_test.sh ARCHITECTURE DEB SCRATCH
# In a Debian with nothing but the package's dependencies (and, where nothing is emulated, systemd): the package
# installs, its user learns with it, an upgrade keeps what was learnt and what was enabled, and purging leaves
# nothing. Exits with 77 where this cannot be tried.
set -euo pipefail
export LC_ALL=C
architecture=$1 deb=$2 scratch=$3
[[ $EUID -eq 0 ]] || { echo "skipped: needs root"; exit 77; }
command -v mmdebstrap >/dev/null || { echo "skipped: needs mmdebstrap"; exit 77; }
[[ -e $deb ]] || { echo "skipped: $deb is not there; make it with cpack"; exit 77; }

dependencies=$(dpkg-deb --field "$deb" Depends | sed 's/([^)]*)//g; s/|[^,]*//g' | tr -d ' ')
[[ $architecture != "$(dpkg --print-architecture)" ]] || dependencies+=,systemd
image=$scratch/debian-$architecture.tar
[[ -e $image ]] || mmdebstrap --mode=root --architectures="$architecture" --variant=minbase \
  --include="$dependencies" bookworm "$image"

root=$(mktemp -d "$scratch/root.XXXXXX")
trap 'umount "$root/proc" || true; rm -rf --one-file-system "$root"' EXIT
tar -C "$root" -xf "$image"
mount -t proc proc "$root/proc"

inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"; }
files() {
  # The databases of packages and users keep a copy of what they were; logs grow; /run ends with the machine.
  find "$root" -xdev -path "$root/proc" -prune -o \( -type f -o -type l -o -type d \) -printf '/%P\n' |
    grep -vE '^/(run/|var/(lib/dpkg|log|cache)|etc/(passwd|group|shadow|gshadow|subuid|subgid)-)' | sort
}
fail() {
  echo "$*"
  exit 1
}

files >"$scratch/before"
cp "$deb" "$root/instep.deb"
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

# The same package under a later version.
dpkg-deb --raw-extract "$deb" "$root/later"
sed -i 's/^Version: .*/&+later/' "$root/later/DEBIAN/control"
dpkg-deb --root-owner-group --build "$root/later" "$root/later.deb" >/dev/null
rm -r "$root/later"
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

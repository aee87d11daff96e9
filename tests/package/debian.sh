# Sourced by the tests that try the package in a Debian of its own.
export LC_ALL=C
shopt -s inherit_errexit # a Debian that cannot be made ends the test

skip() {
  echo "skipped: $*"
  exit 77
}
fail() {
  echo "$*"
  exit 1
}

# may_try DEB COMMAND...: root, the package and these commands are there.
may_try() {
  local command
  [[ $EUID -eq 0 ]] || skip "needs root"
  [[ -e $1 ]] || skip "$1 is not there; make it with cpack"
  for command in mmdebstrap "${@:2}"; do
    command -v "$command" >/dev/null || skip "needs $command"
  done
}

# unpack_debian ARCHITECTURE DEB SCRATCH: a Debian with nothing but what the package depends on and, where nothing is
# emulated, systemd. Answers its folder; the image it comes from is kept for the next time.
unpack_debian() {
  local architecture=$1 deb=$2 scratch=$3 suite=bookworm depends libc dependencies image root
  depends=$(dpkg-deb --field "$deb" Depends)
  # Debian 12 has glibc 2.36. Thor's package needs that of Ubuntu 24.04, which Debian 13 can stand in for.
  libc=$(sed -n 's/.*libc6 (>= \([0-9.]*\)).*/\1/p' <<<"$depends")
  ! dpkg --compare-versions "$libc" gt 2.36 || suite=trixie
  dependencies=$(sed 's/([^)]*)//g; s/|[^,]*//g' <<<"$depends" | tr -d ' ')
  [[ $architecture != "$(dpkg --print-architecture)" ]] || dependencies+=,systemd
  image=$scratch/debian-$suite-$architecture.tar
  [[ -e $image ]] || mmdebstrap --mode=root --architectures="$architecture" --variant=minbase \
    --include="$dependencies" "$suite" "$image" >&2
  root=$(mktemp -d "$scratch/root.XXXXXX")
  tar -C "$root" -xf "$image"
  echo "$root"
}

# copy_packages DEB ROOT: the package as /instep.deb, and the same under a later version as /later.deb.
copy_packages() {
  cp "$1" "$2/instep.deb"
  dpkg-deb --raw-extract "$1" "$2/later"
  sed -i 's/^Version: .*/&+later/' "$2/later/DEBIAN/control"
  dpkg-deb --root-owner-group --build "$2/later" "$2/later.deb" >/dev/null
  rm -r "$2/later"
}

# The Debian packages this project needs, and the one place that installs them. Sourced by tools/learn
# and tools/check, not run by itself.

# Names hold for Debian 12. Those of Ubuntu 24.04 should be the same but have not been tried there.
packages_needed=(
  g++ cmake ninja-build
  libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libxxhash-dev
  libgtest-dev libgmock-dev libeigen3-dev
  python3 patch # for tests that follow the documents
  valgrind # counts instructions
  locales # for tests where numbers are written with commas
)
# Without it everything builds, but the MuJoCo tasks are missing. Not every release has a package of it.
package_mujoco=libmujoco-dev

stage() { printf '==> %s\n' "$*"; }

fail() {
  printf 'tools/%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

package_installed() {
  [[ " $(dpkg-query --show --showformat='${db:Status-Status} ' "$1" 2>/dev/null)" == *" installed "* ]]
}

package_known() { [[ -n $(apt-cache show "$1" 2>/dev/null) ]]; }

may_install() { [[ $EUID -eq 0 ]] || command -v sudo >/dev/null; }

have_package_lists() { compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; }

# Runs apt-get as root, through sudo where need be, and again while something else is installing packages, for ten
# minutes. What dpkg tells of each package goes to standard output even with -qq, and is left out; errors come on the
# other one, as long as dpkg has no terminal of its own.
apt_get() {
  local command=(env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -qq --option Dpkg::Use-Pty=0 "$@")
  local errors status try
  if [[ $EUID -ne 0 ]]; then
    command=(sudo "${command[@]}")
  fi
  for ((try = 0; try < 120; ++try)); do
    status=0
    { errors=$("${command[@]}" 2>&1 >&3 3>&-) || status=$?; } 3>/dev/null
    [[ $status -ne 0 && $errors == *'Could not get lock'* ]] || break
    [[ $try -ne 0 ]] || stage "waiting: something else is installing packages"
    sleep 5
  done
  [[ -z $errors ]] || printf '%s\n' "$errors" >&2
  return "$status"
}

# Installs what is missing; touches neither the network nor sudo when nothing is.
install_packages() {
  local package missing=()
  if ! command -v apt-get >/dev/null; then
    stage "no apt here: taking for granted what these Debian packages hold: ${packages_needed[*]}"
    return
  fi
  for package in "${packages_needed[@]}" "$package_mujoco"; do
    package_installed "$package" || missing+=("$package")
  done
  # MuJoCo alone is not worth an error, nor a look at the network where this release is known to lack it.
  if [[ ${missing[*]} == "$package_mujoco" ]] &&
    { ! may_install || { have_package_lists && ! package_known "$package_mujoco"; }; }; then
    missing=()
  fi
  if [[ ${#missing[@]} -eq 0 ]]; then
    stage "packages: nothing to install"
  else
    may_install || fail "packages are missing; install them as root: apt-get install ${missing[*]}"
    stage "installing ${missing[*]}"
    # One broken repository of many does not matter where the others have what is missing.
    local hint=
    apt_get update || {
      hint="; apt-get update had failed before: no network, no right to install, or a broken repository, named above"
      stage "apt-get update failed: trying with the lists of packages that are there"
    }
    local available=()
    for package in "${missing[@]}"; do
      if [[ $package != "$package_mujoco" ]] || package_known "$package"; then
        available+=("$package")
      fi
    done
    if [[ ${#available[@]} -gt 0 ]]; then
      apt_get install --yes --no-install-recommends "${available[@]}" ||
        fail "could not install ${available[*]}$hint"
    fi
  fi
  package_installed "$package_mujoco" ||
    stage "no package $package_mujoco: unless MuJoCo is installed by hand, its tasks will be missing"
}

# Called through sudo, only the packages need root: the build and the runs shall belong to the caller,
# who then goes on by itself, unless the source tree is not theirs to write to.
leave_sudo() {
  if [[ $EUID -eq 0 && ${SUDO_UID:-0} -ne 0 ]] && sudo -u "#$SUDO_UID" test -w "$root"; then
    exec sudo -u "#$SUDO_UID" -- "$root/tools/${0##*/}" "$@"
  fi
}

# packages_test.sh SOURCE_DIR SCRATCH_DIR
# tools/packages.sh where apt is busy, a repository is broken, or nothing can be installed. apt and its like are scripts.
set -euo pipefail
source_dir=$1 scratch=$2
rm -rf "$scratch" && mkdir -p "$scratch/bin"
status=0

stub() { printf '#!/bin/sh\n%s\n' "$2" >"$scratch/bin/$1" && chmod +x "$scratch/bin/$1"; }
# shellcheck disable=SC2016 # the stubs' own variables
{
  stub dpkg-query '[ -e "$STATE/installed" ] && printf "installed "'
  stub apt-cache 'echo Package: x'
  stub sudo 'exec "$@"'
  stub sleep 'echo . >>"$STATE/slept"'
  stub apt-get 'echo "$@" >>"$STATE/calls"
echo "noise of dpkg"
case "$*" in *update*) kind=update ;; *) kind=install ;; esac
if [ -e "$STATE/locked" ] && [ "$(wc -l <"$STATE/calls")" -le "$(cat "$STATE/locked")" ]; then
  echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 42 (apt-get)" >&2
  exit 100
fi
if [ -e "$STATE/broken-$kind" ]; then
  echo "E: The repository of $kind is broken" >&2
  exit 100
fi
[ "$kind" = update ] || : >"$STATE/installed"'
}

# try NAME EXIT_CODE TEXT...: what is said holds each text.
try() {
  local name=$1 wanted=$2 code=0 text
  shift 2
  STATE=$scratch/state PATH=$scratch/bin:$PATH bash -c 'set -euo pipefail; source "$1/tools/packages.sh"; install_packages' \
    try "$source_dir" >"$scratch/log" 2>&1 || code=$?
  [[ $code -eq $wanted ]] || { echo "wrong: $name: exit code $code" && cat "$scratch/log" && status=1; }
  for text in "$@"; do
    grep -qF -- "$text" "$scratch/log" || { echo "wrong: $name: no '$text'" && cat "$scratch/log" && status=1; }
  done
  if grep -q noise "$scratch/log"; then echo "wrong: $name: dpkg's noise" && status=1; fi
}
fresh() { rm -rf "$scratch/state" && mkdir "$scratch/state"; }

fresh
try plain 0 "installing"
[[ ! -e $scratch/state/slept ]] || { echo "wrong: waits for nothing" && status=1; }
try again 0 "nothing to install"
fresh && echo 3 >"$scratch/state/locked"
try locked 0 "waiting: something else is installing"
[[ $(grep -c . "$scratch/state/slept") -eq 3 ]] || { echo "wrong: does not wait thrice" && status=1; }
[[ $(grep -c waiting "$scratch/log") -eq 1 ]] || { echo "wrong: says so more than once" && status=1; }
fresh && echo 100000 >"$scratch/state/locked"
try "locked for ever" 1 "held by process 42"
fresh && : >"$scratch/state/broken-update"
try "a broken repository" 0 "repository of update is broken" "trying with the lists"
fresh && : >"$scratch/state/broken-update" && : >"$scratch/state/broken-install"
try "no network" 1 "could not install" "apt-get update had failed before"
fresh && : >"$scratch/state/broken-install"
try "no such package" 1 "could not install"
if grep -q 'had failed before' "$scratch/log"; then echo "wrong: blames the update" && status=1; fi
exit $status

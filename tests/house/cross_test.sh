# cross_test.sh SOURCE_DIR SCRATCH_DIR
# tools/cross without HOME, and what it says at its end: how to install what it has made. What it starts are scripts.
set -euo pipefail
source_dir=$1 scratch=$2
rm -rf "$scratch" && mkdir -p "$scratch/bin" "$scratch/tree/build" "$scratch/home"
cp -r "$source_dir/tools" "$scratch/tree/"
status=0
wrong() {
  echo "wrong: $*"
  cat "$scratch/log"
  status=1
}

stub() { printf '#!/bin/sh\n%s\n' "$2" >"$scratch/bin/$1" && chmod +x "$scratch/bin/$1"; }
# shellcheck disable=SC2016 # the stubs' own variables
{
  stub dpkg-query 'printf "installed "'
  stub apt-get 'exit 1'
  stub getent 'echo "root:x:0:0:root:$HOME_OF_USER:/bin/sh"'
  stub cmake '[ "$1" != --preset ] || { mkdir -p "build/$2" && echo "HOME is $HOME"; } >>"$SAID"'
  stub cpack 'touch instep_9.9.9_arm64.deb'
  stub dpkg 'echo amd64'
  stub python3 'mkdir -p "$3/bin" && echo "#!/bin/sh" >"$3/bin/pip" && chmod +x "$3/bin/pip"'
}
# cross ARGUMENT...: its exit code.
cross() {
  local code=0
  env -i PATH="$scratch/bin:$PATH" SAID="$scratch/said" HOME_OF_USER="${home_of_user-$scratch/home}" "${with[@]}" \
    bash "$scratch/tree/tools/cross" "$@" >"$scratch/log" 2>&1 || code=$?
  echo "$code"
}

with=()
[[ $(cross nano --no-tests) -eq 0 ]] || wrong "fails without HOME"
grep -qxF "HOME is $scratch/home" "$scratch/said" || wrong "takes another home than the user's own"
deb=build/jetson-nano/instep_9.9.9_arm64.deb
for text in "tools/deploy --deb $deb USER@HOST" "tools/flash IMAGE --deb $deb" "sudo apt-get install ./instep_9.9.9_arm64.deb"; do
  grep -qF -- "$text" "$scratch/log" || wrong "does not say: $text"
done
home_of_user=
[[ $(cross nano --no-tests) -eq 1 ]] || wrong "goes on without any home"
grep -qF 'set HOME or INSTEP_ZIG_VENV' "$scratch/log" || wrong "does not say what is missing"
with=(INSTEP_ZIG_VENV="$scratch/zig")
[[ $(cross nano --no-tests) -eq 0 ]] || wrong "does not take INSTEP_ZIG_VENV instead"
[[ $(cross amd64 --no-tests) -eq 0 ]] || wrong "amd64"
grep -qF 'install it here' "$scratch/log" || wrong "does not say how to install for this PC"
[[ $(cross toaster) -eq 2 ]] || wrong "takes any computer"
exit $status

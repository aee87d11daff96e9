# first_boot_test.sh SCRIPT SCRATCH
# The first start of a card that tools/flash has prepared, with programs that stand for dpkg, systemctl and instep: what
# is done, and that a start which is cut off or fails begins anew.
set -euo pipefail
script=$1 scratch=$2
rm -rf "$scratch" && mkdir -p "$scratch/bin"
root=$scratch/root
folder=$root/var/lib/instep/first-boot
status=0
wrong() {
  echo "wrong: $*"
  status=1
}

stub() { printf '#!/bin/sh\necho "%s $*" >>"$ROOT/calls"\n%s\n' "$1" "$2" >"$scratch/bin/$1" && chmod +x "$scratch/bin/$1"; }
# shellcheck disable=SC2016 # the stubs' own variables
{
  stub dpkg 'if [ -s "$ROOT/locked" ]; then
  sed -i 1d "$ROOT/locked"
  echo "dpkg: error: dpkg frontend lock is locked by another process" >&2 && exit 2
fi
[ ! -e "$ROOT/broken" ] || { echo "dpkg: dependency problems" >&2 && exit 1; }'
  stub systemctl 'case $1 in get-default) echo nv-oem-config.target ;; esac'
  stub instep 'case $1 in
--version) echo "instep 0.1.0" ;;
doctor) echo "bad     kernel"; echo "Real time cannot be promised: kernel."; echo "{}"; exit 1 ;;
esac'
  stub runuser 'shift 3 && exec "$@"'
  stub sleep 'exit 0'
  stub sync '[ ! -e "$ROOT/plug-pulled" ] || { rm "$ROOT/plug-pulled" && kill -KILL $PPID; }'
}

# fresh CONF: a card before its first start, with this /etc/instep/robot.conf or none.
fresh() {
  rm -rf "$root" && mkdir -p "$folder" "$root/etc/instep"
  echo deb >"$folder/instep.deb"
  [[ -z $1 ]] || printf '%b' "$1" >"$root/etc/instep/robot.conf"
}
# start CODE: one start of the machine.
start() {
  local code=0
  ROOT=$root PATH=$scratch/bin:$PATH sh "$script" "$root" >"$scratch/console" 2>&1 || code=$?
  [[ $code -eq $1 ]] || { cat "$scratch/console" && wrong "exit code $code instead of $1"; }
}
called() { grep -qxF -- "$1" "$root/calls" || { cat "$root/calls" && wrong "not called: $1"; }; }
not_called() { ! grep -qF -- "$1" "$root/calls" || wrong "called: $1"; }

fresh 'TASK=create_mover\nDEVICE=/dev/instep-create2\n'
start 0
called "dpkg --install instep.deb"
called "systemctl enable instep@robot"
called "systemctl add-wants nv-oem-config.target instep@robot"
called "systemctl start --no-block instep@robot"
[[ -e $folder/finished && ! -e $folder/instep.deb ]] || wrong "not done"
grep -q 'cannot be promised' "$folder/doctor" && grep -q 'TASK=create_mover DEVICE=' "$folder/log" || wrong "nothing kept"
grep -q 'not a JetPack' "$folder/versions" || wrong "no versions"
grep -q '^instep first boot: done' "$scratch/console" || wrong "nothing on the console"

fresh 'TASK=ur_reacher2\n#DEVICE=192.168.1.10\n'
start 0
not_called "start --no-block"
grep -q 'set DEVICE in' "$scratch/console" || wrong "nothing said of the address"
fresh ''
start 0
not_called instep@robot

fresh 'TASK=create_mover\nDEVICE=/dev/x\n'
seq 5 >"$root/locked"
start 0
[[ $(grep -c waiting "$folder/log") -eq 1 ]] || wrong "does not say once that it waits"
fresh 'TASK=create_mover\nDEVICE=/dev/x\n'
seq 1000 >"$root/locked"
start 1
[[ ! -e $folder/finished && -e $folder/instep.deb ]] || wrong "gives up for good where dpkg is locked"

fresh 'TASK=create_mover\nDEVICE=/dev/x\n'
: >"$root/broken"
start 1
not_called "systemctl enable instep@robot"
[[ ! -e $folder/finished && -e $folder/instep.deb ]] || wrong "gives up for good"
grep -q 'dependency problems' "$folder/log" || wrong "does not keep why"
rm "$root/broken"
start 0
[[ -e $folder/finished ]] || wrong "does not try again"

# Cut off before everything was on the card: the package may be gone by then, and be installed.
fresh 'TASK=create_mover\nDEVICE=/dev/x\n'
: >"$root/plug-pulled"
start 137
[[ ! -e $folder/finished ]] || wrong "done before it was on the card"
: >"$root/calls"
start 0
[[ -e $folder/finished ]] || wrong "not done at the second start"
called "systemctl start --no-block instep@robot"
exit $status

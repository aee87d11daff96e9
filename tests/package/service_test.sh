# service_test.sh DEB SCRATCH MOCK
# In a Debian that systemd has started, the package's service learns, with the right to real-time priorities; goes on
# with its run after a kill, after it no longer ticked (watchdog) and after an upgrade of the package; ends cleanly; is
# not started over and over on wrong use; may compile kernels for longer than a start takes (MOCK is a CUDA driver
# without a GPU); and an upgrade succeeds while a robot does not come back. Exits with 77 where this cannot be tried.
set -euo pipefail
source "${BASH_SOURCE[0]%/*}/debian.sh"
deb=$1 scratch=$2 mock=$3
may_try "$deb" systemd-nspawn
root=$(unpack_debian "$(dpkg --print-architecture)" "$deb" "$scratch")
nspawn=
clean_up() {
  # The first process of the container ends it, with all that run inside.
  [[ -z $nspawn ]] || pkill --signal KILL --parent "$nspawn" || true
  wait
  rm -rf --one-file-system "$root"
}
trap clean_up EXIT
copy_packages "$deb" "$root"
cp "$mock" "$root/opt/libcuda.so.1"
chroot "$root" groupadd --system render # video is there in every Debian

systemd-nspawn --quiet --register=no --keep-unit --directory="$root" --console=pipe /lib/systemd/systemd </dev/null &
nspawn=$!
# inside COMMAND...: in the namespaces of the container.
inside() {
  nsenter --all --target "$(pgrep --parent "$nspawn" | head -n 1)" \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive SYSTEMD_PAGER= "$@"
}

# until_true SECONDS WHAT COMMAND...: waits for the command to succeed.
until_true() {
  local seconds=$1 what=$2
  shift 2
  for ((i = 0; i < 5 * seconds; ++i)); do
    ! "$@" 2>/dev/null || return 0
    sleep 0.2
  done
  echo "not within $seconds s: $what"
  inside systemctl --no-pager status instep@lab || true
  inside journalctl --no-pager --unit instep@lab --lines 40 || true
  exit 1
}
state() { inside systemctl show --value --property "$1" instep@lab; }
is() { [[ $(state "$1") == "$2" ]]; }
is_not() { ! is "$1" "$2"; }
# A run that writes checkpoints many times a second may write both while they are read: again, then.
steps() {
  local try text
  for ((try = 0; try < 20; ++try)); do
    ! text=$(inside instep info /var/lib/instep/lab --json) || break
    sleep 0.2
  done
  tail -n 1 <<<"$text" | grep -oE '"step":[0-9]+' | head -n 1 | cut -d: -f2
}
goes_beyond() { is ActiveState active && [[ $(steps) -gt $1 ]]; }

booted() { inside systemctl is-system-running --wait | grep -qE 'running|degraded'; }
until_true 60 "systemd started" booted
inside dpkg --install /instep.deb
inside tee /etc/instep/lab.conf <<<$'TASK=dot_reacher\nSTEPS=1000000000\nOPTIONS=--seed 1 --set checkpoint_every=2000' >/dev/null
inside systemctl enable --now instep@lab
is ActiveState active || fail "started, but not active"
process=$(state MainPID)
inside chrt --pid "$process" | grep -F 'policy: SCHED_OTHER' || fail "a simulated run needs no real-time policy"
# A machine that is itself a container may refuse even root higher limits.
if (ulimit -r 80) 2>/dev/null; then
  inside grep -E '^Max realtime priority +80' "/proc/$process/limits" || fail "its threads may take no real-time priority"
fi
if (ulimit -l unlimited) 2>/dev/null; then
  inside grep -E '^Max locked memory +unlimited' "/proc/$process/limits" || fail "may not lock its memory"
fi
[[ $(inside stat -c %U "/proc/$process") == instep ]] || fail "not the user instep"
for group in dialout video render; do
  inside grep -E "^Groups:.*\\b$(inside getent group "$group" | cut -d: -f3)\\b" "/proc/$process/status" ||
    fail "not in group $group"
done
[[ $(inside stat -c %U /var/cache/instep) == instep ]] || fail "compiled kernels cannot be kept"
inside grep -zF CUDA_CACHE_PATH=/var/cache/instep/ "/proc/$process/environ" || fail "compiled kernels are kept nowhere"
until_true 60 "a checkpoint" goes_beyond 0

echo "killed: goes on"
before=$(steps)
inside systemctl kill --kill-who=main --signal=KILL instep@lab
until_true 60 "restarted after a kill" is NRestarts 1
until_true 60 "going on after a kill" goes_beyond "$before"

echo "stands still: the watchdog restarts it"
before=$(steps)
inside systemctl kill --kill-who=main --signal=STOP instep@lab
until_true 90 "restarted by the watchdog" is NRestarts 2
inside journalctl --no-pager --unit instep@lab | grep -F 'Watchdog timeout' || fail "it was not the watchdog"
until_true 60 "going on after the watchdog" goes_beyond "$before"

echo "upgraded: stops after a tick and goes on"
before=$(steps)
process=$(state MainPID)
inside dpkg --install /later.deb
is_not MainPID "$process" || fail "the old program is still running"
until_true 60 "going on after the upgrade" goes_beyond "$before"
inside systemctl is-enabled instep@lab

echo "stopped: a clean end"
inside systemctl stop instep@lab
is Result success || fail "stopping it is a failure: $(state Result)"
stopped=$(steps)
inside systemctl start instep@lab
until_true 60 "going on after a stop" goes_beyond "$stopped"
process=$(state MainPID)
inside dpkg --remove instep
! inside test -e "/proc/$process" || fail "removing the package left it running"
inside dpkg --install /instep.deb

echo "kernels take longer to compile than a start may take"
inside tee /etc/instep/slow.conf <<<$'TASK=dot_reacher\nSTEPS=1000000000\nOPTIONS=--set hidden=16 --backend cuda --path cuda_block' >/dev/null
inside install -d /etc/systemd/system/instep@slow.service.d /var/lib/instep/slow/lost+found
inside tee /etc/systemd/system/instep@slow.service.d/test.conf \
  <<<$'[Service]\nTimeoutStartSec=5\nEnvironment=INSTEP_MOCK_FAULT=slow:15 INSTEP_LIBCUDA=/opt/libcuda.so.1' >/dev/null
inside systemctl daemon-reload
inside systemctl start instep@slow || fail "killed while it compiled: $(inside systemctl status --no-pager instep@slow)"
[[ $(inside systemctl show --value --property NRestarts instep@slow) == 0 ]] || fail "needed more than one start"
inside test -e /var/lib/instep/slow/run-1/config.toml || fail "a file in its state folder keeps it from running"

echo "upgraded while it does not come back: the package is whole, and it says so"
# The next start of that robot fails for good, as one does whose cable is out.
inside sed -i 's/^OPTIONS=.*/&\nDEVICE=\/dev\/no-such-robot/; s/^TASK=.*/TASK=create_mover/' /etc/instep/slow.conf
inside rm -r /var/lib/instep/slow
inside sed -i 's/^Environment=.*/ExecStart=\nExecStart=\/bin\/false/' /etc/systemd/system/instep@slow.service.d/test.conf
inside dpkg --install /later.deb 2>"$scratch/upgrade" || fail "the upgrade fails: $(cat "$scratch/upgrade")"
[[ $(inside dpkg-query --show --showformat '${db:Status-Abbrev}' instep) == 'ii ' ]] || fail "half configured"
grep -F 'instep@slow.service does not come back' "$scratch/upgrade" || fail "nothing said: $(cat "$scratch/upgrade")"
inside systemctl is-active instep@lab || inside systemctl start instep@lab
inside rm -r /etc/systemd/system/instep@slow.service.d

echo "wrong use: told once"
inside sed -i 's/^TASK=.*/TASK=no_such_task/' /etc/instep/lab.conf
inside cp /etc/instep/lab.conf /etc/instep/other.conf
inside systemctl start --no-block instep@other || true
wrong() { [[ $(inside systemctl show --value --property Result instep@other) == exit-code ]]; }
until_true 30 "failed" wrong
[[ $(inside systemctl show --value --property NRestarts instep@other) == 0 ]] || fail "restarted although nothing mends it"
inside journalctl --no-pager --unit instep@other | grep -F no_such_task
inside usermod --append --groups instep nobody # as a user who may run in real time
inside dpkg --purge instep
! inside getent group instep || fail "the group is left, with its member"

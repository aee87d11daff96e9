#!/bin/sh
# Says on the serial console every three seconds how the robot's service is; kills its program once, at the first start.
field() { systemctl show --value --property "$1" instep@robot; }
report() {
  process=$(field MainPID)
  step=$(instep info /var/lib/instep/robot --json 2>/dev/null | tail -n 1 | grep -oE '"step":[0-9]+' | head -n 1 | cut -d: -f2)
  rights=
  if [ "${process:-0}" -gt 0 ]; then
    # The threads that move the robot have it, the one that writes files has not.
    rights="fifo_threads $(chrt --all-tasks --pid "$process" | grep -c SCHED_FIFO) user $(stat -c %U "/proc/$process")"
    rights="$rights locked $(awk '/^Max locked memory/ {print $4}' "/proc/$process/limits")"
  fi
  echo "boot-report: state $(field ActiveState) step ${step:-none} restarts $(field NRestarts) process ${process:-0} $rights"
}
killed=/var/lib/boot-report-killed
while :; do
  report
  if [ ! -e "$killed" ] && [ "${step:-0}" -ge 100 ] && [ "${process:-0}" -gt 0 ]; then
    : >"$killed" && sync
    kill -KILL "$process"
    echo "boot-report: killed process $process at step $step"
  fi
  sleep 3
done

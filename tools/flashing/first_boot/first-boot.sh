#!/bin/sh
# first-boot.sh [ROOT]: runs at each start until it has succeeded once: installs the package that lies beside it, without a network; writes
# what `instep doctor` finds; and has the chosen robot's service start, now and at every start. Cut off at any point,
# it begins anew.
set -u
root=${1-}
folder=$root/var/lib/instep/first-boot
cd "$folder" || exit 1

say() {
  echo "instep first boot: $*"
  echo "$(date '+%F %T') $*" >>log
}

# Something else may be installing packages right after the start.
patiently() {
  tries=0
  until output=$("$@" 2>&1); do
    case $output in
      *lock*) ;;
      *) echo "$output" >>log && return 1 ;;
    esac
    tries=$((tries + 1))
    [ "$tries" -lt 120 ] || { say "the package system has been locked for 20 minutes" && return 1; }
    [ "$tries" -ne 1 ] || say "waiting for another installation to end"
    sleep 10
  done
}

patiently dpkg --configure -a || say "dpkg --configure -a failed; going on"
# It is gone where the last start was cut off after this one's work.
[ ! -e instep.deb ] || patiently dpkg --install instep.deb || {
  say "the package could not be installed: see $folder/log; it is tried again at the next start"
  exit 1
}
say "installed $(instep --version)"

{
  echo "system: $(head -n 1 "$root/etc/nv_tegra_release" 2>/dev/null || echo 'no /etc/nv_tegra_release: not a JetPack')"
  firmware=$(cat /sys/class/dmi/id/bios_version 2>/dev/null ||
    { nvbootctrl dump-slots-info | grep -i 'current version'; } 2>/dev/null)
  echo "firmware of the board: ${firmware:-not told by this board}"
} >versions
say "$(paste -s -d ';' versions)"

# As the service's user, with the rights that it has.
runuser -u instep -- instep doctor --json >doctor.new 2>&1
mv doctor.new doctor
say "$(grep -v '^{' doctor | tail -n 1) All findings: $folder/doctor"

robot=$root/etc/instep/robot.conf
if [ -e "$robot" ] && grep -q '^DEVICE=' "$robot"; then
  systemctl enable instep@robot
  # Where the system's own questions at the first start are not answered yet, that is not multi-user.target.
  systemctl add-wants "$(systemctl get-default)" instep@robot
  systemctl start --no-block instep@robot
  say "robot: $(grep -E '^(TASK|DEVICE)=' "$robot" | paste -s -d ' ')"
elif [ -e "$robot" ]; then
  say "set DEVICE in $robot, then: systemctl enable --now instep@robot"
fi

sync
rm -f instep.deb
touch finished
sync
say "done"

# permissions_test.sh BUILD_DIR SCRATCH
# Whoever builds the package with whatever umask: everybody may read what it installs, and start its programs.
# Exits with 77 where no package can be made.
set -euo pipefail
build=$1 scratch=$2
command -v dpkg-deb dpkg-shlibdeps file >/dev/null || { echo "skipped: needs dpkg-dev and file" && exit 77; }
rm -rf "$scratch" && mkdir -p "$scratch"
for mask in 022 027 077; do
  (umask "$mask" && cpack --config "$build/CPackConfig.cmake" -B "$scratch/$mask") >"$scratch/log" ||
    { cat "$scratch/log" && exit 1; }
  dpkg-deb --contents "$scratch/$mask"/instep_*.deb | awk '{print $1, $2, $6}' >"$scratch/contents.$mask"
  if grep -vE '^(drwxr-xr-x|-rw-r--r--|-rwxr-xr-x) root/root ' "$scratch/contents.$mask"; then
    echo "built with umask $mask, this is not for everybody" && exit 1
  fi
  [[ $(grep -c '^-rwxr-xr-x' "$scratch/contents.$mask") -eq 2 ]] || { echo "not two programs" && exit 1; }
  dpkg-deb --control "$scratch/$mask"/instep_*.deb "$scratch/control.$mask"
  [[ $(stat -c %a "$scratch/control.$mask/postinst") == 755 ]] || { echo "postinst is no program" && exit 1; }
done
cmp "$scratch/contents.022" "$scratch/contents.077"
grep -E '^-rwxr-xr-x root/root \./usr/(bin/instep|lib/instep/run-robot)$' "$scratch/contents.077"
grep -E '^drwxr-xr-x root/root \./usr/$' "$scratch/contents.077"

# isolation_test.sh NM OBJECT...
# The objects of the CPU paths give the program nothing but their executors and bounds: code for a newer processor that
# another translation unit could link to (a weak inline function, say) would crash an older one. They
# call nothing but the check handler and the compiler's memory functions: no libm, whose bits differ.
set -euo pipefail
nm=$1
shift
status=0
[[ $# -gt 0 ]] || { echo "no objects" && exit 1; }
for object in "$@"; do
  name=${object##*instep_path_}
  namespace=${name%%.dir*}
  defined=$("$nm" -C --defined-only --extern-only "$object" | cut -d' ' -f2-)
  if ! [[ $defined =~ ^[RDBS]\ instep::${namespace}::(kExecutor|kBoundLoops)$ ]]; then
    printf '%s exports something else than its executor or its bound:\n%s\n' "$object" "$defined" && status=1
  fi
  if weak=$("$nm" -C "$object" | grep -E '^[0-9a-f ]+ [WwVvu] '); then
    printf '%s has weak symbols:\n%s\n' "$object" "$weak" && status=1
  fi
  if foreign=$("$nm" -C --undefined-only "$object" | grep -vE \
    ' (instep::check_failed\(.*\)|mem(cpy|set|move)|instep::'"$namespace"'::kBoundLoops|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_)$'); then
    printf '%s calls:\n%s\n' "$object" "$foreign" && status=1
  fi
done
echo "$# objects read"
exit "$status"

# isolation_test.sh NM OBJECT...
# Those of matrix products export their table and its preparation, and keep Eigen's templates in a namespace of the path.
# The objects of the CPU paths give the program nothing but their executors and bounds: code for a newer processor that
# another translation unit could link to (a weak inline function, say) would crash an older one. They
# call nothing but the check handler and the compiler's memory functions: no libm, whose bits differ.
set -euo pipefail
nm=$1
shift
status=0
[[ $# -gt 0 ]] || { echo "no objects" && exit 1; }
check_matrix_object() {
  local path=${1##*instep_matrix_}
  path=${path%%.dir*}
  local own="instep::${path}_matrix::"
  local strange
  if strange=$("$nm" -C --defined-only --extern-only "$1" | cut -d' ' -f2- |
    grep -vE "^[A-Za-z] (${own}(kMatrixPath|prepare_matrices\(\))|(void |guard variable for )?Eigen_${path}::.*|DW\.ref\.__gxx_personality_v0)$"); then
    printf '%s exports something else than its table and its own Eigen:\n%s\n' "$1" "$strange" && status=1
  fi
}
for object in "$@"; do
  if [[ $object == *instep_matrix_* ]]; then
    check_matrix_object "$object"
    continue
  fi
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

# break_update_test.sh CMAKE SOURCE_DIR SCRATCH_DIR COMPILER LEARNING_TEST
# A build with one constant of the critic's update broken must fail verify and the learning test: both get
# their learner from the same place, and both can fail.
set -euo pipefail
cmake=$1 source_dir=$2 scratch=$3 compiler=$4 learning_test=$5
"$cmake" -S "$source_dir" -B "$scratch/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$compiler" \
  -DINSTEP_BREAK_UPDATE=ON -DINSTEP_BUILD_TESTS=OFF >"$scratch.log"
"$cmake" --build "$scratch/build" --target instep_command >>"$scratch.log"
command=$scratch/build/bin/instep

code=0
"$command" verify "$source_dir"/tests/golden/avg/combo_111.safetensors >"$scratch.log" || code=$?
[[ $code -eq 1 ]] || { echo "verify ends with $code, not 1, on a broken update"; exit 1; }
grep FAIL "$scratch.log" | head -n 1

code=0
bash "$learning_test" "$command" "$scratch/learning" || code=$?
[[ $code -ne 77 ]] || exit 77
[[ $code -eq 1 ]] || { echo "the learning test ends with $code, not 1, on a broken update"; exit 1; }

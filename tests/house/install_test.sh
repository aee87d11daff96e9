# install_test.sh CMAKE BUILD_DIR CONSUMER EXAMPLES SCRATCH_DIR COMPILER [COMPILER_FLAGS]
# Installs the build, moves the installed tree elsewhere, and builds and runs projects that know nothing but
# find_package(instep): the consumer, and the examples of docs/library.md.
set -euo pipefail
cmake=$1 build=$2 consumer=$3 examples=$4 scratch=$5 compiler=$6 flags=${7-}
rm -rf "$scratch"
mkdir -p "$scratch"
"$cmake" --install "$build" --prefix "$scratch/installed" >"$scratch/install.log"
mv "$scratch/installed" "$scratch/moved"

package=$(dirname "$(find "$scratch/moved" -name instepConfig.cmake)")
if grep -nF -e "$build" -e "$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$build/CMakeCache.txt")" \
  "$package"/*.cmake; then
  echo "the installed package names folders of the build"
  exit 1
fi

# build_project FOLDER: its program is in the folder `build` of the same name, beside it.
build_project() {
  local name
  name=$(basename "$1")
  "$cmake" -S "$1" -B "$scratch/build/$name" -G Ninja -DCMAKE_PREFIX_PATH="$scratch/moved" \
    -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="$flags"
  "$cmake" --build "$scratch/build/$name"
}
build_project "$consumer"
"$scratch/build/consumer/consumer"
if [[ -e $scratch/moved/include/instep/instep.h ]]; then
  build_project "$examples/own_loop"
  "$scratch/build/own_loop/own_loop" "$scratch/agent" | tee "$scratch/own_loop.txt"
  # It begins near -80; a cart that comes to rest early returns about -14.
  awk '/mean return/ { last = $NF } END { exit !(last > -25) }' "$scratch/own_loop.txt" || {
    echo "the example did not learn"
    exit 1
  }
  build_project "$examples/own_runs"
  "$scratch/build/own_runs/own_runs" "$scratch/runs" | tee "$scratch/own_runs.txt"
  [[ $(grep -c '^hidden=.*: mean return -' "$scratch/own_runs.txt") == 2 && -s $scratch/runs/report.html ]] || {
    echo "the example did not train, evaluate and report"
    exit 1
  }
  build_project "$examples/own_command"
  own_command=$scratch/build/own_command/own_command
  "$own_command" tasks | grep -q '^cart ' || { echo "the own command does not know its own task"; exit 1; }
  (cd "$scratch" && "$own_command" train cart --seed 1 --out cart && "$own_command" eval cart --episodes 20) |
    tee "$scratch/own_command.txt"
  # An untrained cart that starts anywhere returns about -60, one that comes to rest early about -10.
  awk '/mean return -/ { for (i = 1; i < NF; ++i) if ($i == "return") last = $(i + 1) } END { exit !(last + 0 > -25) }' \
    "$scratch/own_command.txt" || {
    echo "the own command's task was not learnt"
    exit 1
  }
fi
[[ ! -e $scratch/moved/bin/instep ]] || "$scratch/moved/bin/instep" --help >/dev/null
for file in LICENSE THIRD_PARTY_NOTICES.md; do
  [[ -n $(find "$scratch/moved" -name "$file") ]] || { echo "$file is not installed"; exit 1; }
done

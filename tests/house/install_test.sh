# install_test.sh CMAKE BUILD_DIR CONSUMER EXAMPLE SCRATCH_DIR COMPILER [COMPILER_FLAGS]
# Installs the build, moves the installed tree elsewhere, and builds and runs two projects that know nothing
# but find_package(instep); the second is the example of docs/library.md.
set -euo pipefail
cmake=$1 build=$2 consumer=$3 example=$4 scratch=$5 compiler=$6 flags=${7-}
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
  build_project "$example"
  "$scratch/build/own_loop/own_loop" "$scratch/agent" | tee "$scratch/own_loop.txt"
  # It begins near -80; a cart that comes to rest early returns about -14.
  awk '/mean return/ { last = $NF } END { exit !(last > -25) }' "$scratch/own_loop.txt" || {
    echo "the example did not learn"
    exit 1
  }
fi
[[ ! -e $scratch/moved/bin/instep ]] || "$scratch/moved/bin/instep" --help >/dev/null
for file in LICENSE THIRD_PARTY_NOTICES.md; do
  [[ -n $(find "$scratch/moved" -name "$file") ]] || { echo "$file is not installed"; exit 1; }
done

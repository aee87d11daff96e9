# install_test.sh CMAKE BUILD_DIR CONSUMER SCRATCH_DIR COMPILER [COMPILER_FLAGS]
# Installs the build, moves the installed tree elsewhere, and builds and runs a project that knows nothing
# but find_package(instep).
set -euo pipefail
cmake=$1 build=$2 consumer=$3 scratch=$4 compiler=$5 flags=${6-}
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

"$cmake" -S "$consumer" -B "$scratch/build" -G Ninja -DCMAKE_PREFIX_PATH="$scratch/moved" \
  -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="$flags"
"$cmake" --build "$scratch/build"
"$scratch/build/consumer"
[[ ! -e $scratch/moved/bin/instep ]] || "$scratch/moved/bin/instep" --help >/dev/null
for file in LICENSE THIRD_PARTY_NOTICES.md; do
  [[ -n $(find "$scratch/moved" -name "$file") ]] || { echo "$file is not installed"; exit 1; }
done

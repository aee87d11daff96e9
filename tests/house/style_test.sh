# style_test.sh SOURCE_DIR
# Rules about the text of the sources that neither compiler nor clang-format knows.
set -euo pipefail
cd "$1"
status=0

# forbid WHAT PATTERN SAMPLE FILE...: no line of the files matches PATTERN. A pattern that does not match
# SAMPLE, a line of what it is there to find, would find nothing and is an error itself.
forbid() {
  local what=$1 pattern=$2 sample=$3
  shift 3
  if ! grep -qP -e "$pattern" <<<"$sample"; then
    echo "$what: the pattern does not match its sample" && status=1
  fi
  if [[ $# -eq 0 ]] || grep -nHP -e "$pattern" -- "$@"; then
    echo "forbidden: $what" && status=1
  fi
}

layers=(kernels runtime drivers tasks tools)
mapfile -t code < <(find "${layers[@]}" tests -name '*.h' -o -name '*.cpp')
mapfile -t layer_code < <(find "${layers[@]}" -name '*.h' -o -name '*.cpp')
mapfile -t no_mujoco < <(printf '%s\n' "${code[@]}" | grep -v '/mujoco')
mapfile -t below_tools < <(find kernels runtime drivers tasks -name '*.h' -o -name '*.cpp')
mapfile -t tasks < <(find tasks -name '*.h' -o -name '*.cpp')
mapfile -t kernels < <(find kernels -name '*.h' -o -name '*.cpp')
mapfile -t build < <(find . -path ./build -prune -o '(' -name CMakeLists.txt -o -name '*.cmake' \
  -o -name CMakePresets.json ')' -print)

forbid "a tab" '\t' $'\tint x;' "${code[@]}" "${build[@]}"
forbid "white space at a line's end" '\s+$' 'int x; ' "${code[@]}" "${build[@]}"
forbid "fast-math: it makes isfinite() always true" '-(ffast-math|Ofast|ffinite-math-only)' \
  'add_compile_options(-ffast-math)' "${build[@]}"
forbid "an include that climbs around the layers" '^\s*#\s*include\s*[<"][^>"]*\.\./' \
  '#include "../runtime/agent.h"' "${code[@]}"
for lower in 0 1 2 3; do
  higher=$(IFS='|' && echo "${layers[*]:lower+1}")
  mapfile -t files < <(find "${layers[lower]}" -name '*.h' -o -name '*.cpp')
  [[ ${#files[@]} -eq 0 ]] || forbid "an include that points upwards" \
    "^\s*#\s*include\s*[<\"]($higher)/" '#include "tools/main.h"' "${files[@]}"
done
forbid "an include without its layer's name" \
  '^\s*#\s*include\s*"(?!(kernels|runtime|drivers|tasks|tools)/)' '#include "agent.h"' "${layer_code[@]}"
forbid "a unit behind an underscore in a constant's name" '\bk[A-Z][A-Za-z0-9]*_[a-z]' \
  'constexpr int kTimeout_ns = 2;' "${code[@]}"
forbid "work left for later" '\b(TODO|FIXME|XXX|HACK)\b' '// TODO: the rest' "${code[@]}" "${build[@]}"
forbid "a random generator of the standard library" '#\s*include\s*<random>' '#include <random>' "${code[@]}"
forbid "using namespace" '^\s*using namespace ' 'using namespace std;' "${code[@]}"
forbid "a clock, file or thread in the kernels" \
  '#\s*include\s*<(chrono|thread|mutex|condition_variable|future|fstream|iostream|filesystem)>' \
  '#include <thread>' "${kernels[@]}"
forbid "MuJoCo outside its folder" '#\s*include\s*[<"]mujoco' '#include <mujoco/mujoco.h>' "${no_mujoco[@]}"
forbid "a wire format in a task" '\.view\(\)|packet\.bytes|#\s*include\s*"drivers/\w+/(codec|packet|rtde|frame_check)\.h"' \
  '#include "drivers/create2/codec.h"' "${tasks[@]}"
forbid "command line, TOML or JSON below the tools" '#\s*include\s*<(CLI|toml|nlohmann)' \
  '#include <nlohmann/json.hpp>' "${below_tools[@]}"

# Checks of what is believed (INSTEP_CHECK, static_assert): none goes unnoticed. Who adds some raises the layer's number;
# who takes one away lowers it, and says why in the commit.
declare -A checks_least=([kernels]=13 [runtime]=76 [drivers]=51 [tasks]=6 [tools]=12)
for layer in "${layers[@]}"; do
  checks=$(find "$layer" '(' -name '*.h' -o -name '*.cpp' ')' -exec cat '{}' + | grep -cE '(INSTEP_CHECK|static_assert)\(')
  if ((checks < checks_least[$layer])); then
    echo "$layer has $checks checks of what is believed; ${checks_least[$layer]} were there before" && status=1
  fi
done

for header in $(find "${layers[@]}" -name '*.h'); do
  grep -q '^#pragma once$' "$header" || { echo "$header lacks #pragma once" && status=1; }
done
echo "${#code[@]} sources and ${#build[@]} build files read"
exit "$status"

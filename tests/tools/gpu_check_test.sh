# gpu_check_test.sh SOURCE_DIR BUILD_DIR
# Without a GPU, tools/gpu-check says so and ends with 3.
set -euo pipefail
code=0
said=$(INSTEP_LIBCUDA=/nowhere/libcuda.so.1 "$1/tools/gpu-check" "$2" 2>&1) || code=$?
echo "$said"
[[ $code -eq 3 && $said == *"cannot be opened"* && $said == *"nothing was checked"* ]]

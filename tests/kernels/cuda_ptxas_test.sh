# cuda_ptxas_test.sh PTX_DIR [all]
# ptxas takes the PTX for the GPUs that the versions of ptxas at hand know, and spills no register; the single block
# for the Jetson Nano has version 6.4. Without `all` one GPU for each way to build a kernel, and the oldest. Prints registers, shared memory and spills. INSTEP_PTXAS may name one more; those
# of PyPI's wheels nvidia-cuda-nvcc-cu12 (sm_53 to sm_90) and nvidia-cuda-nvcc (sm_75 to sm_110) are looked for in
# virtual environments under ~/.cache/instep:
#   python3 -m venv ~/.cache/instep/ptxas12 && ~/.cache/instep/ptxas12/bin/pip install nvidia-cuda-nvcc-cu12
set -euo pipefail
ptx=$1 amount=${2-some}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/instep
mapfile -t candidates < <({
  [[ -z ${INSTEP_PTXAS-} ]] || echo "$INSTEP_PTXAS"
  command -v ptxas || true
  ls -d "$cache"/*/lib/python3*/site-packages/nvidia/*/bin/ptxas 2>/dev/null || true
})
[[ ${#candidates[@]} -gt 0 ]] || { echo "skipped: no ptxas here (pip wheel nvidia-cuda-nvcc-cu12)" && exit 77; }
grep -q '^\.version 6\.4$' "$ptx/instep_block.sm_53.ptx"
grep -q '^\.target sm_53' "$ptx/instep_block.sm_53.ptx"

# The first ptxas that knows the GPU.
ptxas_for() {
  local candidate help
  for candidate in "${candidates[@]}"; do
    help=$("$candidate" --help)
    if grep -qw "sm_$1" <<<"$help"; then
      echo "$candidate" && return
    fi
  done
}
checked=0 status=0
check() {
  local team=$1 file=$2 arch=$3 ptxas log
  ptxas=$(ptxas_for "$arch")
  if [[ -z $ptxas ]]; then
    echo "$team sm_$arch: no ptxas at hand knows it"
    return
  fi
  if ! log=$("$ptxas" -arch="sm_$arch" -v "$file" -o /dev/null 2>&1); then
    printf '%s sm_%s: refused\n%s\n' "$team" "$arch" "$log" && status=1
    return
  fi
  checked=$((checked + 1))
  sed -nE "s/.*Function properties for (.*)/\1/p; s/^ *(.* spill loads).*/  \1/p; s/.*: Used (.*)/  \1/p" <<<"$log" |
    sed "s/^/$team sm_$arch: /"
  if grep -E '[1-9][0-9]* bytes spill' <<<"$log"; then
    echo "registers are spilled" && status=1
  fi
}
block=(53 87) cluster=(90)
[[ $amount != all ]] || block=(53 62 72 87 110) cluster=(90 110)
for arch in "${block[@]}"; do
  check block "$ptx/instep_block.sm_53.ptx" "$arch"
done
check grid "$ptx/instep_grid.sm_53.ptx" 87
for arch in "${cluster[@]}"; do
  check cluster "$ptx/instep_cluster.sm_90.ptx" "$arch"
done
[[ $checked -gt 0 ]] || { echo "skipped: no ptxas here knows any of the GPUs" && exit 77; }
exit $status

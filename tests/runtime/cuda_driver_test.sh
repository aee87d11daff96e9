# cuda_driver_test.sh COMMAND MOCK GOLDEN_DIR SCRATCH_DIR
# The backend "cuda" against a driver that runs the kernels over fibres: golden files on every path, and what is told
# and lost when the driver or the GPU fails.
set -euo pipefail
command=$1 mock=$2 golden=$3 scratch=$4
rm -rf "$scratch" && mkdir -p "$scratch"
export INSTEP_LIBCUDA=$mock
status=0
wrong() {
  echo "wrong: $*"
  status=1
}

for path in cuda_block cuda_grid cuda_cluster cuda_block_resident cuda_grid_resident cuda_cluster_resident; do
  "$command" verify --backend cuda --path "$path" "$golden"/combo_111.safetensors \
    "$golden"/edge_h4_consecutive_ends.safetensors "$golden"/iac_111.safetensors >"$scratch/verify.log" 2>&1 ||
    { cat "$scratch/verify.log" && wrong "golden files on $path"; }
  if grep -q warning "$scratch/verify.log"; then
    cat "$scratch/verify.log" && wrong "$path fell back to the CPU"
  fi
done

# Refused at the start: with the reason, and exit code 3.
refused() {
  local fault=$1 text=$2 code=0
  INSTEP_MOCK_FAULT=$fault "$command" train dot_reacher --steps 10 --backend cuda --out "$scratch/refused" \
    >"$scratch/log" 2>&1 || code=$?
  [[ $code -eq 3 ]] || wrong "$fault: exit code $code"
  grep -qF "$text" "$scratch/log" || { cat "$scratch/log" && wrong "$fault: the message lacks '$text'"; }
  rm -rf "$scratch/refused"
}
refused no_device "has no GPU"
refused old_gpu "has compute capability 3.0; 5.3 or newer is needed"
refused old_driver "is of CUDA 9.2; 10.1 or newer is needed"
INSTEP_LIBCUDA=$scratch/none.so refused none "cannot be opened: no NVIDIA driver is installed here"
: >"$scratch/libcuda.so.1" # what a failed installation leaves
INSTEP_LIBCUDA=$scratch/libcuda.so.1 refused short "file too short; install NVIDIA's driver"
INSTEP_LIBCUDA=/lib/$(uname -m)-linux-gnu/libc.so.6 refused other "the CUDA driver lacks cuInit"

# Numbers of the driver that a user can do something about, in words, with what to do.
while IFS='|' read -r number what mend; do
  refused "init:$number" "($number): $mend"
  refused "init:$number" "$what"
done <<'ERRORS'
3|the driver is not started|restart
34|this is a stub|take
46|taken by another program|end that program
100|no device|a user needs the groups video
802|fabric is not ready yet|wait
803|of different versions|restart the machine
804|is not for this GPU|remove the package cuda-compat
999|device lost|unknown to the driver as well
ERRORS
refused init:12345 "not known here (12345)"

# Goes on on the CPU: done all the same, one fall-back counted, and less than a second of learning lost.
falls_back() {
  local fault=$1 text=$2 path=$3
  if ! INSTEP_MOCK_FAULT=$fault timeout 60 "$command" train dot_reacher --steps 600 --backend cuda --path "$path" \
    --set hidden=16 --out "$scratch/run" >"$scratch/log" 2>&1; then
    cat "$scratch/log" && wrong "$fault on $path: the run failed"
  fi
  grep -qF "$text" "$scratch/log" || { cat "$scratch/log" && wrong "$fault: the message lacks '$text'"; }
  python3 - "$scratch/run/summary.json" "$fault on $path" <<'PYTHON' || status=1
import json, sys
summary = json.load(open(sys.argv[1]))
gpu = summary["gpu"]
print(sys.argv[2], gpu)
assert summary["ended"] == "done" and summary["steps"] == 600, summary
assert gpu["fallbacks"] == 1, gpu
assert 0 <= gpu["updates_lost"] < 600 and 0 <= gpu["seconds_lost"] < 1, gpu
assert summary["dropped_updates"] == 0, summary
assert not summary["exact"] and "1 learner lost its GPU" in summary["losses"], summary
PYTHON
  rm -rf "$scratch/run"
}
for path in cuda_block cuda_grid_resident; do
  falls_back no_memory "out of memory (2)" $path
  falls_back no_compile "the driver cannot compile the kernels (218)" $path
  falls_back lost:1 "device lost (999)" $path
  falls_back lost:3 "device lost (999)" $path
  falls_back silent:3 "no answer in time (600)" $path
  falls_back killed:3 "the driver ended a kernel that ran too long (702)" $path
done
falls_back lost:500 "device lost (999)" cuda_block

# Run after run, the kernels behind a driver have the bits of those that are emulated on the spot.
for backend in cuda cuda-emulated; do
  "$command" train dot_reacher --steps 200 --set hidden=16 --backend "$backend" --out "$scratch/$backend" \
    >"$scratch/log" 2>&1 || { cat "$scratch/log" && wrong "training with --backend $backend"; }
done
"$command" compare "$scratch/cuda" "$scratch/cuda-emulated" || wrong "cuda and cuda-emulated differ"
"$command" train --resume "$scratch/cuda-emulated" --steps 220 >"$scratch/log" 2>&1 ||
  { cat "$scratch/log" && wrong "resuming an emulated run"; }

# Agents that share a GPU: exit code 1 where one has other bits than alone, 2 where they do not fit.
for path in cuda_block cuda_cluster; do
  "$command" profile dot_reacher --backend cuda --path $path --agents 2 --updates 20 --set hidden=64 --json \
    >"$scratch/log" 2>&1 || { cat "$scratch/log" && wrong "two agents on $path"; }
  tail -n 1 "$scratch/log" | python3 -c 'import json, sys
result = json.load(sys.stdin)
assert result["same_bits"] and result["agents_at_once"] >= 2 and result["device_step_us_all"] > 0, result' || status=1
done
code=0
"$command" profile dot_reacher --backend cuda --path cuda_grid --agents 2 --updates 20 >"$scratch/log" 2>&1 || code=$?
[[ $code -eq 2 ]] && grep -q "takes 1 at once" "$scratch/log" || { cat "$scratch/log" && wrong "agents beyond the GPU"; }

# What is fastest is measured, said and recorded.
"$command" train dot_reacher --steps 20 --set hidden=64 --out "$scratch/auto" >"$scratch/log" 2>&1 || wrong "auto failed"
grep -E '^backend auto: .* cuda_block .*; taking ' "$scratch/log" || { cat "$scratch/log" && wrong "auto says nothing"; }
taken=$(sed -n 's/.*; taking //p' "$scratch/log")
grep -qF "path = \"$taken\"" "$scratch/auto/config.toml" || wrong "auto's choice is not recorded"
rm -rf "$scratch/auto"

# A GPU that is there and cannot be used is not passed over without a word; one that is not there is.
for library in "$scratch/libcuda.so.1" "$mock"; do
  INSTEP_LIBCUDA=$library INSTEP_MOCK_FAULT=init:803 "$command" train dot_reacher --steps 20 --set hidden=64 \
    --out "$scratch/auto" >"$scratch/log" 2>&1 || wrong "auto with a GPU that cannot be used failed"
  grep -qE '^backend auto: .*; the GPU cannot be used: .*(803|too short)' "$scratch/log" ||
    { cat "$scratch/log" && wrong "auto passes over a GPU without a word"; }
  rm -rf "$scratch/auto"
done

# What fails while it is tried out is not taken, and none of the run's trouble.
INSTEP_MOCK_FAULT=no_memory "$command" train dot_reacher --steps 20 --set hidden=64 --out "$scratch/auto" \
  >"$scratch/log" 2>&1 || wrong "auto with a GPU that has no memory failed"
grep -q 'cuda_block too slow or failing.*; taking' "$scratch/log" || { cat "$scratch/log" && wrong "auto takes what fails"; }
if grep -q warning "$scratch/log"; then
  cat "$scratch/log" && wrong "auto warns of what it has only tried"
fi
rm -rf "$scratch/auto"

# Each seed has the GPU, though the driver does not work in processes forked from one that has opened it.
"$command" train dot_reacher --steps 40 --set hidden=16 --backend cuda --seeds 0..1 --out "$scratch/seeds" \
  >"$scratch/log" 2>&1 || { cat "$scratch/log" && wrong "training seeds with --backend cuda"; }
for seed in 0 1; do
  python3 -c 'import json, sys
gpu = json.load(open(sys.argv[1]))["gpu"]
assert gpu["fallbacks"] == 0 and gpu["device"] == "a mock of a GPU", gpu' "$scratch/seeds/s$seed/summary.json" || status=1
done

# A driver that ends long kernels is given none that stay.
if INSTEP_MOCK_FAULT=time_limit "$command" verify --backend cuda --path cuda_block_resident \
  "$golden/combo_111.safetensors" >"$scratch/log" 2>&1; then
  wrong "a kernel stays although the driver limits its time"
fi
grep -q "has no path 'cuda_block_resident'" "$scratch/log" || { cat "$scratch/log" && wrong "no word of the path"; }
exit $status

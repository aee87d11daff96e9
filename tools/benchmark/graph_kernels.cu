// The kernels of graph_kernels.h for GPUs: one entry for all.
#include "tools/benchmark/graph_kernels.h"

namespace instep::graph {
namespace {

__attribute__((shared)) float block_scratch[kThreads];

struct DeviceBlock {
  INSTEP_DEVICE int thread() const { return __nvvm_read_ptx_sreg_tid_x(); }
  INSTEP_DEVICE int threads() const { return __nvvm_read_ptx_sreg_ntid_x(); }
  INSTEP_DEVICE int block() const { return __nvvm_read_ptx_sreg_ctaid_x(); }
  INSTEP_DEVICE int blocks() const { return __nvvm_read_ptx_sreg_nctaid_x(); }
  INSTEP_DEVICE float* scratch() const { return block_scratch; }
  INSTEP_DEVICE void barrier() const { __syncthreads(); }
};

}  // namespace
}  // namespace instep::graph

extern "C" __attribute__((global, launch_bounds(instep::graph::kThreads))) void instep_graph_kernel(
    instep::graph::Arguments arguments) {
  instep::graph::run(instep::graph::DeviceBlock{}, arguments);
}

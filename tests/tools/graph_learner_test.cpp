// The benchmark's cuBLAS peer without a GPU: its calls, made by the host in the order of the
// graphs, and its kernels over fibres, against golden files.

#include "tools/benchmark/graph_learner.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "runtime/cuda/emulator.h"
#include "tools/benchmark/peer_golden.h"

namespace instep {
namespace {

// What CublasQueue is on a GPU. Nothing happens while a graph is recorded.
class HostQueue {
 public:
  template <typename T>
  T* take(std::size_t count) {
    memory_.emplace_back((count * sizeof(T) + 7) / 8);
    return reinterpret_cast<T*>(memory_.back().data());
  }
  template <typename T>
  T* take_host(std::size_t count) {
    return take<T>(count);
  }
  void upload(void* to, const void* from, std::size_t bytes) {
    enqueue([=] { std::memcpy(to, from, bytes); });
  }
  void download(void* to, const void* from, std::size_t bytes) { upload(to, from, bytes); }
  void multiply(const float* matrix, int rows, int columns, const float* x, float* y) {
    enqueue([=] {
      for (int i = 0; i < rows; ++i) {
        y[i] = 0.0F;
        for (int j = 0; j < columns; ++j) y[i] += matrix[i * columns + j] * x[j];
      }
    });
  }
  void multiply_transposed(const float* matrix, int rows, int columns, int stride, const float* x,
                           float* y) {
    enqueue([=] {
      for (int j = 0; j < columns; ++j) {
        y[j] = 0.0F;
        for (int i = 0; i < rows; ++i) y[j] += matrix[i * stride + j] * x[i];
      }
    });
  }
  void outer(int rows, int columns, const float* d, const float* x, float* out) {
    enqueue([=] {
      for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < columns; ++j) out[i * columns + j] = d[i] * x[j];
      }
    });
  }
  void launch(int blocks, const graph::Arguments& arguments) {
    enqueue([blocks, arguments] { run(blocks, arguments); });
  }
  int record(const std::function<void()>& calls) {
    is_recording_ = true;
    graphs_.emplace_back();
    calls();
    is_recording_ = false;
    return static_cast<int>(graphs_.size()) - 1;
  }
  void replay(int graph) {
    for (const auto& call : graphs_[static_cast<std::size_t>(graph)]) call();
  }
  void wait() {}

 private:
  static constexpr int kThreads = 32;
  struct Launch {
    const graph::Arguments* arguments;
    Emulator* emulator;
    int blocks;
    std::vector<float> scratch;
  };
  struct Block {
    Launch* launch;
    int block_index;
    int thread_index;
    int thread() const { return thread_index; }
    int threads() const { return kThreads; }
    int block() const { return block_index; }
    int blocks() const { return launch->blocks; }
    float* scratch() const { return launch->scratch.data() + block_index * kThreads; }
    void barrier() const { launch->emulator->block_barrier(0); }
  };

  void enqueue(std::function<void()> call) {
    if (is_recording_) {
      graphs_.back().push_back(std::move(call));
    } else {
      call();
    }
  }
  static void run(int blocks, const graph::Arguments& arguments) {
    Emulator emulator(1, blocks, kThreads);
    emulator.set_order(FiberOrder::kShuffled, static_cast<std::uint64_t>(arguments.kernel));
    Launch launch{&arguments, &emulator, blocks,
                  std::vector<float>(static_cast<std::size_t>(blocks * kThreads))};
    const auto kernel = [](void* argument, int block, int thread) {
      auto* mine = static_cast<Launch*>(argument);
      graph::run(Block{mine, block, thread}, *mine->arguments);
    };
    ASSERT_TRUE(emulator.launch(kernel, &launch)) << emulator.problem();
  }

  std::vector<std::vector<std::uint64_t>> memory_;
  std::vector<std::vector<std::function<void()>>> graphs_;
  bool is_recording_ = false;
};

TEST(GraphLearner, ComputesTheUpdateOfTheGoldenFiles) {
  for (const char* name : {"hopper_h256", "hopper_h32", "first_step_terminal", "clamp_both_ends"}) {
    const TensorFile file =
        read_safetensors(INSTEP_GOLDEN_DIR "/avg/" + std::string(name) + ".safetensors");
    HostQueue queue;
    WorstError worst;
    replay_peer(
        file,
        [&](const Shape& shape, const LearnerSettings& settings) {
          return std::make_unique<GraphLearner<HostQueue>>(queue, shape, settings);
        },
        worst);
    EXPECT_LE(worst.ratio(), 1.0) << name << ' ' << worst.tensor() << " at " << worst.step();
    EXPECT_GT(worst.count(), 1000) << name;
  }
}

TEST(GraphLearner, RefusesWhatItWasNotWrittenFor) {
  HostQueue queue;
  LearnerSettings settings;
  settings.beta1 = 0.9;
  EXPECT_THROW(GraphLearner<HostQueue>(queue, {3, 1, 8}, settings), DataError);
}

}  // namespace
}  // namespace instep

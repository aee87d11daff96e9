// This build, and a learner's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/agent.h"
#include "tools/library/report/run_summary.h"

namespace instep {

// What a run's newest checkpoint says of itself.
struct CheckpointInfo {
  std::int64_t step = 0;
  std::int64_t episodes = 0;
  std::uint32_t format_version = 0;
  std::size_t snapshot_bytes = 0;
  DropCounts drops;
  std::vector<NamedNumber> numbers{};  // the agent's own
};

struct Info {
  std::string version;
  std::string compiler;
  std::string machine;
  std::vector<std::string> backends{};    // that this machine has
  std::vector<std::string> cpu_paths{};   // best first
  std::vector<std::string> cuda_paths{};  // likewise
  std::string cuda_problem{};             // why there are none
  bool has_mujoco = false;
  std::size_t static_block_bytes = 0;
  std::string task{};
  std::string algorithm{};
  int observation_dim = 0;
  int action_dim = 0;
  int hidden_dim = 0;   // 0: the algorithm has no such setting
  std::string sizes{};  // of its layers, in words
  std::vector<MemoryRow> memory{};
  std::optional<CheckpointInfo> checkpoint{};
};

// The build with the learner of a run, or with that of a task in its default settings where `run`
// is empty. Throws CommandError.
Info inspect(const std::string& run, const std::string& task = "dot_reacher");

}  // namespace instep

#include "runtime/algorithms/actor_critic/block_table.h"

namespace instep {
namespace {

// A weight step's arrays, in the order of AdamArray and of MaximumArray.
struct ArrayNames {
  std::string_view actor[kOptimizerArraysMax];
  std::string_view critic[kOptimizerArraysMax];
};
constexpr ArrayNames kAdamNames = {{"actor second moments", "actor first moments"},
                                   {"critic second moments", "critic first moments"}};
constexpr ArrayNames kMaximumNames = {{"actor gradient maxima", "actor traces"},
                                      {"critic gradient maxima", "critic traces"}};

std::size_t used_bytes(const NetworkLayout& network, int hidden_dim) {
  const auto h = static_cast<std::size_t>(hidden_dim);
  const auto inputs = static_cast<std::size_t>(network.inputs);
  const auto rows = static_cast<std::size_t>(network.rows);
  return (h * inputs + h + h * h + h + rows * h + rows) * sizeof(float);
}

}  // namespace

std::vector<MemoryPart> block_parts(const Layout& layout) {
  const int h = layout.shape.hidden_dim;
  const std::size_t actor = used_bytes(layout.actor, h);
  const std::size_t critic = used_bytes(layout.critic, h);
  const std::size_t observation =
      static_cast<std::size_t>(layout.shape.observation_dim) * sizeof(double);
  // Name, offset and the bytes that hold numbers; scratch and tapes count as used throughout.
  struct Entry {
    std::string_view name;
    std::size_t offset;
    std::size_t used;
  };
  std::vector<Entry> entries = {
      {"counters and statistics", 0, sizeof(LearnerState)},
      {"actor weights, first buffer", layout.actor_weights[0], actor},
      {"actor weights, second buffer", layout.actor_weights[1], actor},
  };
  const ArrayNames& names = layout.algorithm == Algorithm::kRac ? kMaximumNames : kAdamNames;
  for (int i = 0; i < layout.actor_arrays; ++i) {
    entries.push_back({names.actor[i], layout.actor_optimizer[i], actor});
  }
  entries.push_back({"critic weights", layout.critic_weights, critic});
  for (int i = 0; i < layout.critic_arrays; ++i) {
    entries.push_back({names.critic[i], layout.critic_optimizer[i], critic});
  }
  const std::size_t actor_tape = layout.actor_tape.floats * sizeof(float);
  const std::size_t critic_tape = layout.critic_tape.floats * sizeof(float);
  entries.push_back({"actor tape, first buffer", layout.actor_tapes[0], actor_tape});
  entries.push_back({"actor tape, second buffer", layout.actor_tapes[1], actor_tape});
  entries.push_back({"actor tape of the target's action", layout.actor_tapes[2], actor_tape});
  entries.push_back({"critic tape, first buffer", layout.critic_tapes[0], critic_tape});
  entries.push_back({"critic tape, second buffer", layout.critic_tapes[1], critic_tape});
  entries.push_back({"critic tape of the target", layout.critic_tapes[2], critic_tape});
  entries.push_back({"observation means", layout.normalizer_mean, observation});
  entries.push_back({"observation variances", layout.normalizer_variance, observation});
  entries.push_back({"scratch", layout.scratch, layout.bytes - layout.scratch});

  std::vector<MemoryPart> parts;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::size_t end = i + 1 < entries.size() ? entries[i + 1].offset : layout.bytes;
    const std::size_t bytes = end - entries[i].offset;
    parts.push_back({entries[i].name, entries[i].offset, bytes, bytes - entries[i].used});
  }
  return parts;
}

}  // namespace instep

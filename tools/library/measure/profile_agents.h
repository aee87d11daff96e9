// Several agents that share a GPU: how much longer one step of all takes than one step of one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tools/library/measure/profile.h"

namespace instep {

struct AgentsProfile {
  std::string task;
  std::string backend;
  std::string path;
  int agents = 0;
  std::optional<int> agents_at_once{};  // that a GPU takes; none where it is emulated
  std::uint32_t updates = 0;            // of each
  double step_us = 0.0;                 // of one agent
  double step_us_all = 0.0;             // of all
  bool has_same_bits = false;           // each agent has the bits that it has alone
  std::string machine{};
};

// Learns from random transitions with options.agents agents at once, each with a block, grid or
// cluster of its own in the same launch, then with each of them alone. Nothing where it was
// stopped. Throws CommandError.
std::optional<AgentsProfile> profile_agents(const ProfileOptions& options);

}  // namespace instep

// The algorithms by name. Adding one is a folder in runtime/algorithms that implements Agent, and
// one line in runtime/algorithms/registry.cpp; the command, checkpoints, evaluation and the tests
// that walk all_algorithms() then know it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/settings.h"
#include "runtime/agent.h"
#include "runtime/setting.h"

namespace instep {

// Everything that decides an agent's bits.
struct AgentConfig {
  int observation_dim = 0;
  int action_dim = 0;
  SettingValues settings;  // of the algorithm's own table
  Arithmetic arithmetic = Arithmetic::kFast;
  Schedule schedule = Schedule::kActFirst;
  std::string_view path;  // one of the algorithm's, which outlives the agent; empty: the best one
  std::uint64_t seed = 0;
  bool learns_apart = false;
  // Where it is not null the agent names and times the phases of its ticks there.
  std::vector<Phase>* phases = nullptr;
};

// What is known of an algorithm before an agent is made. Plain data with static lifetime.
struct AlgorithmInfo {
  std::string_view name;     // as in --algo
  std::string_view summary;  // one line
  std::uint32_t number = 0;  // in checkpoints; never given to another algorithm
  // Its own keys, beside those that all algorithms have (runtime/settings.h).
  std::span<const Setting> settings;
  // What beside the settings decides its bits, as lines "name=value"; counts in settings_hash().
  std::string_view constants{};
  bool can_learn_apart = false;
  std::string_view why_not_apart{};  // where it cannot: an end for "ALGORITHM cannot learn apart"
  bool has_schedules = false;        // throughput differs from act first, in time but not in bits
  // Names of the paths of a backend ("cpu", "cuda-emulated", "cuda") that this machine can run,
  // best first; where there is none, `problem` may say why. Static lifetime.
  std::vector<std::string_view> (*paths)(std::string_view backend, Arithmetic arithmetic,
                                         std::string& problem) = nullptr;
  // Starts from clear statistics and the seed's initial weights. The path is one of paths(), or
  // empty. Throws std::bad_alloc.
  std::unique_ptr<Agent> (*make)(const AgentConfig& config) = nullptr;
};

// One more, of a program outside this tree (runtime/table.h says when). Throws
// std::invalid_argument where its name or its number is another's.
void add_algorithm(const AlgorithmInfo& info);

// Every algorithm, the default one first.
std::span<const AlgorithmInfo* const> all_algorithms();

// The algorithm of that name or number, or null.
const AlgorithmInfo* find_algorithm(std::string_view name);
const AlgorithmInfo* find_algorithm(std::uint32_t number);

// "avg or iac": for messages and help.
std::string algorithm_names();

}  // namespace instep

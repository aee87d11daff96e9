#include <algorithm>
#include <array>

#include "runtime/algorithm.h"
#include "runtime/algorithms/actor_critic/actor_critic.h"
#include "runtime/algorithms/batch/ppo.h"
#include "runtime/algorithms/batch/sac.h"
#include "runtime/algorithms/batch/td3.h"
#include "runtime/table.h"

namespace instep {
namespace {

constexpr std::array kAlgorithms = {
    &kAvgInfo, &kIacInfo, &kSacInfo, &kTd3Info, &kPpoInfo, &kRacInfo,
};

using Algorithms = Table<const AlgorithmInfo*>;

Algorithms& table() {
  static Algorithms algorithms("algorithm", kAlgorithms,
                               [](const AlgorithmInfo* const& info) { return info->name; });
  return algorithms;
}

template <typename Matches>
const AlgorithmInfo* find(const Matches& matches) {
  const auto all = all_algorithms();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const AlgorithmInfo* info) { return matches(*info); });
  return found == all.end() ? nullptr : *found;
}

}  // namespace

void add_algorithm(const AlgorithmInfo& info) {
  table().add(&info, [&](const AlgorithmInfo* other) { return other->number == info.number; });
}

std::span<const AlgorithmInfo* const> all_algorithms() {
  return table().lines();
}

const AlgorithmInfo* find_algorithm(std::string_view name) {
  return find([&](const AlgorithmInfo& info) { return info.name == name; });
}

const AlgorithmInfo* find_algorithm(std::uint32_t number) {
  return find([&](const AlgorithmInfo& info) { return info.number == number; });
}

std::string algorithm_names() {
  std::string names;
  for (const AlgorithmInfo* info : all_algorithms()) {
    names += (names.empty() ? "" : " or ") + std::string(info->name);
  }
  return names;
}

}  // namespace instep

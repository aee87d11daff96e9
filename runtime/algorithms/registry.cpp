#include <algorithm>
#include <array>

#include "runtime/algorithm.h"
#include "runtime/algorithms/actor_critic/actor_critic.h"
#include "runtime/algorithms/batch/ppo.h"
#include "runtime/algorithms/batch/sac.h"
#include "runtime/algorithms/batch/td3.h"

namespace instep {
namespace {

constexpr std::array kAlgorithms = {
    &kAvgInfo, &kIacInfo, &kSacInfo, &kTd3Info, &kPpoInfo,
};

template <typename Matches>
const AlgorithmInfo* find(const Matches& matches) {
  const auto found = std::find_if(kAlgorithms.begin(), kAlgorithms.end(),
                                  [&](const AlgorithmInfo* info) { return matches(*info); });
  return found == kAlgorithms.end() ? nullptr : *found;
}

}  // namespace

std::span<const AlgorithmInfo* const> all_algorithms() {
  return kAlgorithms;
}

const AlgorithmInfo* find_algorithm(std::string_view name) {
  return find([&](const AlgorithmInfo& info) { return info.name == name; });
}

const AlgorithmInfo* find_algorithm(std::uint32_t number) {
  return find([&](const AlgorithmInfo& info) { return info.number == number; });
}

std::string algorithm_names() {
  std::string names;
  for (const AlgorithmInfo* info : kAlgorithms) {
    names += (names.empty() ? "" : " or ") + std::string(info->name);
  }
  return names;
}

}  // namespace instep

// Where two runs differ first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace instep {

struct SettingDifference {
  std::string key;
  std::string first;
  std::string second;
};

// The first line of episodes.csv that differs, the time column aside.
struct EpisodeDifference {
  std::size_t line = 0;
  std::uint64_t step = 0;  // at which its episode ended
  std::string field{};     // which differs; empty where one run has no such line
  double first = 0.0;      // its values; without a field: how many episodes the runs have
  double second = 0.0;
};

struct CheckpointDifference {
  enum class Kind { kStep, kShape, kContents };

  Kind kind = Kind::kStep;
  std::int64_t first_step = 0;
  std::int64_t second_step = 0;
  std::string part{};      // of kContents: which part of the snapshot
  std::size_t offset = 0;  // likewise: the byte in it
};

struct RunDifferences {
  std::vector<SettingDifference> settings{};
  bool is_same_task = true;  // else nothing more was compared
  std::optional<EpisodeDifference> episodes{};
  std::optional<CheckpointDifference> checkpoints{};  // the newest ones

  // Whatever the settings are.
  bool are_equal() const { return is_same_task && !episodes && !checkpoints; }
};

// Looks into two run folders. Throws CommandError.
RunDifferences compare_runs(const std::string& first, const std::string& second);

}  // namespace instep

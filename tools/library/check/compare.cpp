#include "tools/library/check/compare.h"

#include <algorithm>
#include <array>

#include "tools/library/report/run_record.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"

namespace instep {
namespace {

// The first field of two episodes that differs.
std::optional<EpisodeDifference> difference_of(const Episode& a, const Episode& b) {
  const auto field = [&](const char* name, double x, double y) {
    return EpisodeDifference{
        .step = std::min(a.step, b.step), .field = name, .first = x, .second = y};
  };
  const auto number = [](std::uint64_t value) { return static_cast<double>(value); };
  if (a.number != b.number) return field("episode", number(a.number), number(b.number));
  if (a.step != b.step) return field("step", number(a.step), number(b.step));
  if (a.length != b.length) return field("length", number(a.length), number(b.length));
  if (a.return_sum != b.return_sum) return field("return", a.return_sum, b.return_sum);
  if (a.terminated != b.terminated) {
    return field("terminated", a.terminated ? 1.0 : 0.0, b.terminated ? 1.0 : 0.0);
  }
  return std::nullopt;
}

std::optional<EpisodeDifference> compare_episodes(const std::vector<Episode>& a,
                                                  const std::vector<Episode>& b) {
  constexpr std::size_t kFirstLine = 2;  // below the heading
  const std::size_t common = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < common; ++i) {
    std::optional<EpisodeDifference> difference = difference_of(a[i], b[i]);
    if (!difference) continue;
    difference->line = i + kFirstLine;
    return difference;
  }
  if (a.size() == b.size()) return std::nullopt;
  const auto& longer = a.size() > b.size() ? a : b;
  return EpisodeDifference{.line = common + kFirstLine,
                           .step = longer[common].step,
                           .first = static_cast<double>(a.size()),
                           .second = static_cast<double>(b.size())};
}

// Where an offset of a snapshot falls, by name.
std::string part_name(RunSession& session, std::size_t offset, std::size_t snapshot_bytes) {
  const Agent& agent = session.agent();
  // From the end: a robot's snapshot holds no world.
  const std::size_t learner_start = snapshot_bytes - agent.state_bytes();
  if (offset < SnapshotLayout().world_start()) return "loop state";
  if (offset < learner_start) return "state of task " + std::string(session.task().name);
  std::string name = "learner";
  for (const MemoryPart& part : agent.memory_parts()) {
    if (learner_start + part.offset <= offset) name = part.name;
  }
  return name;
}

std::optional<CheckpointDifference> compare_checkpoints(const std::string& first,
                                                        const std::string& second,
                                                        const RunConfig& config,
                                                        const RunConfig& other_config) {
  CheckpointFile a(config.settings.checkpoint_every);
  CheckpointFile b(other_config.settings.checkpoint_every);
  open_checkpoint(a, first, false);
  open_checkpoint(b, second, false);
  require_same_run(a, first + "/checkpoint", config);
  require_same_run(b, second + "/checkpoint", other_config);
  CheckpointDifference result{.first_step = a.step(), .second_step = b.step()};
  if (a.step() != b.step()) return result;
  const auto x = a.snapshot();
  const auto y = b.snapshot();
  const auto sizes = [](const CheckpointIdentity& identity) {
    return std::array{identity.observation_dim, identity.action_dim, identity.hidden_dim};
  };
  if (x.size() != y.size() || sizes(a.identity()) != sizes(b.identity())) {
    result.kind = CheckpointDifference::Kind::kShape;
    return result;
  }
  const auto difference = std::mismatch(x.begin(), x.end(), y.begin()).first;
  if (difference == x.end()) return std::nullopt;
  RunConfig local = config;
  local.path = "";  // Only the layout is asked for, and this machine may lack the run's own path.
  RunSession session(local);
  result.kind = CheckpointDifference::Kind::kContents;
  result.offset = static_cast<std::size_t>(difference - x.begin());
  result.part = part_name(session, result.offset, x.size());
  return result;
}

std::vector<SettingDifference> compare_settings(const RunConfig& a, const RunConfig& b) {
  std::vector<SettingDifference> differences;
  const auto compare = [&](std::string_view key, const std::string& x, const std::string& y) {
    if (x != y) differences.push_back({std::string(key), x, y});
  };
  const AlgorithmInfo& algorithm = *a.settings.algorithm;
  compare("task", a.task, b.task);
  compare("seed", std::to_string(a.seed), std::to_string(b.seed));
  compare("algo", std::string(algorithm.name), std::string(b.settings.algorithm->name));
  compare("path", a.path, b.path);
  for (const Setting* setting : all_settings(algorithm)) {
    if (find_setting(*b.settings.algorithm, setting->name) == nullptr) continue;
    compare(setting->name, format_value(a.settings, setting->name),
            format_value(b.settings, setting->name));
  }
  return differences;
}

}  // namespace

RunDifferences compare_runs(const std::string& first, const std::string& second) {
  require_run_folder(first);
  require_run_folder(second);
  const RunConfig a = read_config_toml(first + "/config.toml");
  const RunConfig b = read_config_toml(second + "/config.toml");
  RunDifferences result{.settings = compare_settings(a, b), .is_same_task = a.task == b.task};
  if (!result.is_same_task) return result;
  result.episodes = compare_episodes(read_episodes(first + "/episodes.csv"),
                                     read_episodes(second + "/episodes.csv"));
  result.checkpoints = compare_checkpoints(first, second, a, b);
  return result;
}

}  // namespace instep

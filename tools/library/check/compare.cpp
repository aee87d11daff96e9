#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "tools/library/error.h"
#include "tools/library/measure/info.h"
#include "tools/library/report/run_record.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"

namespace instep {
namespace {

std::string shown(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

// The first field of two episodes that differs, the time column aside; empty when none does.
std::string episode_difference(const Episode& a, const Episode& b) {
  const auto field = [](const char* name, double x, double y) {
    return std::string(name) + ' ' + shown(x) + " and " + shown(y);
  };
  const auto number = [](std::uint64_t value) { return static_cast<double>(value); };
  if (a.number != b.number) return field("episode", number(a.number), number(b.number));
  if (a.step != b.step) return field("step", number(a.step), number(b.step));
  if (a.length != b.length) return field("length", number(a.length), number(b.length));
  if (a.return_sum != b.return_sum) return field("return", a.return_sum, b.return_sum);
  if (a.terminated != b.terminated) {
    return field("terminated", a.terminated ? 1.0 : 0.0, b.terminated ? 1.0 : 0.0);
  }
  return "";
}

bool episodes_equal(const std::vector<Episode>& a, const std::vector<Episode>& b) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const std::string difference = episode_difference(a[i], b[i]);
    if (difference.empty()) continue;
    std::printf("episodes differ first at line %zu, which ended at step %llu: %s\n", i + 2,
                static_cast<unsigned long long>(std::min(a[i].step, b[i].step)),
                difference.c_str());
    return false;
  }
  if (a.size() != b.size()) {
    const auto& longer = a.size() > b.size() ? a : b;
    std::printf(
        "episodes are equal as far as both go; one run has %zu, the other %zu: the first that only "
        "one has ended at step %llu\n",
        a.size(), b.size(),
        static_cast<unsigned long long>(longer[std::min(a.size(), b.size())].step));
    return false;
  }
  return true;
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

bool checkpoints_equal(const std::string& first, const std::string& second, const RunConfig& config,
                       const RunConfig& other_config) {
  CheckpointFile a(config.settings.checkpoint_every);
  CheckpointFile b(other_config.settings.checkpoint_every);
  open_checkpoint(a, first, false);
  open_checkpoint(b, second, false);
  require_same_run(a, first + "/checkpoint", config);
  require_same_run(b, second + "/checkpoint", other_config);
  if (a.step() != b.step()) {
    std::printf("newest checkpoints are of step %lld and %lld\n", static_cast<long long>(a.step()),
                static_cast<long long>(b.step()));
    return false;
  }
  const auto x = a.snapshot();
  const auto y = b.snapshot();
  const auto sizes = [](const CheckpointIdentity& identity) {
    return std::array{identity.observation_dim, identity.action_dim, identity.hidden_dim};
  };
  if (x.size() != y.size() || sizes(a.identity()) != sizes(b.identity())) {
    std::printf("checkpoints are of learners of different shape\n");
    return false;
  }
  const auto difference = std::mismatch(x.begin(), x.end(), y.begin()).first;
  if (difference == x.end()) return true;
  RunConfig local = config;
  local.path = "";  // Only the layout is asked for, and this machine may lack the run's own path.
  RunSession session(local);
  const auto offset = static_cast<std::size_t>(difference - x.begin());
  std::printf("checkpoints of step %lld differ first in: %s (byte %zu of the snapshot)\n",
              static_cast<long long>(a.step()), part_name(session, offset, x.size()).c_str(),
              offset);
  return false;
}

void print_setting_differences(const RunConfig& a, const RunConfig& b) {
  if (a.task != b.task) std::printf("task: %s and %s\n", a.task.c_str(), b.task.c_str());
  if (a.seed != b.seed) {
    std::printf("seed: %llu and %llu\n", static_cast<unsigned long long>(a.seed),
                static_cast<unsigned long long>(b.seed));
  }
  const AlgorithmInfo& algorithm = *a.settings.algorithm;
  if (&algorithm != b.settings.algorithm) {
    std::printf("algo: %s and %s\n", std::string(algorithm.name).c_str(),
                std::string(b.settings.algorithm->name).c_str());
  }
  if (a.path != b.path) std::printf("path: %s and %s\n", a.path.c_str(), b.path.c_str());
  for (const Setting* setting : all_settings(algorithm)) {
    if (find_setting(*b.settings.algorithm, setting->name) == nullptr) continue;
    const std::string x = format_value(a.settings, setting->name);
    const std::string y = format_value(b.settings, setting->name);
    if (x != y)
      std::printf("%s: %s and %s\n", std::string(setting->name).c_str(), x.c_str(), y.c_str());
  }
}

}  // namespace

int run_compare(const std::string& first, const std::string& second) {
  require_run_folder(first);
  require_run_folder(second);
  const RunConfig a = read_config_toml(first + "/config.toml");
  const RunConfig b = read_config_toml(second + "/config.toml");
  print_setting_differences(a, b);
  if (a.task != b.task) {
    std::printf("runs of different tasks have no step in common; nothing more is compared\n");
    return kCheckFailed;
  }
  const bool same_episodes = episodes_equal(read_episodes(first + "/episodes.csv"),
                                            read_episodes(second + "/episodes.csv"));
  const bool same_checkpoints = checkpoints_equal(first, second, a, b);
  if (same_episodes && same_checkpoints) {
    std::printf("equal: every episode and every byte of the newest checkpoint\n");
    return kDone;
  }
  return kCheckFailed;
}

}  // namespace instep

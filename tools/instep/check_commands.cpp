#include "tools/instep/check_commands.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tools/instep/output.h"
#include "tools/library/check/compare.h"
#include "tools/library/check/replay.h"
#include "tools/library/error.h"
#include "tools/library/json_fields.h"
#include "tools/library/report/report.h"

namespace instep {
namespace {

nlohmann::json to_json(const VerifyResult& result) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::json() : nlohmann::json(text);
  };
  return {
      {"file", result.file},
      {"kind", text_or_null(result.kind)},
      {"schedule", text_or_null(result.schedule)},
      {"backend", text_or_null(result.backend)},
      {"path", text_or_null(result.path)},
      {"worst", std::isfinite(result.worst) && result.was_compared() ? nlohmann::json(result.worst)
                                                                     : nlohmann::json()},
      {"tensor", text_or_null(result.tensor)},
      {"step", result.was_compared() ? nlohmann::json(result.step) : nlohmann::json()},
      {"compared", result.compared},
      {"problem", text_or_null(result.problem)},
      {"pass", result.pass}};
}

void print(const VerifyResult& result) {
  if (!result.was_compared()) {
    std::printf("FAIL  not compared  %s\n", result.file.c_str());
    std::fprintf(stderr, "instep: %s: %s\n", result.file.c_str(), result.problem.c_str());
    return;
  }
  std::printf("%s  %-8s %-10s %7lld numbers, worst %.3g of tolerance (%s, step %lld)  %s\n",
              result.pass ? "pass" : "FAIL", result.path.c_str(), result.schedule.c_str(),
              static_cast<long long>(result.compared), result.worst, result.tensor.c_str(),
              static_cast<long long>(result.step), result.file.c_str());
  if (!result.problem.empty()) {
    std::fprintf(stderr, "instep: %s: %s\n", result.file.c_str(), result.problem.c_str());
  }
}

const char* checkpoint_text(const std::optional<bool>& is_same) {
  if (!is_same) return "is of another step";
  return *is_same ? "is the same" : "DIFFERS";
}

void print(const EpisodeDifference& difference) {
  const auto step = static_cast<unsigned long long>(difference.step);
  if (!difference.field.empty()) {
    std::printf("episodes differ first at line %zu, which ended at step %llu: %s %.17g and %.17g\n",
                difference.line, step, difference.field.c_str(), difference.first,
                difference.second);
  } else {
    std::printf(
        "episodes are equal as far as both go; one run has %.0f, the other %.0f: the first that "
        "only one has ended at step %llu\n",
        difference.first, difference.second, step);
  }
}

void print(const CheckpointDifference& difference) {
  const auto step = static_cast<long long>(difference.first_step);
  switch (difference.kind) {
    case CheckpointDifference::Kind::kStep:
      std::printf("newest checkpoints are of step %lld and %lld\n", step,
                  static_cast<long long>(difference.second_step));
      return;
    case CheckpointDifference::Kind::kShape:
      std::printf("checkpoints are of learners of different shape\n");
      return;
    case CheckpointDifference::Kind::kContents:
      std::printf("checkpoints of step %lld differ first in: %s (byte %zu of the snapshot)\n", step,
                  difference.part.c_str(), difference.offset);
      return;
  }
}

}  // namespace

int run_verify(const VerifyOptions& options, bool json) {
  const std::vector<VerifyResult> results =
      verify(options, [](const VerifyResult& result) { print(result); });
  nlohmann::json files = nlohmann::json::array();
  std::int64_t compared = 0;
  for (const VerifyResult& result : results) {
    files.push_back(to_json(result));
    compared += result.compared;
  }
  const auto failed = std::count_if(results.begin(), results.end(),
                                    [](const VerifyResult& result) { return !result.pass; });
  std::printf("%zu comparisons of %lld numbers, %d failed\n", results.size(),
              static_cast<long long>(compared), static_cast<int>(failed));
  if (json) print_json({{"files", files}, {"compared", compared}, {"pass", failed == 0}});
  return failed == 0 ? kDone : kCheckFailed;
}

int run_replay(const std::string& file, bool json) {
  const ReplayResult result = replay(file);
  std::printf("%llu ticks, %llu actions: ", static_cast<unsigned long long>(result.ticks),
              static_cast<unsigned long long>(result.actions));
  if (result.first_difference) {
    std::printf("they DIFFER from step %lld on\n",
                static_cast<long long>(*result.first_difference));
  } else {
    std::printf("all the same\n");
  }
  std::printf("the checkpoint, of step %lld, %s\n", static_cast<long long>(result.checkpoint_step),
              checkpoint_text(result.is_checkpoint_same));
  if (json) {
    print_json({{"ticks", result.ticks},
                {"actions", result.actions},
                {"first_difference", encode_fields(result.first_difference)},
                {"checkpoint_step", result.checkpoint_step},
                {"checkpoint_same", encode_fields(result.is_checkpoint_same)},
                {"pass", result.passes()}});
  }
  return result.passes() ? kDone : kCheckFailed;
}

int run_compare(const std::string& first, const std::string& second) {
  const RunDifferences differences = compare_runs(first, second);
  for (const SettingDifference& setting : differences.settings) {
    std::printf("%s: %s and %s\n", setting.key.c_str(), setting.first.c_str(),
                setting.second.c_str());
  }
  if (!differences.is_same_task) {
    std::printf("runs of different tasks have no step in common; nothing more is compared\n");
  }
  if (differences.episodes) print(*differences.episodes);
  if (differences.checkpoints) print(*differences.checkpoints);
  if (!differences.are_equal()) return kCheckFailed;
  std::printf("equal: every episode and every byte of the newest checkpoint\n");
  return kDone;
}

int run_report(const std::vector<std::string>& folders, const std::string& out) {
  const std::string file = write_report(folders, out, [](const std::string& warning) {
    std::fprintf(stderr, "instep: warning: %s\n", warning.c_str());
  });
  std::printf("report: %s\n", file.c_str());
  return kDone;
}

}  // namespace instep

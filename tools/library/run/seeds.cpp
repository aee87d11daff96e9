#include "tools/library/run/seeds.h"

#include <algorithm>
#include <filesystem>

#include "tools/library/error.h"
#include "tools/library/json_fields.h"
#include "tools/library/listen/summary.h"
#include "tools/library/report/run_record.h"
#include "tools/library/report/statistics.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"
#include "tools/library/whole_file.h"

namespace instep {

template <Is<SeedPlan> S, typename Visit>
void each_field(S& s, Visit&& visit) {
  visit("first", s.first);
  visit("last", s.last);
  visit("change", s.change);
  visit("init", s.init);
}

bool is_seeds_folder(const std::string& folder) {
  std::error_code error;
  return std::filesystem::exists(folder + '/' + SeedPlan::kName, error);
}

void write_seed_plan(const std::string& folder, const SeedPlan& plan) {
  write_file(folder + '/' + SeedPlan::kConfigName, write_config_toml(plan.config));
  write_file(folder + '/' + SeedPlan::kName, json_text(encode_fields(plan), 2) + '\n');
}

SeedPlan read_seed_plan(const std::string& folder) {
  const std::string path = folder + '/' + SeedPlan::kName;
  const std::string text = read_file(path);
  SeedPlan plan;
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    if (!json.is_object()) throw DataError("not a JSON object");
    decode_fields(json, "", plan);
    if (!json.contains("first") || !json.contains("last")) throw DataError("names no seeds");
    if (plan.last < plan.first || plan.last - plan.first >= 1000) {
      throw DataError("first and last name no seeds");
    }
  } catch (const std::exception& error) {
    throw DataError(path + ": is damaged (" + error.what() +
                    "); go on with each run in the folder: instep train --resume " + folder +
                    "/sSEED");
  }
  plan.config = read_config_toml(folder + '/' + SeedPlan::kConfigName);
  return plan;
}

SeedState look_at_seed(std::uint64_t seed, const std::string& folder, std::int64_t steps) {
  SeedState state{.seed = seed, .folder = folder};
  std::error_code error;
  if (folder.empty() || !std::filesystem::exists(folder + "/config.toml", error)) return state;
  state.progress = SeedState::Progress::kHalfDone;
  try {
    state.summary = read_run_record(folder).summary;
  } catch (const CommandError& trouble) {
    state.trouble = trouble.what();
  }
  if (state.summary) {
    state.ended = state.summary->ended;
    state.steps = state.summary->steps;
    if (state.ended == "done" && state.steps >= steps) state.progress = SeedState::Progress::kDone;
    return state;
  }
  state.steps = checkpoint_step(folder + "/checkpoint").value_or(0);
  return state;
}

std::vector<std::string> begun_seeds(const std::string& folder) {
  const SeedPlan plan = read_seed_plan(folder);
  std::vector<std::string> folders;
  for (std::uint64_t seed = plan.first;; ++seed) {
    const std::string each = folder + "/s" + std::to_string(seed);
    std::error_code error;
    if (std::filesystem::exists(each + "/config.toml", error)) folders.push_back(each);
    if (seed == plan.last) return folders;
  }
}

SeedsResult result_of(std::vector<SeedState> seeds) {
  SeedsResult result;
  result.seeds = std::move(seeds);
  std::vector<double> returns;
  for (const SeedState& seed : result.seeds) {
    if (seed.progress != SeedState::Progress::kDone) continue;
    ++result.done;
    if (seed.summary->mean_return_last_eighth) {
      returns.push_back(*seed.summary->mean_return_last_eighth);
    }
  }
  result.with_mean = static_cast<std::int64_t>(returns.size());
  const std::optional<MeanInterval> interval = mean_interval_95(returns);
  if (interval) {
    result.mean = interval->mean;
    result.half_width = interval->half_width;
  } else if (returns.size() == 1) {
    result.mean = returns.front();
  }
  return result;
}

}  // namespace instep

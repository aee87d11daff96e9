#include "tools/library/run/adaptation.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>

#include "runtime/policy.h"
#include "tools/library/error.h"
#include "tools/library/json_fields.h"
#include "tools/library/report/run_record.h"
#include "tools/library/run/adaptation_json.h"
#include "tools/library/run/eval.h"
#include "tools/library/run/session.h"
#include "tools/library/run/settings_io.h"
#include "tools/library/whole_file.h"

namespace instep {
namespace {

constexpr std::int64_t kPoints = 40;

// A whole text as a number; none when it is anything else.
template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

// One number, or several with commas between them: those of what_1, what_2 and so on.
void add_values(WorldChange& change, const std::string& what, const std::string& text,
                const std::string& word) {
  const bool is_list = text.find(',') != std::string::npos;
  int count = 0;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const auto number = parse_number<double>(std::string_view(text).substr(begin, end - begin));
    if (!number) {
      throw UsageError("--change: " + word +
                       ": must be a name, = and a number, or numbers with commas between them");
    }
    change.values.emplace_back(is_list ? what + '_' + std::to_string(++count) : what, *number);
    begin = end + 1;
  }
}

// The mean return of a policy in the world as it was, over as many steps.
std::optional<double> return_in_old_world(const RunConfig& config, Policy& policy,
                                          std::int64_t steps) {
  const TaskInfo& task = require_task(config.task);
  const auto world = task.make();
  const auto actor = [&](const double* observation, std::uint64_t at) {
    return draw_action(policy, task.action_dim, config.seed, at, observation);
  };
  double sum = 0.0;
  std::uint64_t number = 0;
  int episodes = 0;
  for (std::int64_t step = 0; step < steps; ++episodes) {
    const auto result = run_whole_episode(*world, config.seed, number, actor);
    if (!result || result->length == 0) return std::nullopt;
    sum += result->episode_return;
    step += result->length;
  }
  return sum / episodes;
}

// A copy that does not learn: its episodes, as the run's own episodes.csv would have them, and what
// it earns when the old world comes back.
struct FrozenCopy {
  std::vector<Episode> episodes;
  std::optional<double> old_world;
};

FrozenCopy run_frozen(const RunConfig& config, const std::string& folder, const WorldChange& change,
                      std::int64_t steps, bool adapts_normalizer) {
  const auto session = open_session(folder + '/' + WorldChange::kFolder, config);
  apply_change(change, session->world());
  const auto policy = session->agent().make_policy(adapts_normalizer);
  FrozenCopy copy;
  const auto actor = [&](const double* observation, std::uint64_t at) {
    return draw_action(*policy, session->task().action_dim, config.seed, at, observation);
  };
  std::int64_t step = change.step;
  int cut_in_a_row = 0;  // a world that lets nothing begin any more ends the comparison
  for (std::uint64_t i = 0; step < steps && cut_in_a_row < kCutEpisodesMax; ++i) {
    const EpisodeResult result = run_episode(session->world(), config.seed, i, actor);
    cut_in_a_row = result.is_cut ? cut_in_a_row + 1 : 0;
    if (result.length == 0) continue;
    step += result.length;
    copy.episodes.push_back({.number = i + 1,
                             .step = static_cast<std::uint64_t>(step),
                             .return_sum = result.episode_return,
                             .length = static_cast<std::uint64_t>(result.length),
                             .terminated = result.terminated});
  }
  copy.old_world = return_in_old_world(config, *policy, (steps - change.step) / 10);
  return copy;
}

std::optional<double> peak_of(const std::vector<AdaptationPoint>& points,
                              std::optional<double> AdaptationPoint::*value) {
  std::optional<double> peak;
  for (const AdaptationPoint& point : points) {
    if (point.*value) peak = std::max(peak.value_or(*(point.*value)), *(point.*value));
  }
  return peak;
}

// What the run's own policy, as it is at its end, earns when the old world comes back.
std::optional<double> learnt_in_old_world(const RunConfig& config, const std::string& folder,
                                          std::int64_t steps) {
  const auto session = open_session(folder, config);
  const auto policy = session->agent().make_policy(false);
  return return_in_old_world(config, *policy, steps);
}

// Whether one of the names is the other, or one of its parts: joint_gain and joint_gain_1.
bool overlap(const std::string& one, const std::string& other) {
  const std::string& longer = one.size() < other.size() ? other : one;
  const std::string& shorter = one.size() < other.size() ? one : other;
  if (!longer.starts_with(shorter)) return false;
  const std::string rest = longer.substr(shorter.size());
  return rest.empty() || (rest.size() > 1 && rest[0] == '_' &&
                          rest.find_first_not_of("0123456789", 1) == std::string::npos);
}

void require_each_once(const WorldChange& change) {
  for (std::size_t i = 0; i < change.values.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      const std::string& what = change.values[i].first;
      const std::string& before = change.values[k].first;
      if (!overlap(before, what)) continue;
      throw UsageError("--change: " + printable(what) + " is given twice" +
                       (what == before ? "" : ", once as " + printable(before)) +
                       "; write it once");
    }
  }
}

}  // namespace

WorldChange parse_change(const std::string& text) {
  WorldChange change;
  change.text = text;
  change.step = -1;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const bool is_last = (words >> std::ws).eof();
    if (!is_last && word.size() > 1 && word.back() == ',') word.pop_back();
    const std::size_t equals = word.find('=');
    const std::string what = word.substr(0, equals);
    const std::string value = equals == std::string::npos ? "1" : word.substr(equals + 1);
    if (what == "at") {
      const auto step = whole_number(value);
      if (!step || *step < 0) {
        throw UsageError("--change: at=" + value + ": must be a step, from 0 on");
      }
      if (change.step >= 0) throw UsageError("--change: at is given twice; write it once");
      change.step = *step;
      continue;
    }
    add_values(change, what, value, word);
  }
  if (change.step < 0 || change.values.empty()) {
    throw UsageError("--change '" + printable(text) +
                     "': write when and what, as in 'at=100000 left_wheel=0.6'");
  }
  require_each_once(change);
  return change;
}

WorldChange read_change(const std::string& path) {
  std::string text = read_file(path);
  text.erase(std::min(text.find('\n'), text.size()));
  try {
    return parse_change(text);
  } catch (const UsageError& error) {
    throw DataError(path + ": is damaged (" + error.what() + ')');
  }
}

void check_change(const WorldChange& change, const TaskInfo& task) {
  const auto world = task.make();
  for (const auto& [what, value] : change.values) {
    if (world->change(what, value)) continue;
    char number[32];
    std::snprintf(number, sizeof number, "%g", value);
    throw UsageError("--change: task " + std::string(task.name) + " has no '" + printable(what) +
                     "' that could become " + number +
                     (task.changes.empty() ? "; nothing of it can change"
                                           : "; it has " + std::string(task.changes)));
  }
}

void apply_change(const WorldChange& change, Environment& world) {
  for (const auto& [what, value] : change.values) static_cast<void>(world.change(what, value));
}

template <Is<AdaptationPoint> S, typename Visit>
void each_field(S& s, Visit&& visit) {
  visit("step", s.step);
  visit("learning", s.learning);
  visit("frozen_weights", s.frozen_weights);
  visit("frozen", s.frozen);
}

template <Is<Adaptation> S, typename Visit>
void each_field(S& s, Visit&& visit) {
  visit("change", s.change);
  visit("at", s.at);
  visit("steps", s.steps);
  visit("points", s.points);
  visit("before", s.before);
  visit("learning_end", s.learning_end);
  visit("frozen_weights_end", s.frozen_weights_end);
  visit("frozen_end", s.frozen_end);
  visit("learning_peak", s.learning_peak);
  visit("frozen_weights_peak", s.frozen_weights_peak);
  visit("frozen_peak", s.frozen_peak);
  visit("learning_mean", s.learning_mean);
  visit("frozen_weights_mean", s.frozen_weights_mean);
  visit("frozen_mean", s.frozen_mean);
  visit("learning_old_world", s.learning_old_world);
  visit("frozen_weights_old_world", s.frozen_weights_old_world);
  visit("frozen_old_world", s.frozen_old_world);
}

nlohmann::json to_json(const Adaptation& adaptation) {
  return encode_fields(adaptation);
}

Adaptation adaptation_from_json(const nlohmann::json& json) {
  if (!json.is_object()) throw DataError("not a JSON object");
  Adaptation adaptation;
  decode_fields(json, "", adaptation);
  return adaptation;
}

Adaptation compare_with_frozen(const RunConfig& config, const std::string& folder,
                               const WorldChange& change, std::int64_t steps) {
  const std::vector<Episode> learning = read_episodes(folder + "/episodes.csv");
  const FrozenCopy frozen_weights = run_frozen(config, folder, change, steps, true);
  const FrozenCopy frozen = run_frozen(config, folder, change, steps, false);
  const auto mean = [](const std::vector<Episode>& episodes, std::int64_t first,
                       std::int64_t last) {
    return mean_return_between(episodes, static_cast<std::uint64_t>(first),
                               static_cast<std::uint64_t>(last));
  };
  Adaptation result;
  result.change = change.text;
  result.at = change.step;
  result.steps = steps;
  const std::int64_t after = steps - change.step;
  for (std::int64_t i = 0; i < kPoints; ++i) {
    const std::int64_t first = change.step + after * i / kPoints;
    const std::int64_t last = change.step + after * (i + 1) / kPoints;
    result.points.push_back({.step = last,
                             .learning = mean(learning, first, last),
                             .frozen_weights = mean(frozen_weights.episodes, first, last),
                             .frozen = mean(frozen.episodes, first, last)});
  }
  result.before = mean(learning, change.step - change.step / 10, change.step);
  const std::int64_t end = steps - after / 10;
  result.learning_end = mean(learning, end, steps);
  result.frozen_weights_end = mean(frozen_weights.episodes, end, steps);
  result.frozen_end = mean(frozen.episodes, end, steps);
  result.learning_mean = mean(learning, change.step, steps);
  result.frozen_weights_mean = mean(frozen_weights.episodes, change.step, steps);
  result.frozen_mean = mean(frozen.episodes, change.step, steps);
  result.learning_peak = peak_of(result.points, &AdaptationPoint::learning);
  result.frozen_weights_peak = peak_of(result.points, &AdaptationPoint::frozen_weights);
  result.frozen_peak = peak_of(result.points, &AdaptationPoint::frozen);
  result.learning_old_world = learnt_in_old_world(config, folder, after / 10);
  result.frozen_weights_old_world = frozen_weights.old_world;
  result.frozen_old_world = frozen.old_world;
  return result;
}

}  // namespace instep

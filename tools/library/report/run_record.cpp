#include "tools/library/report/run_record.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "tools/library/error.h"
#include "tools/library/report/run_summary_json.h"
#include "tools/library/report/text.h"
#include "tools/library/run/adaptation_json.h"
#include "tools/library/run/session.h"
#include "tools/library/whole_file.h"

namespace instep {
namespace {

constexpr std::string_view kEpisodesHeader = "episode,step,return,length,terminated,seconds";

// Takes fields off a line one by one; from_chars knows no locale and no leading blanks.
class Fields {
 public:
  Fields(std::string_view line, std::string where) : rest_(line), where_(std::move(where)) {}

  template <typename Number>
  Number next(const char* name) {
    const std::string_view field = cut(name);
    Number value{};
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc() || end != field.data() + field.size()) {
      throw DataError(where_ + name + " is \"" + std::string(field) + "\", not a number that fits");
    }
    return value;
  }

  bool next_flag(const char* name) {
    const std::string_view field = cut(name);
    if (field == "0") return false;
    if (field == "1") return true;
    throw DataError(where_ + name + " is \"" + std::string(field) + "\", neither 0 nor 1");
  }

  void expect_end() const {
    if (!at_end_) throw DataError(where_ + "there are more than six fields");
  }

 private:
  std::string_view cut(const char* name) {
    if (at_end_) throw DataError(where_ + "the field " + name + " is missing");
    const std::size_t comma = rest_.find(',');
    const std::string_view field = rest_.substr(0, comma);
    at_end_ = comma == std::string_view::npos;
    if (!at_end_) rest_.remove_prefix(comma + 1);
    return field;
  }

  std::string_view rest_;
  std::string where_;
  bool at_end_ = false;
};

Episode parse_episode(std::string_view line, const std::string& where) {
  Fields fields(line, where);
  Episode episode;
  episode.number = fields.next<std::uint64_t>("episode");
  episode.step = fields.next<std::uint64_t>("step");
  episode.return_sum = fields.next<double>("return");
  episode.length = fields.next<std::uint64_t>("length");
  episode.terminated = fields.next_flag("terminated");
  episode.seconds = fields.next<double>("seconds");
  fields.expect_end();
  if (!(episode.seconds >= 0.0) || !usable(episode.seconds)) {
    throw DataError(where + "seconds is " + shortest_text(episode.seconds) + ", which is no time");
  }
  constexpr auto kStepMax = std::uint64_t{1} << 53;  // what a report can still count
  if (episode.step > kStepMax) throw DataError(where + "step is more than a run can have");
  return episode;
}

nlohmann::json read_json(const std::string& path) {
  try {
    return nlohmann::json::parse(read_file(path));
  } catch (const nlohmann::json::exception& error) {
    throw DataError(std::string("not JSON: ") + error.what());
  }
}

std::string damage_text(const RunRecord& record, const std::string& name, const std::string& what) {
  return (std::filesystem::path(record.path) / name).string() + ": is damaged and left out (" +
         what + "); `instep train --resume " + record.path + "` writes it anew";
}

// Takes one of the files that a report can do without, where there is one.
template <typename Read>
void take_file(RunRecord& record, const std::string& name, const Read& read) {
  const std::string path = (std::filesystem::path(record.path) / name).string();
  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::symlink_status(path, ignored))) return;
  try {
    read(path);
  } catch (const DataError& error) {
    std::string what = error.what();
    if (what.starts_with(path + ": ")) what.erase(0, path.size() + 2);
    record.problems.push_back(damage_text(record, name, what));
  }
}

}  // namespace

namespace {

std::vector<Episode> parse_episodes(const std::string& text, const std::string& path) {
  std::vector<Episode> episodes;
  std::uint64_t number = 1;
  std::size_t end = text.find('\n');
  for (std::size_t begin = 0; end != std::string::npos; ++number) {
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    end = text.find('\n', begin);
    const std::string where = path + ": line " + std::to_string(number) + " is damaged: ";
    if (number == 1) {
      if (line != kEpisodesHeader) {
        throw DataError(where + "expected the header " + std::string(kEpisodesHeader));
      }
      continue;
    }
    const Episode last = episodes.empty() ? Episode() : episodes.back();
    const Episode episode = parse_episode(line, where);
    if (episode.number != last.number + 1) {
      throw DataError(where + "episode is " + std::to_string(episode.number) + ", expected " +
                      std::to_string(last.number + 1));
    }
    if (episode.step < last.step) throw DataError(where + "step is lower than on the line before");
    if (episode.length > episode.step - last.step) {
      throw DataError(where + "length is more than the steps since the line before");
    }
    episodes.push_back(episode);
  }
  return episodes;
}

}  // namespace

std::vector<Episode> read_episodes(const std::string& path) {
  const std::string text = read_file(path);
  try {
    return parse_episodes(text, path);
  } catch (const DataError& error) {
    throw DataError(error.what() + std::string("; mend it, or restore the file from a copy"));
  }
}

RunRecord read_run_record(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (!fs::exists(status)) throw IoError(folder + ": no such folder");
  if (!fs::is_directory(status)) throw DataError(folder + ": is not a folder; give a run's folder");
  const fs::path root(folder);
  const std::string config = (root / "config.toml").string();
  const std::string episodes = (root / "episodes.csv").string();
  const bool has_config = fs::exists(config, error);
  const bool has_episodes = fs::exists(episodes, error);
  if (!has_config && !has_episodes) {
    throw DataError(folder +
                    ": is not a run's folder: it has neither config.toml nor episodes.csv");
  }
  RunRecord record;
  record.path = folder;
  if (has_config) record.config_text = read_file(config);
  if (has_episodes) record.episodes = read_episodes(episodes);
  take_file(record, "summary.json",
            [&](const std::string& path) { record.summary = summary_from_json(read_json(path)); });
  take_file(record, WorldChange::kName, [&](const std::string& path) {
    const WorldChange change = read_change(path);
    record.change = change.text;
    record.change_step = change.step;
  });
  if (record.summary && record.summary->steps > 0 && !record.episodes.empty() &&
      record.episodes.back().step > static_cast<std::uint64_t>(record.summary->steps)) {
    record.problems.push_back(damage_text(record, "summary.json",
                                          "it tells of " + std::to_string(record.summary->steps) +
                                              " steps, and an episode ended at " +
                                              std::to_string(record.episodes.back().step)));
    record.summary.reset();
  }
  record.best_step = checkpoint_step((root / "best" / "checkpoint").string());
  take_file(record, WorldChange::kResultName, [&](const std::string& path) {
    record.adaptation = adaptation_from_json(read_json(path));
  });
  take_file(record, RecordedEpisode::kName, [&](const std::string& path) {
    record.recorded_episode = parse_recorded_episode(read_file(path), path);
  });
  return record;
}

void require_whole(const RunRecord& record) {
  const auto told =
      record.summary
          ? static_cast<std::uint64_t>(std::max<std::int64_t>(0, record.summary->episodes))
          : 0;
  if (record.episodes.size() >= told) return;
  throw DataError(record.path + "/episodes.csv: line " +
                  std::to_string(record.episodes.size() + 2) + " is missing: it holds " +
                  std::to_string(record.episodes.size()) + " of the " + std::to_string(told) +
                  " episodes that summary.json tells of; restore it from a copy (without "
                  "summary.json, what is left can be reported)");
}

std::optional<double> mean_return_between(std::span<const Episode> episodes,
                                          std::uint64_t first_step, std::uint64_t last_step) {
  const auto ends_by = [](std::uint64_t step, const Episode& episode) {
    return step < episode.step;
  };
  const auto first = std::upper_bound(episodes.begin(), episodes.end(), first_step, ends_by);
  const auto last = std::upper_bound(first, episodes.end(), last_step, ends_by);
  double sum = 0;
  std::size_t count = 0;
  for (auto episode = first; episode < last; ++episode) {
    if (!std::isfinite(episode->return_sum)) continue;
    sum += episode->return_sum;
    ++count;
  }
  if (count == 0) return std::nullopt;
  return sum / static_cast<double>(count);
}

}  // namespace instep

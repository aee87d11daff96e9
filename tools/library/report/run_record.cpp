#include "tools/library/report/run_record.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>

#include "tools/library/error.h"
#include "tools/library/run/adaptation.h"

namespace instep {
namespace {

constexpr std::string_view kEpisodesHeader = "episode,step,return,length,terminated,seconds";

std::string reason() {
  return std::error_code(errno, std::generic_category()).message();
}

std::ifstream open_file(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file && errno == ENOENT) throw DataError(path + ": is missing");
  if (!file) throw IoError(path + ": cannot be opened: " + reason());
  return file;
}

std::string read_text(const std::string& path) {
  std::ifstream file = open_file(path);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) throw IoError(path + ": cannot be read to its end: " + reason());
  return text;
}

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
  return episode;
}

nlohmann::json read_summary(const std::string& path) {
  nlohmann::json summary;
  try {
    summary = nlohmann::json::parse(read_text(path));
  } catch (const nlohmann::json::parse_error& error) {
    throw DataError(path + ": is damaged: not JSON at byte " + std::to_string(error.byte));
  }
  if (!summary.is_object()) throw DataError(path + ": is damaged: not a JSON object");
  return summary;
}

}  // namespace

std::vector<Episode> read_episodes(const std::string& path) {
  std::ifstream file = open_file(path);
  std::vector<Episode> episodes;
  std::string line;
  for (std::uint64_t number = 1; std::getline(file, line) && !file.eof(); ++number) {
    const std::string where = path + ": line " + std::to_string(number) + " is damaged: ";
    if (number == 1) {
      if (line != kEpisodesHeader) {
        throw DataError(where + "expected the header " + std::string(kEpisodesHeader));
      }
      continue;
    }
    episodes.push_back(parse_episode(line, where));
    const std::size_t count = episodes.size();
    if (count > 1 && episodes[count - 1].step < episodes[count - 2].step) {
      throw DataError(where + "step is lower than on the line before");
    }
  }
  if (file.bad()) throw IoError(path + ": cannot be read to its end: " + reason());
  return episodes;
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
  const std::string summary = (root / "summary.json").string();
  const bool has_config = fs::exists(config, error);
  const bool has_episodes = fs::exists(episodes, error);
  if (!has_config && !has_episodes) {
    throw DataError(folder +
                    ": is not a run's folder: it has neither config.toml nor episodes.csv");
  }
  RunRecord record;
  record.path = folder;
  if (has_config) record.config_text = read_text(config);
  if (has_episodes) record.episodes = read_episodes(episodes);
  if (fs::exists(summary, error)) record.summary = read_summary(summary);
  const std::string adaptation = (root / WorldChange::kResultName).string();
  if (fs::exists(adaptation, error)) record.adaptation = read_summary(adaptation);
  const std::string recorded = (root / RecordedEpisode::kName).string();
  if (fs::exists(recorded, error)) {
    record.recorded_episode = parse_recorded_episode(read_text(recorded), recorded);
  }
  return record;
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

// A run folder as `train` leaves it behind, read back for `report`, `resume` and tests.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/library/report/run_summary.h"
#include "tools/library/run/adaptation.h"
#include "tools/library/run/recorded_episode.h"

namespace instep {

// One line of episodes.csv: a finished episode.
struct Episode {
  std::uint64_t number = 0;  // column `episode`: 1, 2, 3, ...
  std::uint64_t step = 0;    // steps of the whole run when it ended; never falls from line to line
  double return_sum = 0;     // column `return`: sum of the rewards; nan where it is not known
  std::uint64_t length = 0;  // steps
  bool terminated = false;   // false: truncated
  double seconds = 0;        // since the loop began
};

// What a run folder holds.
struct RunRecord {
  std::string path{};         // the folder as it was given
  std::string config_text{};  // config.toml, empty where it is missing
  std::string change{};       // what happens to the world on the way, as text; mostly empty
  std::int64_t change_step = 0;
  std::optional<std::int64_t> best_step{};  // of the weights in best/
  std::vector<Episode> episodes{};
  // summary.json. None of a run that goes on or was killed, and of one that is damaged.
  std::optional<RunSummary> summary{};
  std::optional<Adaptation> adaptation{};             // of a run whose world changed
  std::optional<RecordedEpisode> recorded_episode{};  // episode.json, where there is one
  // Which of the last three files are damaged, with what to do about it.
  std::vector<std::string> problems{};
};

// Reads episodes.csv. A last line without its newline is still being written (or was when the run
// was killed) and is left out. Throws IoError if the file cannot be read, DataError with the number
// of the line if one is damaged.
std::vector<Episode> read_episodes(const std::string& path);

// Reads a run folder. Throws IoError if the folder or a file in it cannot be read, DataError if it
// is not a run folder (it has neither config.toml nor episodes.csv) or if episodes.csv is damaged.
// Of other damaged files `problems` tells: everything else stands without them.
RunRecord read_run_record(const std::string& folder);

// Throws DataError when episodes.csv has fewer episodes than the summary tells of.
void require_whole(const RunRecord& record);

// Mean return of the episodes that ended in (first_step, last_step]; none if no episode did. Those
// whose return is not finite are left out.
// `episodes` is in order of step.
std::optional<double> mean_return_between(std::span<const Episode> episodes,
                                          std::uint64_t first_step, std::uint64_t last_step);

}  // namespace instep

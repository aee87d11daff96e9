#include "tools/instep/find_run.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string_view>

#include "tools/library/run/run_folder.h"
#include "tools/library/run/seeds.h"

namespace instep {
namespace {

namespace fs = std::filesystem;

bool is_run(const fs::path& folder) {
  std::error_code error;
  return fs::exists(folder / "config.toml", error) || fs::exists(folder / "episodes.csv", error);
}

// What a run leaves that people would name it by.
bool is_file_of_run(const fs::path& path) {
  constexpr std::array<std::string_view, 8> kNames = {"checkpoint",   "report.html",  "config.toml",
                                                      "summary.json", "episodes.csv", "measured",
                                                      "record",       "seeds.json"};
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return false;
  for (const std::string_view name : kNames) {
    if (path.filename() == name) return true;
  }
  return false;
}

// When a run was last written to.
fs::file_time_type time_of(const fs::path& run) {
  std::error_code error;
  const fs::file_time_type time = fs::last_write_time(run / "checkpoint", error);
  return error ? fs::last_write_time(run / "config.toml", error) : time;
}

// The newest run at most so many folders below.
std::optional<fs::path> newest_run(const fs::path& folder, int depth) {
  std::optional<fs::path> newest;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    std::error_code ignored;
    if (!entry.is_directory(ignored)) continue;
    std::optional<fs::path> found;
    if (is_run(entry.path())) {
      found = entry.path();
    } else if (depth > 1) {
      found = newest_run(entry.path(), depth - 1);
    }
    if (!found) continue;
    const auto age = [](const fs::path& run) { return std::pair(time_of(run), run); };
    if (!newest || age(*found) > age(*newest)) newest = found;
  }
  return newest;
}

std::string find(const std::string& named, bool may_be_seeds) {
  constexpr int kDepthMax = 3;  // runs/TASK/TIME-sSEED
  fs::path folder = named;
  if (is_file_of_run(folder)) {
    folder = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
  }
  if (is_run(folder)) return folder.string();
  if (may_be_seeds && is_seeds_folder(folder.string())) return folder.string();
  const std::optional<fs::path> found = newest_run(folder, kDepthMax);
  if (!found) return named;
  std::fprintf(stderr, "instep: %s: the newest run in it is %s\n", named.c_str(), found->c_str());
  return found->string();
}

}  // namespace

std::string find_run(const std::string& named) {
  return find(named, false);
}

std::string find_run_or_seeds(const std::string& named) {
  return find(named, true);
}

}  // namespace instep

// What tests look at in a run's folder.
#pragma once

#include <filesystem>
#include <map>
#include <sstream>
#include <string>

#include "temporary_folder.h"

namespace instep {

// episodes.csv without its last column, the time, which no two runs share.
inline std::string episodes_without_time(const std::string& run) {
  std::istringstream lines(read_bytes(run + "/episodes.csv"));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    kept += line.substr(0, line.rfind(',')) + '\n';
  }
  return kept;
}

// Every file of a folder and those below it, by path.
inline std::map<std::string, std::string> folder_contents(const std::string& folder) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string path = entry.path().string();
    contents[path] = entry.is_directory() ? "a folder" : read_bytes(path);
  }
  return contents;
}

// Two runs that learnt the same, bit for bit.
inline void expect_equal_runs(const std::string& first, const std::string& second) {
  EXPECT_EQ(episodes_without_time(first), episodes_without_time(second));
  EXPECT_TRUE(read_bytes(first + "/checkpoint") == read_bytes(second + "/checkpoint"))
      << "the checkpoints of " << first << " and " << second << " differ";
}

}  // namespace instep

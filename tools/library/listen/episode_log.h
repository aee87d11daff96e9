// Writing episodes.csv.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "runtime/control_loop.h"
#include "runtime/file.h"

namespace instep {

inline constexpr char kEpisodesHeader[] = "episode,step,return,length,terminated,seconds\n";

// Collects lines in a buffer of its own and writes them when it is full or when asked. Adding a
// line allocates nothing. Functions answer 0 or an errno value.
class EpisodeLog {
 public:
  explicit EpisodeLog(const FileOperations& operations = system_file_operations())
      : file_(operations) {}

  // Makes the file with its header line.
  [[nodiscard]] int create(const std::string& path);
  // Opens an existing file and cuts it after the last episode that ended by `step`. Its lines must
  // be whole and in order up to there; EBADMSG otherwise.
  [[nodiscard]] int open_at(const std::string& path, std::int64_t step, std::int64_t episodes);

  [[nodiscard]] int add(const EpisodeRecord& record, double seconds);
  [[nodiscard]] int flush();
  [[nodiscard]] int sync();  // flush, and wait for the medium

  // Time of the last episode kept by open_at(), so that the column goes on rising.
  double last_seconds() const { return last_seconds_; }

 private:
  static constexpr std::size_t kLineBytesMax = 160;

  File file_;
  std::int64_t file_bytes_ = 0;
  std::array<char, 64 * 1024> buffer_{};
  std::size_t buffered_bytes_ = 0;
  double last_seconds_ = 0.0;
};

}  // namespace instep

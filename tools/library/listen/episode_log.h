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
// line allocates nothing. Room for the next lines is reserved beforehand, so that what a last
// checkpoint counts can be written though the disk has become full. Functions answer 0 or an errno
// value.
class EpisodeLog {
 public:
  explicit EpisodeLog(const FileOperations& operations = system_file_operations())
      : file_(operations) {}

  // Makes the file with its header line.
  [[nodiscard]] int create(const std::string& path);
  // Opens an existing file and cuts it after the last episode that ended by `step`. Its lines must
  // be whole and in order up to there; EBADMSG otherwise.
  [[nodiscard]] int open_at(const std::string& path, std::int64_t step, std::int64_t episodes);

  // Episodes that are missing before this one get a line each, as in fill_up().
  [[nodiscard]] int add(const EpisodeRecord& record, double seconds);
  // Adds a line with a return of nan for every episode up to that number that never came: the
  // writer of a loop on real time may be too far behind. --resume needs each episode that a
  // checkpoint counts.
  [[nodiscard]] int fill_up(std::int64_t episodes, double seconds);
  [[nodiscard]] int flush();
  [[nodiscard]] int sync();  // flush, and wait for the medium
  // 0, or why there is no room for more than is reserved: time to end. What is collected until then
  // can be written.
  int room_error() const { return room_error_; }
  // Gives back what is reserved.
  [[nodiscard]] int finish() { return file_.truncate(file_bytes_); }

  // Time of the last episode kept by open_at(), so that the column goes on rising.
  double last_seconds() const { return last_seconds_; }

 private:
  static constexpr std::size_t kLineBytesMax = 160;
  static constexpr std::size_t kBufferBytes = 16 * 1024;

  void reserve();
  [[nodiscard]] int add_line(const EpisodeRecord& record, double seconds);

  File file_;
  std::int64_t file_bytes_ = 0;
  std::int64_t reserved_bytes_ = 0;
  std::array<char, kBufferBytes> buffer_{};
  std::size_t buffered_bytes_ = 0;
  double last_seconds_ = 0.0;
  std::int64_t last_episode_ = 0;
  std::int64_t last_step_ = 0;
  int room_error_ = 0;
};

}  // namespace instep

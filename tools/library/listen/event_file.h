// Scalars over steps in the format TensorBoard reads.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "runtime/file.h"

namespace instep {

// One named number of a point.
struct Scalar {
  std::string_view tag;
  float value = 0.0F;
};

// Writes events.out.tfevents.instep: TFRecord frames (length, masked CRC-32C, data, masked CRC-32C)
// that hold Event protocol buffers of a step and its scalars. Adding a point allocates nothing;
// points are collected in a buffer of fixed size. Functions answer 0 or an errno value.
class EventFile {
 public:
  static constexpr std::string_view kName = "events.out.tfevents.instep";

  // Makes the file. `wall_time_s` (seconds since 1970) is what TensorBoard shows as time.
  [[nodiscard]] int create(const std::string& path, double wall_time_s);
  // Opens an existing file and cuts it after the last whole point of a step up to `step`. A file
  // that is missing or no longer begins as one of ours is made anew: pictures are no reason to
  // refuse a run.
  [[nodiscard]] int open_at(const std::string& path, std::int64_t step, double wall_time_s);

  // At most kScalarsMax scalars with tags of at most kTagBytesMax bytes.
  [[nodiscard]] int add(std::int64_t step, double wall_time_s, std::span<const Scalar> scalars);
  [[nodiscard]] int flush();

  static constexpr std::size_t kScalarsMax = 32;
  static constexpr std::size_t kTagBytesMax = 48;

 private:
  void append_record(std::span<const std::uint8_t> data);

  File file_;
  std::int64_t file_bytes_ = 0;
  std::array<std::uint8_t, 16 * 1024> buffer_{};
  std::size_t buffered_bytes_ = 0;
};

}  // namespace instep

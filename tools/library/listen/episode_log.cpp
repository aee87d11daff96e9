#include "tools/library/listen/episode_log.h"

#include <cerrno>
#include <charconv>
#include <fstream>
#include <limits>

#include "tools/library/error.h"
#include "tools/library/report/run_record.h"

namespace instep {
namespace {

// Appends a number and a separator; the caller has made sure there is room.
template <typename... Number>
char* append(char* at, char separator, Number... number) {
  at = std::to_chars(at, at + 64, number...).ptr;
  *at++ = separator;
  return at;
}

}  // namespace

int EpisodeLog::create(const std::string& path) {
  if (const int error = file_.open(path, File::Mode::kCreate)) return error;
  for (const char* c = kEpisodesHeader; *c != '\0'; ++c) buffer_[buffered_bytes_++] = *c;
  if (const int error = flush()) return error;
  return room_error_;
}

int EpisodeLog::open_at(const std::string& path, std::int64_t step, std::int64_t episodes) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return errno;
  std::string line;
  if (!std::getline(in, line) || line + '\n' != kEpisodesHeader) return EBADMSG;
  std::int64_t bytes = static_cast<std::int64_t>(line.size()) + 1;
  for (std::int64_t episode = 1; episode <= episodes; ++episode) {
    if (!std::getline(in, line) || in.eof()) return EBADMSG;
    std::int64_t fields[2] = {0, 0};
    const char* at = line.data();
    const char* end = at + line.size();
    for (std::int64_t& field : fields) {
      const auto parsed = std::from_chars(at, end, field);
      if (parsed.ec != std::errc() || parsed.ptr == end || *parsed.ptr != ',') return EBADMSG;
      at = parsed.ptr + 1;
    }
    if (fields[0] != episode || fields[1] > step) return EBADMSG;
    last_episode_ = fields[0];
    last_step_ = fields[1];
    bytes += static_cast<std::int64_t>(line.size()) + 1;
    const std::size_t comma = line.rfind(',');
    std::from_chars(line.data() + comma + 1, end, last_seconds_);
  }
  if (const int error = file_.open(path, File::Mode::kWrite)) return error;
  file_bytes_ = bytes;
  if (const int error = file_.truncate(bytes)) return error;
  reserve();
  return room_error_;
}

int EpisodeLog::add(const EpisodeRecord& record, double seconds) {
  if (const int error = fill_up(record.episode - 1, seconds)) return error;
  last_episode_ = record.episode;
  last_step_ = record.step;
  return add_line(record, seconds);
}

int EpisodeLog::fill_up(std::int64_t episodes, double seconds) {
  while (last_episode_ < episodes) {
    const EpisodeRecord unknown = {.episode = ++last_episode_,
                                   .step = last_step_,
                                   .episode_return = std::numeric_limits<double>::quiet_NaN()};
    if (const int error = add_line(unknown, seconds)) return error;
  }
  return 0;
}

int EpisodeLog::add_line(const EpisodeRecord& record, double seconds) {
  if (buffered_bytes_ + kLineBytesMax > buffer_.size()) {
    if (const int error = flush()) return error;
  }
  char* const begin = buffer_.data() + buffered_bytes_;
  char* at = append(begin, ',', record.episode);
  at = append(at, ',', record.step);
  at = append(at, ',', record.episode_return);
  at = append(at, ',', record.length);
  at = append(at, ',', record.terminated ? 1 : 0);
  at = append(at, '\n', seconds, std::chars_format::fixed, 3);
  buffered_bytes_ += static_cast<std::size_t>(at - begin);
  return 0;
}

// Some buffers at a time, and again when less than two are left: where there is no more, one can
// still be written.
void EpisodeLog::reserve() {
  constexpr auto kBuffer = static_cast<std::int64_t>(kBufferBytes);
  if (file_bytes_ + 2 * kBuffer <= reserved_bytes_) return;
  room_error_ = file_.reserve_ahead(file_bytes_ + 6 * kBuffer);
  if (room_error_ == 0) reserved_bytes_ = file_bytes_ + 6 * kBuffer;
}

int EpisodeLog::flush() {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(buffer_.data());
  if (const int error = file_.write_at({bytes, buffered_bytes_}, file_bytes_)) return error;
  file_bytes_ += static_cast<std::int64_t>(buffered_bytes_);
  buffered_bytes_ = 0;
  if (room_error_ == 0) reserve();
  return 0;
}

int EpisodeLog::sync() {
  if (const int error = flush()) return error;
  return file_.sync();
}

}  // namespace instep

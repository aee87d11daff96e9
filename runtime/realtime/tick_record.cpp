#include "runtime/realtime/tick_record.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

#include "kernels/check.h"
#include "kernels/shape.h"
#include "runtime/hash.h"

namespace instep {
namespace {

constexpr std::array<char, 8> kMagic = {'i', 'n', 's', 't', 'r', 'e', 'c', '1'};

struct FileHeader {
  std::array<char, 8> magic = kMagic;
  TickShape shape;
  std::uint32_t spare = 0;
  std::uint64_t identity = 0;
  std::int64_t step = 0;
  std::uint64_t snapshot_bytes = 0;
  std::uint64_t checksum = 0;  // of header with 0 here, and snapshot
};
static_assert(sizeof(FileHeader) == 56);

std::uint64_t file_checksum(FileHeader header, std::span<const std::uint8_t> snapshot) {
  header.checksum = 0;
  std::array<std::uint8_t, sizeof header> bytes;
  std::memcpy(bytes.data(), &header, sizeof header);
  return hash_words(snapshot, hash_words(bytes));
}

}  // namespace

TickHead tick_head(std::span<const std::uint8_t> frame) {
  TickHead head;
  std::memcpy(&head, frame.data(), sizeof head);
  return head;
}

std::uint64_t tick_checksum(std::span<const std::uint8_t> frame) {
  constexpr std::size_t kAt = offsetof(TickHead, checksum);
  return hash_words(frame.subspan(sizeof(TickHead)), hash_words(frame.first(kAt)));
}

// ---------------------------------------------------------------------------------------------------
// The ring

bool TickRing::push(std::span<const std::uint8_t> frame) {
  const std::uint64_t write = write_.load(std::memory_order_relaxed);
  if (write - read_.load(std::memory_order_acquire) == frames_) return false;
  std::memcpy(bytes_.data() + write % frames_ * frame_bytes_, frame.data(), frame_bytes_);
  write_.store(write + 1, std::memory_order_release);
  return true;
}

std::span<const std::uint8_t> TickRing::front() const {
  const std::uint64_t read = read_.load(std::memory_order_relaxed);
  if (read == write_.load(std::memory_order_acquire)) return {};
  return {bytes_.data() + read % frames_ * frame_bytes_, frame_bytes_};
}

void TickRing::pop() {
  read_.store(read_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

// ---------------------------------------------------------------------------------------------------
// Recording

RecordingWorld::RecordingWorld(RobotWorld& world, const TickShape& shape, TickRing& ring)
    : world_(world), shape_(shape), ring_(ring), frame_(shape.frame_bytes()) {}

void RecordingWorld::begin(std::uint32_t flags, double reward, const double* observation) {
  std::fill(frame_.begin(), frame_.end(), std::uint8_t{0});
  head_ = {.time_ns = world_.tick_ns(),
           .packet_ns = world_.packet_ns(),
           .reward = reward,
           .flags = flags};
  std::memcpy(frame_.data() + shape_.observation_offset(), observation,
              sizeof(double) * static_cast<std::size_t>(shape_.observation_dim));
  has_frame_ = true;
}

// The agent is asked here and not in begin(): only now it has seen the tick.
void RecordingWorld::finish() {
  if (!has_frame_) return;
  has_frame_ = false;
  if (agent_->was_late()) head_.flags |= kTickLate;
  head_.step = agent_->step();
  std::memcpy(frame_.data(), &head_, sizeof head_);
  head_.checksum = tick_checksum(frame_);
  std::memcpy(frame_.data(), &head_, sizeof head_);
  if (!ring_.push(frame_)) ++frames_lost_;
}

void RecordingWorld::mark_snapshot() {
  head_.flags |= kTickSnapshot;
}

void RecordingWorld::reset(const Random& random, std::uint64_t step, double* observation) {
  finish();
  world_.reset(random, step, observation);
  begin(kTickOpensEpisode, 0.0, observation);
}

Outcome RecordingWorld::step(const float* action, double* observation) {
  finish();
  const Outcome outcome = world_.step(action, observation);
  std::uint32_t flags = 0;
  if (outcome.terminated) flags |= kTickTerminated;
  if (outcome.truncated) flags |= kTickTruncated;
  if (outcome.carries_no_step) flags |= kTickCarriesNoStep;
  begin(flags, outcome.reward, observation);
  return outcome;
}

void RecordingWorld::send(const float* action) {
  world_.send(action);
  const Command& command = world_.last_command();
  head_.flags |= kTickActed;
  head_.limit_flags = world_.last_limit_flags();
  head_.command_kind = command.kind;
  head_.command_count = std::min(command.count, shape_.command_count);
  std::memcpy(frame_.data() + shape_.command_offset(), command.values.data(),
              sizeof(double) * static_cast<std::size_t>(head_.command_count));
  std::memcpy(frame_.data() + shape_.action_offset(), action,
              sizeof(float) * static_cast<std::size_t>(shape_.action_dim));
}

// ---------------------------------------------------------------------------------------------------
// The file

std::vector<std::uint8_t> record_header(const TickRecord& record) {
  FileHeader header;
  header.shape = record.shape;
  header.identity = record.identity;
  header.step = record.step;
  header.snapshot_bytes = record.snapshot.size();
  header.checksum = file_checksum(header, record.snapshot);
  std::vector<std::uint8_t> bytes(sizeof header + record.snapshot.size());
  std::memcpy(bytes.data(), &header, sizeof header);
  std::copy(record.snapshot.begin(), record.snapshot.end(), bytes.begin() + sizeof header);
  return bytes;
}

std::string read_record(std::span<const std::uint8_t> file, TickRecord* out) {
  FileHeader header;
  if (file.size() < sizeof header) return "is no record of instep, or was cut short";
  std::memcpy(&header, file.data(), sizeof header);
  if (header.magic != kMagic) return "is no record of instep";
  const TickShape& shape = header.shape;
  const auto after = file.subspan(sizeof header);
  if (header.snapshot_bytes > after.size() || shape.observation_dim < 1 ||
      shape.observation_dim > kObservationDimMax || shape.action_dim < 1 ||
      shape.action_dim > kActionDimMax || shape.command_count < 0 ||
      shape.command_count > Command::kValuesMax || header.step < 0) {
    return "is damaged: its header makes no sense";
  }
  const auto snapshot = after.first(static_cast<std::size_t>(header.snapshot_bytes));
  if (file_checksum(header, snapshot) != header.checksum) return "is damaged: its start is";
  const std::size_t frame_bytes = shape.frame_bytes();
  const auto frames = after.subspan(snapshot.size());
  const auto whole = frames.first(frames.size() / frame_bytes * frame_bytes);
  for (std::size_t at = 0; at < whole.size(); at += frame_bytes) {
    const auto frame = whole.subspan(at, frame_bytes);
    if (tick_checksum(frame) != tick_head(frame).checksum) {
      return "is damaged: tick " + std::to_string(at / frame_bytes) + " is";
    }
  }
  out->shape = shape;
  out->identity = header.identity;
  out->step = header.step;
  out->snapshot.assign(snapshot.begin(), snapshot.end());
  out->frames.assign(whole.begin(), whole.end());
  return "";
}

// ---------------------------------------------------------------------------------------------------
// Replaying

bool ReplayWorld::give(bool opens_episode, double* observation) {
  const auto dim = static_cast<std::size_t>(record_.shape.observation_dim);
  const bool fits = !is_over() && ((tick_head(record_.frame(next_)).flags & kTickOpensEpisode) !=
                                   0) == opens_episode;
  if (!fits) {
    if (!is_over() && first_difference_ < 0) {
      first_difference_ = static_cast<std::int64_t>(agent_->step());
    }
    std::fill_n(observation, dim, std::numeric_limits<double>::quiet_NaN());
    return false;
  }
  const auto frame = record_.frame(next_++);
  std::memcpy(observation, frame.data() + record_.shape.observation_offset(), dim * sizeof(double));
  if ((tick_head(frame).flags & kTickLate) == 0) {
    while (agent_->run_next_task()) continue;
  }
  return true;
}

void ReplayWorld::reset(const Random&, std::uint64_t, double* observation) {
  give(true, observation);
}

Outcome ReplayWorld::step(const float*, double* observation) {
  if (!give(false, observation)) return {.carries_no_step = true};
  const TickHead tick = head();
  return {.reward = tick.reward,
          .terminated = (tick.flags & kTickTerminated) != 0,
          .truncated = (tick.flags & kTickTruncated) != 0,
          .carries_no_step = (tick.flags & kTickCarriesNoStep) != 0};
}

void ReplayWorld::send(const float* action) {
  const auto frame = record_.frame(next_ - 1);
  const bool is_same =
      (tick_head(frame).flags & kTickActed) != 0 &&
      std::memcmp(frame.data() + record_.shape.action_offset(), action,
                  sizeof(float) * static_cast<std::size_t>(record_.shape.action_dim)) == 0;
  ++actions_compared_;
  if (!is_same && first_difference_ < 0) {
    first_difference_ = static_cast<std::int64_t>(agent_->step());
  }
}

}  // namespace instep

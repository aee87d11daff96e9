#include "runtime/realtime/realtime_link.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

namespace instep {
namespace {

constexpr std::int64_t kReopenPauseNs = 250'000'000;
constexpr std::int64_t kReopenPauseNsMax = 8'000'000'000;
constexpr std::int64_t kWaitNsMax = 1'000'000'000;
constexpr std::int64_t kFarewellNs = 300'000'000;  // for what waits to be sent at the end
constexpr int kReadsPerRound = 4;

}  // namespace

RealtimeLink::RealtimeLink(Session& session, int descriptor, const std::string& path,
                           const PortOperations& port, const Guardian* guardian)
    : session_(session), path_(path), port_(port), guardian_(guardian), descriptor_(descriptor) {}

RealtimeLink::~RealtimeLink() {
  stop();
  if (descriptor_ >= 0) close(descriptor_);
}

void RealtimeLink::start() {
  thread_ = std::thread([this] { run(); });
}

void RealtimeLink::stop() {
  if (!thread_.joinable()) return;
  is_stopping_ = true;
  wake_up_.wake();
  thread_.join();
}

// ---------------------------------------------------------------------------------------------------
// The loop's side

void RealtimeLink::post(const Command& command) {
  command_.write({command, clock_.now_ns(), known_packet_ns_});
  wake_up_.wake();
}

bool RealtimeLink::next_packet(Packet* out) {
  const Packet* packet = packets_.front();
  if (packet == nullptr) return false;
  out->time_ns = packet->time_ns;
  out->sequence = packet->sequence;
  out->size = packet->size;
  std::copy_n(packet->bytes.begin(), packet->size, out->bytes.begin());
  packets_.pop();
  known_packet_ns_ = out->time_ns;
  return true;
}

// ---------------------------------------------------------------------------------------------------
// The I/O thread

void RealtimeLink::take(const Packet& packet) {
  if (!packets_.push(packet)) ++packets_lost_;
}

void RealtimeLink::connect(std::int64_t now_ns) {
  reopen_pause_ns_ = 0;
  wake_line_ = false;
  session_.on_connect(now_ns);
}

void RealtimeLink::disconnect(std::int64_t now_ns) {
  close(descriptor_);
  descriptor_ = -1;
  is_awaited_ = false;
  session_.on_disconnect(now_ns);
  reopen_pause_ns_ = kReopenPauseNs;
  reopen_ns_ = now_ns + reopen_pause_ns_;
}

// Sleeps until bytes or a command come, or until then.
void RealtimeLink::wait(std::int64_t deadline_ns) {
  const std::int64_t left = std::clamp<std::int64_t>(deadline_ns - clock_.now_ns(), 0, kWaitNsMax);
  const timespec timeout{static_cast<time_t>(left / 1'000'000'000),
                         static_cast<long>(left % 1'000'000'000)};
  const bool must_write = !session_.output().empty();
  const auto events = static_cast<short>(must_write ? POLLIN | POLLOUT : POLLIN);
  std::array<pollfd, 2> wanted = {pollfd{wake_up_.descriptor(), POLLIN, 0},
                                  pollfd{descriptor_, events, 0}};  // -1 is ignored
  is_readable_ = false;
  if (ppoll(wanted.data(), wanted.size(), &timeout, nullptr) <= 0) return;
  is_readable_ = (wanted[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
}

void RealtimeLink::receive() {
  std::array<std::uint8_t, 4096> bytes;
  for (int i = 0; i < kReadsPerRound; ++i) {
    const ssize_t count = read(descriptor_, bytes.data(), bytes.size());
    const std::int64_t now_ns = clock_.now_ns();
    if (count > 0) {
      session_.on_bytes({bytes.data(), static_cast<std::size_t>(count)}, now_ns, *this);
      if (static_cast<std::size_t>(count) < bytes.size()) return;
    } else if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
      return;
    } else {
      disconnect(now_ns);
      return;
    }
  }
}

void RealtimeLink::take_command() {
  wake_up_.clear();
  if (!command_.read(&awaited_)) return;
  is_awaited_ = true;
  commands_sent_before_ = session_.counters().commands_sent;
  session_.on_command(awaited_.command, clock_.now_ns());
}

void RealtimeLink::transmit() {
  if (port_.set_wake_line != nullptr && descriptor_ >= 0 && session_.wake_line() != wake_line_) {
    wake_line_ = session_.wake_line();
    port_.set_wake_line(descriptor_, wake_line_);
  }
  while (descriptor_ >= 0 && !session_.output().empty()) {
    const auto output = session_.output();
    const ssize_t count = write(descriptor_, output.data(), output.size());
    if (count > 0) {
      session_.consume(static_cast<std::size_t>(count));
    } else if (count < 0 && errno == EINTR) {
      continue;
    } else {
      if (count < 0 && errno != EAGAIN) disconnect(clock_.now_ns());
      return;
    }
  }
  note_sent();
}

// A session may keep a command back that changes nothing; only what was sent has a latency.
void RealtimeLink::note_sent() {
  if (!is_awaited_ || descriptor_ < 0) return;
  is_awaited_ = false;
  if (session_.counters().commands_sent == commands_sent_before_) return;
  const std::int64_t now_ns = clock_.now_ns();
  latency_.command_to_wire.record(now_ns - awaited_.posted_ns);
  if (awaited_.packet_ns > 0) latency_.packet_to_wire.record(now_ns - awaited_.packet_ns);
}

void RealtimeLink::run() {
  priority_error_ = become_realtime("instep-io", kIoPriority);
  std::int64_t now_ns = clock_.now_ns();
  std::int64_t farewell_ns = 0;
  if (descriptor_ >= 0) connect(now_ns);
  while (true) {
    const bool is_last = is_stopping_;  // asked before the last command is taken
    take_command();
    if (descriptor_ >= 0 && is_readable_) receive();
    now_ns = clock_.now_ns();
    if (guardian_ != nullptr && now_ns >= beat_ns_) {
      has_lost_guardian_ = !guardian_->beat() || has_lost_guardian_;
      beat_ns_ = now_ns + Guardian::kBeatIntervalNs;
    }
    if (descriptor_ < 0 && now_ns >= reopen_ns_) {
      descriptor_ = port_.open(path_.c_str());
      if (descriptor_ >= 0) {
        if (guardian_ != nullptr) guardian_->reopen();
        connect(now_ns);
      } else {
        descriptor_ = -1;
        reopen_pause_ns_ = std::clamp(2 * reopen_pause_ns_, kReopenPauseNs, kReopenPauseNsMax);
        reopen_ns_ = now_ns + reopen_pause_ns_;
      }
    }
    std::int64_t next_ns = session_.poll(now_ns);
    transmit();
    state_.store(has_lost_guardian_ ? LinkState::kFailed : session_.state(),
                 std::memory_order_relaxed);
    if (is_last) {
      if (farewell_ns == 0) farewell_ns = now_ns + kFarewellNs;
      const bool is_done = session_.output().empty() && !is_awaited_;
      if (is_done || descriptor_ < 0 || now_ns >= farewell_ns) return;
    }
    if (descriptor_ < 0) next_ns = std::min(next_ns, reopen_ns_);
    if (guardian_ != nullptr) next_ns = std::min(next_ns, beat_ns_);
    wait(next_ns);
  }
}

}  // namespace instep

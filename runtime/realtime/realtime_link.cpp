#include "runtime/realtime/realtime_link.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

namespace instep {
namespace {}  // namespace

RealtimeLink::RealtimeLink(Session& session, Descriptor descriptor, const PortAddress& address,
                           const PortOperations& port, Guardian* guardian, const LinkEnd& end)
    : session_(session),
      address_(address),
      port_(port),
      guardian_(guardian),
      end_(end),
      descriptor_(std::move(descriptor)) {}

RealtimeLink::~RealtimeLink() {
  stop();
}

void RealtimeLink::start() {
  thread_ = start_thread("the I/O thread, which talks to the robot,", [this] { run(); });
}

void RealtimeLink::stop() {
  if (!thread_.joinable()) return;
  ask_to_stop();
  thread_.join();
}

void RealtimeLink::ask_to_stop() {
  is_stopping_ = true;
  wake_up_.wake();
}

void RealtimeLink::set_halt(bool must_stand) {
  must_stand_ = must_stand;
  wake_up_.wake();
}

// ---------------------------------------------------------------------------------------------------
// The loop's side

void RealtimeLink::post(const Command& command, bool is_standing) {
  command_.write({command, clock_.now_ns(), known_packet_ns_, is_standing});
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
  wake_line_ = false;
  session_.on_connect(now_ns);
}

// The guardian lets go, too: a port that somebody has open keeps its name, and its lock.
void RealtimeLink::disconnect(std::int64_t now_ns) {
  descriptor_.reset();
  if (guardian_ != nullptr) guardian_->lose();
  is_awaited_ = false;
  session_.on_disconnect(now_ns);
  reopen_ns_ = now_ns + kReopenNs;
}

void RealtimeLink::reopen(std::int64_t now_ns) {
  if (descriptor_.is_open() || now_ns < reopen_ns_) return;
  reopen_ns_ = now_ns + kReopenNs;
  descriptor_.reset(std::max(-1, port_.open(&address_)));
  if (!descriptor_.is_open()) return;
  if (port_.claim(descriptor_.get()) != 0) {
    descriptor_.reset();
    return;
  }
  if (guardian_ != nullptr) guardian_->reopen(address_);
  connect(now_ns);
}

void RealtimeLink::beat(std::int64_t now_ns) {
  if (guardian_ == nullptr) return;
  if (now_ns >= beat_ns_) {
    has_lost_guardian_ = !guardian_->beat() || has_lost_guardian_;
    beat_ns_ = now_ns + Guardian::kBeatIntervalNs;
  }
  note_guardian_stops(now_ns);
}

// This process stood still, and the robot was stopped behind the session's back.
void RealtimeLink::note_guardian_stops(std::int64_t now_ns) {
  if (guardian_ == nullptr) return;
  const std::uint32_t stops = guardian_->stops();
  if (stops == guardian_stops_) return;
  guardian_stops_ = stops;
  if (descriptor_.is_open()) session_.on_interruption(now_ns);
}

void RealtimeLink::look_at_port(std::int64_t now_ns) {
  if (!descriptor_.is_open()) return;
  const int look = port_.prepare(descriptor_.get());
  if (look < 0) {
    disconnect(now_ns);
  } else if (look == kPortMended) {
    ++port_resets_;
    is_awaited_ = false;
    if (port_.set_wake_line != nullptr) port_.set_wake_line(descriptor_.get(), wake_line_);
    session_.on_interruption(now_ns);
  }
}

// Sleeps until bytes or a command come, or until then.
void RealtimeLink::wait(std::int64_t deadline_ns) {
  const std::int64_t left = std::clamp<std::int64_t>(deadline_ns - clock_.now_ns(), 0, kLookNs);
  const timespec timeout{static_cast<time_t>(left / 1'000'000'000),
                         static_cast<long>(left % 1'000'000'000)};
  const bool must_write = !session_.output().empty();
  const auto events = static_cast<short>(must_write ? POLLIN | POLLOUT : POLLIN);
  const int nudge = guardian_ != nullptr ? guardian_->nudge().descriptor() : -1;
  std::array<pollfd, 3> wanted = {pollfd{wake_up_.descriptor(), POLLIN, 0},
                                  pollfd{descriptor_.get(), events, 0},  // -1 is ignored
                                  pollfd{nudge, POLLIN, 0}};
  is_readable_ = false;
  if (ppoll(wanted.data(), wanted.size(), &timeout, nullptr) <= 0) return;
  if (wanted[2].revents != 0) guardian_->nudge().clear();
  is_readable_ = (wanted[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
}

// All that is there goes to the session at once, which dates the packets of a backlog by how many
// follow them. A terminal gives at most kReadBytesMax at a time.
void RealtimeLink::receive() {
  constexpr std::size_t kReadBytesMax = 4096;
  std::size_t size = 0;
  bool is_dead = false;
  for (bool has_more = true; has_more && size < input_.size();) {
    const ssize_t count = read(descriptor_.get(), input_.data() + size, input_.size() - size);
    if (count < 0 && errno == EINTR) continue;
    is_dead = count == 0 || (count < 0 && errno != EAGAIN);
    size += static_cast<std::size_t>(std::max<ssize_t>(count, 0));
    has_more = count >= static_cast<ssize_t>(kReadBytesMax);
  }
  const std::int64_t now_ns = clock_.now_ns();
  note_guardian_stops(now_ns);  // which these bytes may show
  if (size > 0) session_.on_bytes({input_.data(), size}, now_ns, *this);
  if (is_dead) disconnect(now_ns);
}

void RealtimeLink::take_command() {
  wake_up_.clear();
  const bool was_halted = is_halted_;
  is_halted_ = must_stand_;
  // A device that was never told to move (a dry run's) is told no stop, either.
  if (is_halted_ && !was_halted && has_moved_) {
    Command stop;
    stop.acknowledged = awaited_.command.acknowledged;
    session_.on_command(stop, clock_.now_ns());
  }
  if (!command_.read(&awaited_)) return;
  if (is_halted_ && !awaited_.is_standing) return;
  is_awaited_ = true;
  has_moved_ = has_moved_ || awaited_.command.kind != Command::kStop;
  commands_sent_before_ = session_.counters().commands_sent;
  session_.on_command(awaited_.command, clock_.now_ns());
}

void RealtimeLink::transmit() {
  if (port_.set_wake_line != nullptr && descriptor_.is_open() &&
      session_.wake_line() != wake_line_) {
    wake_line_ = session_.wake_line();
    port_.set_wake_line(descriptor_.get(), wake_line_);
  }
  while (descriptor_.is_open() && !session_.output().empty()) {
    const auto output = session_.output();
    const ssize_t count = write(descriptor_.get(), output.data(), output.size());
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
  if (!is_awaited_ || !descriptor_.is_open()) return;
  is_awaited_ = false;
  if (session_.counters().commands_sent == commands_sent_before_) return;
  const std::int64_t now_ns = clock_.now_ns();
  latency_.command_to_wire.record(now_ns - awaited_.posted_ns);
  if (awaited_.packet_ns > 0) latency_.packet_to_wire.record(now_ns - awaited_.packet_ns);
}

void RealtimeLink::publish(std::int64_t now_ns) {
  if (now_ns < count_ns_) return;
  count_ns_ = now_ns + kCountNs;
  published_.write(counts());
}

LinkCounts RealtimeLink::counts() const {
  return {.latency = latency_,
          .session = session_.counters(),
          .packets_lost = packets_lost_,
          .port_resets = port_resets_,
          .guardian_stops = guardian_stops_};
}

const LinkCounts& RealtimeLink::newest_counts() {
  static_cast<void>(published_.read(&newest_counts_));  // nothing new: as they were
  return newest_counts_;
}

// The last command may not have been heard. What the robot was told, and the session with it, does
// not matter any more.
void RealtimeLink::see_it_stand() {
  if (end_.stop == nullptr || !has_moved_) return;
  PortStop work(*end_.stop, port_, address_, descriptor_);
  const std::int64_t end_ns = clock_.now_ns() + end_.timeout_ns;
  for (std::int64_t now_ns = clock_.now_ns(); now_ns < end_ns && !work.stands();
       now_ns = clock_.now_ns()) {
    beat(now_ns);
    work.step(std::min(end_ns, now_ns + Guardian::kBeatIntervalNs), -1);
  }
  stood_ = work.stands();
}

void RealtimeLink::run() {
  priority_error_ = become_realtime("instep-io", kIoPriority);
  if (guardian_ != nullptr) {
    guardian_->watch_this_thread();
    guardian_stops_ = guardian_->stops();
  }
  if (descriptor_.is_open()) connect(clock_.now_ns());
  while (true) {
    const bool is_last = is_stopping_;  // asked before the last command is taken
    rounds_.fetch_add(1, std::memory_order_relaxed);
    beat(clock_.now_ns());
    take_command();
    if (descriptor_.is_open() && is_readable_) receive();
    const std::int64_t now_ns = clock_.now_ns();
    reopen(now_ns);
    look_at_port(now_ns);
    std::int64_t next_ns = session_.poll(now_ns);
    transmit();
    publish(now_ns);
    state_.store(has_lost_guardian_ ? LinkState::kFailed : session_.state(),
                 std::memory_order_relaxed);
    if (is_last) break;
    if (!descriptor_.is_open()) next_ns = std::min(next_ns, reopen_ns_);
    if (guardian_ != nullptr) next_ns = std::min(next_ns, beat_ns_);
    wait(next_ns);
  }
  see_it_stand();
  descriptor_.reset();
  if (guardian_ != nullptr) stood_.value_or(true) ? guardian_->release() : guardian_->leave();
  has_ended_.store(true, std::memory_order_release);
}

}  // namespace instep

#include "runtime/realtime/realtime_link.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <utility>

#include "kernels/check.h"

namespace instep {
namespace {

std::vector<LinkChannel> one_channel(Descriptor descriptor, const PortAddress& address,
                                     const PortOperations& port) {
  std::vector<LinkChannel> channels;
  channels.push_back({address, port, std::move(descriptor)});
  return channels;
}

}  // namespace

RealtimeLink::RealtimeLink(Session& session, std::vector<LinkChannel> channels, Guardian* guardian,
                           const LinkEnd& end)
    : session_(session), guardian_(guardian), end_(end) {
  INSTEP_CHECK(static_cast<int>(channels.size()) == session.channel_count());
  INSTEP_CHECK(session.channel_count() <= kChannelsMax && end.channel < session.channel_count());
  for (LinkChannel& channel : channels) channels_.push_back({std::move(channel)});
}

RealtimeLink::RealtimeLink(Session& session, Descriptor descriptor, const PortAddress& address,
                           const PortOperations& port, Guardian* guardian, const LinkEnd& end)
    : RealtimeLink(session, one_channel(std::move(descriptor), address, port), guardian, end) {}

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

void RealtimeLink::connect(int number, std::int64_t now_ns) {
  Channel& channel = channels_[static_cast<std::size_t>(number)];
  channel.is_connecting = false;
  channel.wake_line = false;
  channel.due_ns = now_ns + kReopenNs;
  session_.on_connect(number, now_ns);
}

// The guardian lets go, too: a port that somebody has open keeps its name, and its lock. A port
// that was open for a while is opened again at once: somebody may have hung it up and left it
// there.
void RealtimeLink::disconnect(int number, std::int64_t now_ns) {
  Channel& channel = channels_[static_cast<std::size_t>(number)];
  channel.descriptor.reset();
  channel.is_connecting = false;
  channel.due_ns = std::max(channel.due_ns, now_ns + kLetGoNs);
  if (guardian_ != nullptr && number == end_.channel) guardian_->lose();
  if (number == 0) is_awaited_ = false;
  session_.on_disconnect(number, now_ns);
}

void RealtimeLink::open(int number, std::int64_t now_ns) {
  Channel& channel = channels_[static_cast<std::size_t>(number)];
  if (now_ns < channel.due_ns) return;
  channel.due_ns = now_ns + kReopenNs;
  channel.descriptor.reset(std::max(-1, channel.port.open(&channel.address)));
  if (!channel.descriptor.is_open()) return;
  if (channel.port.claim(channel.descriptor.get()) != 0) {
    channel.descriptor.reset();
    return;
  }
  if (channel.port.connected != nullptr) {
    channel.is_connecting = true;
    channel.due_ns = now_ns + PortStop::kConnectNsMax;
    return follow_connection(number, now_ns);
  }
  if (guardian_ != nullptr && number == end_.channel) guardian_->reopen(channel.address);
  connect(number, now_ns);
}

void RealtimeLink::follow_connection(int number, std::int64_t now_ns) {
  Channel& channel = channels_[static_cast<std::size_t>(number)];
  const int error = channel.port.connected(channel.descriptor.get());
  if (error == 0) return connect(number, now_ns);
  if (error == EINPROGRESS && now_ns < channel.due_ns) return;
  channel.descriptor.reset();
  channel.is_connecting = false;
  channel.due_ns = now_ns + kReopenNs;
}

void RealtimeLink::follow_channel(int number, std::int64_t now_ns) {
  const Channel& channel = channels_[static_cast<std::size_t>(number)];
  const bool is_wanted = session_.wants(number);
  if (!channel.descriptor.is_open()) {
    if (is_wanted) open(number, now_ns);
  } else if (channel.is_connecting) {
    follow_connection(number, now_ns);
  } else if (!is_wanted) {
    disconnect(number, now_ns);
  } else {
    static_cast<void>(look_at_port(number, now_ns));
  }
}

// Whether the guardian lives and answers.
bool RealtimeLink::is_guarded() {
  const std::uint32_t heard = guardian_->heard();
  unheard_beats_ = heard == heard_ ? unheard_beats_ + 1 : 0;
  heard_ = heard;
  if (!guardian_->beat()) return false;
  const bool must_look = unheard_beats_ > 0 && unheard_beats_ % kUnheardBeatsMax == 0;
  return !must_look || (unheard_beats_ < kUnheardBusyMax && !guardian_->is_at_rest());
}

void RealtimeLink::beat(std::int64_t now_ns) {
  if (guardian_ == nullptr) return;
  if (now_ns >= beat_ns_) {
    has_lost_guardian_ = !is_guarded() || has_lost_guardian_;
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
  for (int i = 0; i < session_.channel_count(); ++i) {
    if (channels_[static_cast<std::size_t>(i)].is_up()) session_.on_interruption(i, now_ns);
  }
}

// Answers what port.prepare() did.
int RealtimeLink::look_at_port(int number, std::int64_t now_ns) {
  const Channel& channel = channels_[static_cast<std::size_t>(number)];
  const int look = channel.port.prepare(channel.descriptor.get());
  if (look < 0) {
    disconnect(number, now_ns);
  } else if (look == kPortMended) {
    ++port_resets_;
    is_awaited_ = false;
    if (channel.port.set_wake_line != nullptr) {
      channel.port.set_wake_line(channel.descriptor.get(), channel.wake_line);
    }
    session_.on_interruption(number, now_ns);
  }
  return look;
}

// Sleeps until bytes or a command come, or until then.
void RealtimeLink::wait(std::int64_t deadline_ns) {
  const std::int64_t left = std::clamp<std::int64_t>(deadline_ns - clock_.now_ns(), 0, kLookNs);
  const timespec timeout{static_cast<time_t>(left / 1'000'000'000),
                         static_cast<long>(left % 1'000'000'000)};
  const int nudge = guardian_ != nullptr ? guardian_->nudge().descriptor() : -1;  // -1 is ignored
  std::array<pollfd, kChannelsMax + 2> wanted;
  wanted[0] = {wake_up_.descriptor(), POLLIN, 0};
  wanted[1] = {nudge, POLLIN, 0};
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    Channel& channel = channels_[i];
    const bool must_write = channel.is_connecting || !session_.output(static_cast<int>(i)).empty();
    const auto events = static_cast<short>(must_write ? POLLIN | POLLOUT : POLLIN);
    wanted[i + 2] = {channel.descriptor.get(), events, 0};
    channel.is_readable = false;
  }
  if (ppoll(wanted.data(), channels_.size() + 2, &timeout, nullptr) <= 0) return;
  if (wanted[1].revents != 0) guardian_->nudge().clear();
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    channels_[i].is_readable = (wanted[i + 2].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
  }
}

// All that is there goes to the session at once, which dates the packets of a backlog by how many
// follow them. A terminal gives at most kReadBytesMax at a time.
void RealtimeLink::receive(int number) {
  constexpr std::size_t kReadBytesMax = 4096;
  const Channel& channel = channels_[static_cast<std::size_t>(number)];
  if (!channel.is_up() || !channel.is_readable) return;
  std::size_t size = 0;
  bool is_dead = false;
  for (bool has_more = true; has_more && size < input_.size();) {
    const ssize_t count =
        read(channel.descriptor.get(), input_.data() + size, input_.size() - size);
    if (count < 0 && errno == EINTR) continue;
    is_dead = count == 0 || (count < 0 && errno != EAGAIN);
    size += static_cast<std::size_t>(std::max<ssize_t>(count, 0));
    has_more = count >= static_cast<ssize_t>(kReadBytesMax);
  }
  const std::int64_t now_ns = clock_.now_ns();
  note_guardian_stops(now_ns);  // which these bytes may show
  if (size > 0) session_.on_bytes(number, {input_.data(), size}, now_ns, *this);
  // A port that somebody has set up for lines ends, too: where a byte is an end of file there.
  if (is_dead && look_at_port(number, now_ns) == kPortUnchanged) disconnect(number, now_ns);
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

// Answers whether nothing is left to be written.
bool RealtimeLink::transmit(int number) {
  Channel& channel = channels_[static_cast<std::size_t>(number)];
  if (channel.port.set_wake_line != nullptr && channel.is_up() &&
      session_.wake_line() != channel.wake_line) {
    channel.wake_line = session_.wake_line();
    channel.port.set_wake_line(channel.descriptor.get(), channel.wake_line);
  }
  while (channel.is_up() && !session_.output(number).empty()) {
    const auto output = session_.output(number);
    const ssize_t count = write(channel.descriptor.get(), output.data(), output.size());
    if (count > 0) {
      session_.consume(number, static_cast<std::size_t>(count));
    } else if (count < 0 && errno == EINTR) {
      continue;
    } else {
      if (count < 0 && errno != EAGAIN) disconnect(number, clock_.now_ns());
      return false;
    }
  }
  return true;
}

// A session may keep a command back that changes nothing; only what was sent has a latency.
void RealtimeLink::note_sent() {
  if (!is_awaited_ || !channels_[0].is_up()) return;
  is_awaited_ = false;
  if (session_.counters().commands_sent == commands_sent_before_) return;
  const std::int64_t now_ns = clock_.now_ns();
  latency_.command_to_wire.record(now_ns - awaited_.posted_ns);
  if (awaited_.packet_ns > 0) latency_.packet_to_wire.record(now_ns - awaited_.packet_ns);
}

void RealtimeLink::publish(std::int64_t now_ns) {
  if (session_.loss_number() != loss_.number) {
    session_.save_loss(&loss_);
    loss_.number = session_.loss_number();
    lost_.write(loss_);
  }
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
  LinkChannel own{end_.address, end_.port, {}};
  const bool has_own = end_.channel < 0;
  LinkChannel& place = has_own ? own : channels_[static_cast<std::size_t>(end_.channel)];
  PortStop work(*end_.stop, place.port, place.address, place.descriptor);
  const std::int64_t end_ns = clock_.now_ns() + end_.timeout_ns;
  for (std::int64_t now_ns = clock_.now_ns(); now_ns < end_ns && !work.stands();
       now_ns = clock_.now_ns()) {
    beat(now_ns);
    work.step(std::min(end_ns, now_ns + Guardian::kBeatIntervalNs), -1);
  }
  stood_ = work.stands();
}

std::int64_t RealtimeLink::next_attempt_ns() const {
  std::int64_t next_ns = INT64_MAX;
  for (int i = 0; i < session_.channel_count(); ++i) {
    const Channel& channel = channels_[static_cast<std::size_t>(i)];
    if (!channel.is_up() && session_.wants(i)) next_ns = std::min(next_ns, channel.due_ns);
  }
  return next_ns;
}

void RealtimeLink::run() {
  priority_error_ = become_realtime("instep-io", kIoPriority);
  // A connection that the peer has closed is noticed by write() alone.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  if (guardian_ != nullptr) {
    guardian_->watch_this_thread();
    guardian_stops_ = guardian_->stops();
  }
  const int count = session_.channel_count();
  for (int i = 0; i < count; ++i) {
    if (channels_[static_cast<std::size_t>(i)].is_up()) connect(i, clock_.now_ns());
  }
  while (true) {
    const bool is_last = is_stopping_;  // asked before the last command is taken
    rounds_.fetch_add(1, std::memory_order_relaxed);
    beat(clock_.now_ns());
    take_command();
    for (int i = 0; i < count; ++i) receive(i);
    const std::int64_t now_ns = clock_.now_ns();
    for (int i = 0; i < count; ++i) follow_channel(i, now_ns);
    std::int64_t next_ns = session_.poll(now_ns);
    bool is_all_sent = true;
    for (int i = 0; i < count; ++i) is_all_sent = transmit(i) && is_all_sent;
    if (is_all_sent) note_sent();
    publish(now_ns);
    state_.store(has_lost_guardian_ ? LinkState::kFailed : session_.state(),
                 std::memory_order_relaxed);
    error_.store(session_.error(), std::memory_order_relaxed);
    hold_reason_.store(session_.hold_reason(), std::memory_order_relaxed);
    lacks_.store(session_.lacks(), std::memory_order_relaxed);
    if (is_last) break;
    next_ns = std::min(next_ns, next_attempt_ns());
    if (guardian_ != nullptr) next_ns = std::min(next_ns, beat_ns_);
    wait(next_ns);
  }
  see_it_stand();
  for (Channel& channel : channels_) channel.descriptor.reset();
  if (guardian_ != nullptr) stood_.value_or(true) ? guardian_->release() : guardian_->leave();
  has_ended_.store(true, std::memory_order_release);
}

}  // namespace instep

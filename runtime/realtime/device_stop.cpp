#include "runtime/realtime/device_stop.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

namespace instep {
namespace {

constexpr std::int64_t kStuckNs = 100'000'000;  // a port that takes no byte for so long is emptied
constexpr int kReadsPerRound = 8;

}  // namespace

void PortStop::open() {
  const int opened = port_.open(&address_);
  error_ = opened < 0 ? -opened : 0;
  descriptor_.reset(opened < 0 ? -1 : opened);
  is_connected_ = descriptor_.is_open() && port_.connected == nullptr;
  opened_ns_ = clock_.now_ns();
  next_ns_ = opened_ns_ + kOpenPeriodNs;
}

void PortStop::follow_connection(std::int64_t now_ns) {
  const int error = port_.connected(descriptor_.get());
  is_connected_ = error == 0;
  if (error == EINPROGRESS) {
    next_ns_ = opened_ns_ + kConnectNsMax;
    if (now_ns >= next_ns_) lose(ETIMEDOUT);
  } else if (error != 0) {
    lose(error);
  }
}

void PortStop::lose(int error) {
  descriptor_.reset();
  is_connected_ = false;
  error_ = error;
  begun_ns_ = -1;
  next_ns_ = clock_.now_ns() + kOpenPeriodNs;
}

// What the port holds was sent before the stop, and shows nothing of what follows it.
void PortStop::begin(std::int64_t now_ns) {
  if (port_.discard_output != nullptr) port_.discard_output(descriptor_.get());
  stop_.begin(now_ns);
  begun_ns_ = now_ns;
  stuck_ns_ = -1;
}

int PortStop::read_all(std::int64_t now_ns) {
  std::array<std::uint8_t, 512> bytes;
  for (int i = 0; i < kReadsPerRound; ++i) {
    const ssize_t count = read(descriptor_.get(), bytes.data(), bytes.size());
    if (count == 0) return EIO;
    if (count < 0) return errno == EAGAIN || errno == EINTR ? 0 : errno;
    stop_.on_bytes({bytes.data(), static_cast<std::size_t>(count)}, now_ns);
  }
  return 0;
}

int PortStop::write_all(std::int64_t now_ns) {
  while (!stop_.output().empty()) {
    const auto output = stop_.output();
    const ssize_t count = write(descriptor_.get(), output.data(), output.size());
    if (count > 0) {
      stop_.consume(static_cast<std::size_t>(count));
      stuck_ns_ = -1;
      continue;
    }
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno != EAGAIN) return errno;
    if (stuck_ns_ < 0) stuck_ns_ = now_ns;
    if (now_ns - stuck_ns_ >= kStuckNs) begin(now_ns);
    return 0;
  }
  has_written_ = true;
  return 0;
}

int PortStop::exchange(std::int64_t now_ns, bool may_read) {
  const int look = port_.prepare(descriptor_.get());
  if (look < 0) return -look;
  if (look == kPortMended) {
    if (port_.set_wake_line != nullptr) port_.set_wake_line(descriptor_.get(), false);
    begin(now_ns);
  }
  if (may_read) {
    const int error = read_all(now_ns);
    if (error != 0) return error;
  }
  next_ns_ = stop_.poll(now_ns);
  return write_all(now_ns);
}

void PortStop::step(std::int64_t until_ns, int other, bool may_read) {
  std::int64_t now_ns = clock_.now_ns();
  if (!descriptor_.is_open() && now_ns >= next_ns_) open();
  if (descriptor_.is_open() && !is_connected_) follow_connection(now_ns);
  if (is_connected_) {
    if (begun_ns_ < 0) begin(now_ns);
    const int error = exchange(now_ns, may_read);
    if (error != 0) lose(error);
  }
  if (stands()) return;
  now_ns = clock_.now_ns();
  const std::int64_t left = std::max<std::int64_t>(0, std::min(until_ns, next_ns_) - now_ns);
  const timespec timeout{static_cast<time_t>(left / 1'000'000'000),
                         static_cast<long>(left % 1'000'000'000)};
  const bool must_write = descriptor_.is_open() && (!is_connected_ || !stop_.output().empty());
  const bool must_read = may_read && is_connected_;
  const auto events = static_cast<short>((must_read ? POLLIN : 0) | (must_write ? POLLOUT : 0));
  std::array<pollfd, 2> wanted = {pollfd{descriptor_.get(), events, 0}, pollfd{other, POLLIN, 0}};
  ppoll(wanted.data(), wanted.size(), &timeout, nullptr);
}

}  // namespace instep

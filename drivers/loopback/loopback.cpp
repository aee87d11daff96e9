#include "drivers/loopback/loopback.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include "runtime/clock.h"

namespace instep {
namespace {

// Packets: mark, three spare bytes, a number that counts them, the speed as a float, a checksum
// that makes all bytes sum to 0.
constexpr std::uint8_t kPacketMark = 0x5A;
constexpr std::size_t kPacketBytes = LoopbackFrames::kBytes;
// Commands: mark and two floats.
constexpr std::uint8_t kCommandMark = 0xC3;
constexpr std::size_t kCommandBytes = 9;

constexpr std::string_view kSocketPrefix = "socket ";  // in path(), before its near end's number

constexpr std::array<std::uint8_t, 2 * kCommandBytes - 1> make_stop_bytes() {
  std::array<std::uint8_t, 2 * kCommandBytes - 1> bytes{};
  bytes[kCommandBytes - 1] = kCommandMark;
  return bytes;
}
constexpr auto kStopBytes = make_stop_bytes();

std::uint8_t sum(std::span<const std::uint8_t> bytes) {
  std::uint8_t total = 0;
  for (const std::uint8_t byte : bytes) total = static_cast<std::uint8_t>(total + byte);
  return total;
}

std::array<std::uint8_t, kPacketBytes> make_packet(std::uint32_t number, float velocity) {
  std::array<std::uint8_t, kPacketBytes> packet{};
  packet[0] = kPacketMark;
  std::memcpy(packet.data() + 4, &number, sizeof number);
  std::memcpy(packet.data() + 8, &velocity, sizeof velocity);
  packet[kPacketBytes - 1] = static_cast<std::uint8_t>(-sum({packet.data(), kPacketBytes - 1}));
  return packet;
}

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

constexpr std::array<PacketField, kLoopbackFields> kFields = {{{"number", ""}, {"speed", ""}}};

bool decode(const Packet& packet, std::span<double> values) {
  const auto bytes = packet.view();
  if (bytes.size() != kPacketBytes || bytes[0] != kPacketMark || sum(bytes) != 0) return false;
  std::uint32_t number = 0;
  float speed = 0.0F;
  std::memcpy(&number, bytes.data() + 4, sizeof number);
  std::memcpy(&speed, bytes.data() + 8, sizeof speed);
  values[kLoopbackFieldNumber] = static_cast<double>(number);
  values[kLoopbackFieldSpeed] = static_cast<double>(speed);
  return true;
}

}  // namespace

// ---------------------------------------------------------------------------------------------------
// The device

LoopbackDevice::LoopbackDevice(std::int64_t period_ns, LoopbackLine line) : period_ns_(period_ns) {
  if (line == LoopbackLine::kTerminal) {
    open_terminal();
  } else {
    open_socket();
  }
  thread_ = std::thread([this] { run(); });
}

LoopbackDevice::~LoopbackDevice() {
  is_stopping_ = true;
  thread_.join();
}

void LoopbackDevice::open_terminal() {
  far_.reset(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  const int far_end = far_.get();
  char name[128];
  if (far_end < 0 || grantpt(far_end) != 0 || unlockpt(far_end) != 0 ||
      ptsname_r(far_end, name, sizeof name) != 0) {
    fail("pseudo-terminal");
  }
  termios settings{};
  tcgetattr(far_end, &settings);
  cfmakeraw(&settings);
  tcsetattr(far_end, TCSANOW, &settings);
  path_ = name;
}

void LoopbackDevice::open_socket() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) fail("socket");
  far_.reset(ends[0]);
  near_.reset(ends[1]);
  path_ = std::string(kSocketPrefix) + std::to_string(near_.get());
}

void LoopbackDevice::receive() {
  const MonotonicClock clock;
  std::array<std::uint8_t, 256> bytes;
  const ssize_t count = read(far_.get(), bytes.data(), bytes.size());
  for (ssize_t i = 0; i < count; ++i) {
    if (!parser_.take(bytes[static_cast<std::size_t>(i)])) continue;
    const float velocity = parser_.velocity();
    if (velocity == 0.0F && velocity_ != 0.0F) stopped_ns_ = clock.now_ns();
    velocity_ = velocity;
    ++commands_;
  }
}

void LoopbackDevice::run() {
  // A device has a clock of its own; here at least nothing of ours goes before it.
  const int ignored = become_realtime("loopback", kIoPriority + 5);
  static_cast<void>(ignored);
  const MonotonicClock clock;
  std::int64_t next_ns = clock.now_ns() + period_ns_;
  std::uint32_t sequence = 0;
  while (!is_stopping_) {
    const std::int64_t wait_ns = std::max<std::int64_t>(0, next_ns - clock.now_ns());
    const timespec timeout{static_cast<time_t>(wait_ns / 1'000'000'000),
                           static_cast<long>(wait_ns % 1'000'000'000)};
    pollfd wanted{far_.get(), POLLIN, 0};
    ppoll(&wanted, 1, &timeout, nullptr);
    if ((wanted.revents & POLLIN) != 0) receive();
    // Nobody has the other end open: do not spin.
    if ((wanted.revents & POLLHUP) != 0) sleep_until(next_ns);
    if (clock.now_ns() < next_ns) continue;
    next_ns += period_ns_;
    ++sequence;
    if (is_silent_) continue;
    const auto packet = make_packet(sequence, velocity_);
    if (write(far_.get(), packet.data(), packet.size()) <= 0) continue;
    sent_ns_ = clock.now_ns();
    ++packets_;
  }
}

int open_loopback(PortAddress* address) {
  const char* const path = address->given.data();
  const bool is_socket = std::string_view(path).starts_with(kSocketPrefix);
  const int descriptor = is_socket
                             ? fcntl(std::atoi(path + kSocketPrefix.size()), F_DUPFD_CLOEXEC, 0)
                             : open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return -errno;
  address->node = address->given;
  return descriptor;
}

int claim_loopback(int descriptor) {
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return 0;
  return errno == EWOULDBLOCK ? EBUSY : errno;
}

// A socket passes bytes as they are; a terminal may have been told otherwise.
int prepare_loopback(int descriptor) {
  termios settings{};
  if (tcgetattr(descriptor, &settings) != 0) return errno == ENOTTY ? kPortUnchanged : -errno;
  termios raw = settings;
  cfmakeraw(&raw);
  const bool is_raw = raw.c_iflag == settings.c_iflag && raw.c_oflag == settings.c_oflag &&
                      raw.c_lflag == settings.c_lflag;
  if (is_raw) return kPortUnchanged;
  return tcsetattr(descriptor, TCSANOW, &raw) == 0 ? kPortMended : -errno;
}

// ---------------------------------------------------------------------------------------------------
// The same on simulated time

bool LoopbackCommands::take(std::uint8_t byte) {
  if (size_ == 0 && byte != kCommandMark) return false;
  bytes_[size_++] = byte;
  if (size_ < kCommandBytes) return false;
  size_ = 0;
  std::memcpy(&velocity_, bytes_.data() + 1, sizeof velocity_);
  return true;
}

bool LoopbackSimulator::open(int channel) {
  return channel == 0;
}

void LoopbackSimulator::on_bytes(int, std::span<const std::uint8_t> bytes, std::int64_t) {
  for (const std::uint8_t byte : bytes) static_cast<void>(parser_.take(byte));
}

std::int64_t LoopbackSimulator::advance(std::int64_t now_ns) {
  constexpr std::int64_t kPeriodNs = 1'000'000;
  for (; next_ns_ <= now_ns; next_ns_ += kPeriodNs) {
    const auto packet = make_packet(++number_, parser_.velocity());
    if (size_ + packet.size() > bytes_.size()) continue;
    std::copy(packet.begin(), packet.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += packet.size();
  }
  return next_ns_;
}

std::size_t LoopbackSimulator::read(int, std::span<std::uint8_t> out) {
  const std::size_t count = std::min(size_, out.size());
  std::copy_n(bytes_.begin(), count, out.begin());
  size_ -= count;
  std::memmove(bytes_.data(), bytes_.data() + count, size_);
  return count;
}

// ---------------------------------------------------------------------------------------------------
// Packets, and what shows that it stands

const PacketFormat kLoopbackPackets = {.fields = kFields, .decode = decode};

bool LoopbackFrames::take(std::uint8_t byte) {
  if (size_ == 0 && byte != kPacketMark) {
    ++bytes_skipped_;
    return false;
  }
  bytes_[size_++] = byte;
  if (size_ < kPacketBytes) return false;
  size_ = 0;
  if (sum(bytes_) == 0) return true;
  ++checksum_errors_;
  return false;
}

float LoopbackFrames::velocity() const {
  float velocity = 0.0F;
  std::memcpy(&velocity, bytes_.data() + 8, sizeof velocity);
  return velocity;
}

void LoopbackStop::begin(std::int64_t now_ns) {
  frames_.clear();
  written_ = 0;
  sent_ns_ = now_ns;
  has_written_ = false;
  still_packets_ = 0;
  stillness_ = Stillness::kUnknown;
}

// Packets that came before the stop was written show nothing, and neither does the one that was on
// its way.
void LoopbackStop::on_bytes(std::span<const std::uint8_t> bytes, std::int64_t) {
  constexpr int kStillPackets = 3;
  for (const std::uint8_t byte : bytes) {
    if (!frames_.take(byte) || !has_written_) continue;
    still_packets_ = frames_.velocity() == 0.0F ? still_packets_ + 1 : 0;
    stillness_ = still_packets_ >= kStillPackets ? Stillness::kStands : Stillness::kMoves;
  }
}

std::int64_t LoopbackStop::poll(std::int64_t now_ns) {
  constexpr std::int64_t kRepeatNs = 100'000'000;
  const bool is_written = written_ == kStopBytes.size();
  has_written_ = has_written_ || is_written;
  if (is_written && stillness_ != Stillness::kStands && now_ns - sent_ns_ >= kRepeatNs) {
    written_ = 0;
    sent_ns_ = now_ns;
  }
  return sent_ns_ + kRepeatNs;
}

std::span<const std::uint8_t> LoopbackStop::output() const {
  return std::span<const std::uint8_t>(kStopBytes).subspan(written_);
}

// ---------------------------------------------------------------------------------------------------
// The session

void LoopbackSession::on_connect(int, std::int64_t now_ns) {
  if (state_ == LinkState::kLost) ++counters_.reconnects;
  frames_.clear();
  packet_ns_ = now_ns;
  // What it was told last it may go on with.
  output_size_ = is_moved_ ? kStopBytes.size() : 0;
  std::copy_n(kStopBytes.begin(), output_size_, output_.begin());
  is_moving_ = false;
}

void LoopbackSession::on_disconnect(int, std::int64_t) {
  if (state_ == LinkState::kReady) state_ = LinkState::kLost;
  output_size_ = 0;
}

void LoopbackSession::on_bytes(int, std::span<const std::uint8_t> bytes, std::int64_t now_ns,
                               PacketSink& sink) {
  for (const std::uint8_t byte : bytes) {
    const bool is_whole = frames_.take(byte);
    counters_.bytes_skipped = frames_.bytes_skipped();
    counters_.checksum_errors = frames_.checksum_errors();
    if (!is_whole) continue;
    ++counters_.packets;
    state_ = LinkState::kReady;
    packet_ns_ = now_ns;
    packet_.time_ns = now_ns;
    const auto bytes_of_it = frames_.packet();
    std::memcpy(&packet_.sequence, bytes_of_it.data() + 4, sizeof packet_.sequence);
    packet_.size = kPacketBytes;
    std::copy_n(bytes_of_it.begin(), kPacketBytes, packet_.bytes.begin());
    sink.take(packet_);
  }
}

void LoopbackSession::send(double first_wanted, double second_wanted) {
  if (output_size_ + kCommandBytes > output_.size()) return;
  const auto allowed = [](double value) {
    return std::isnan(value) ? 0.0F : static_cast<float>(std::clamp(value, -1.0, 1.0));
  };
  const float first = allowed(first_wanted);
  const float second = allowed(second_wanted);
  output_[output_size_] = kCommandMark;
  std::memcpy(output_.data() + output_size_ + 1, &first, sizeof first);
  std::memcpy(output_.data() + output_size_ + 5, &second, sizeof second);
  output_size_ += kCommandBytes;
  is_moving_ = first != 0.0F || second != 0.0F;
  is_moved_ = is_moved_ || is_moving_;
  ++counters_.commands_sent;
}

void LoopbackSession::on_command(const Command& command, std::int64_t now_ns) {
  command_ns_ = now_ns;
  if (command.kind == Command::kMove) {
    send(command.values[0], command.values[1]);
  } else {
    send(0.0, 0.0);
  }
}

std::int64_t LoopbackSession::poll(std::int64_t now_ns) {
  constexpr std::int64_t kSilenceNs = 1'000'000'000;
  if (state_ == LinkState::kReady && now_ns - packet_ns_ > kSilenceNs) state_ = LinkState::kLost;
  if (is_moving_ && now_ns - command_ns_ >= dead_man_ns_) {
    send(0.0, 0.0);
    ++counters_.dead_man_stops;
  }
  return is_moving_ ? command_ns_ + dead_man_ns_ : now_ns + kSilenceNs;
}

std::span<const std::uint8_t> LoopbackSession::output(int) const {
  return {output_.data(), output_size_};
}

void LoopbackSession::consume(int, std::size_t bytes) {
  std::memmove(output_.data(), output_.data() + bytes, output_size_ - bytes);
  output_size_ -= bytes;
}

// ---------------------------------------------------------------------------------------------------
// The task

LoopbackTask::LoopbackTask(int observation_dim, int action_dim, std::int64_t packet_age_max_ns)
    : observation_dim_(observation_dim), action_dim_(action_dim) {
  limits_.count = 2;
  limits_.lower.fill(-1.0);
  limits_.upper.fill(1.0);
  limits_.rate_max.fill(HUGE_VAL);
  limits_.packet_age_max_ns = packet_age_max_ns;
}

void LoopbackTask::take(const PacketValues& packet) {
  sequence_ = static_cast<std::uint32_t>(packet[kLoopbackFieldNumber]);
  speed_ = packet[kLoopbackFieldSpeed];
}

void LoopbackTask::begin_homing(const Random&, std::uint64_t, std::int64_t) {
  steps_ = 0;
  is_home_ = false;
}

// No way home takes less than a period: the learner may finish the last episode.
Homing LoopbackTask::home(std::int64_t, Command*) {
  return std::exchange(is_home_, true) ? Homing::kDone : Homing::kContinues;
}

void LoopbackTask::observe(double* observation) const {
  for (int i = 0; i < observation_dim_; ++i) {
    const std::uint32_t mixed = (sequence_ + static_cast<std::uint32_t>(i) * 77U) * 2654435761U;
    observation[i] = static_cast<double>(mixed >> 8) * 0x1p-23 - 1.0;
  }
  observation[0] = speed_;
}

void LoopbackTask::first_observation(double* observation) {
  observe(observation);
}

void LoopbackTask::to_command(const float* action, Command* command) {
  command->kind = Command::kMove;
  command->count = 2;
  command->values[0] = static_cast<double>(action[0]);
  command->values[1] = action_dim_ > 1 ? static_cast<double>(action[1]) : 0.0;
}

Sensed LoopbackTask::sense(double* observation) {
  constexpr int kEpisodeSteps = 1000;
  observe(observation);
  return {.reward = -speed_ * speed_, .truncated = ++steps_ >= kEpisodeSteps};
}

}  // namespace instep

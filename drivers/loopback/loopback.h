// A device that is made of nothing but time: it sends a packet every period and takes commands.
// Behind it the whole real path runs, from read() to write(), without hardware: profile measures it
// and tests break it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <thread>

#include "runtime/realtime/descriptor.h"
#include "runtime/realtime/device_stop.h"
#include "runtime/realtime/port.h"
#include "runtime/realtime/thread.h"
#include "runtime/robot.h"

namespace instep {

// What lies between device and driver. A pseudo-terminal hangs up, blocks and is opened again like
// a serial port, but a worker thread of the kernel with ordinary priority carries its bytes. Those
// of a local socket the sender carries itself; its near end passes from this process to the driver.
enum class LoopbackLine { kTerminal, kSocket };

// Finds commands in bytes. Like many a real device it has no checksum on them: one that is cut off
// swallows the bytes of the next.
class LoopbackCommands {
 public:
  // Takes one byte; true when it completes a command.
  bool take(std::uint8_t byte);
  float velocity() const { return velocity_; }  // of the last whole one

 private:
  std::array<std::uint8_t, 16> bytes_{};
  std::size_t size_ = 0;
  float velocity_ = 0.0F;
};

// The far end, in a thread of its own.
class LoopbackDevice {
 public:
  // Opens the line and starts sending. Throws std::system_error.
  explicit LoopbackDevice(std::int64_t period_ns, LoopbackLine line = LoopbackLine::kTerminal);
  ~LoopbackDevice();
  LoopbackDevice(const LoopbackDevice&) = delete;
  LoopbackDevice& operator=(const LoopbackDevice&) = delete;

  // For open_loopback(); of a pseudo-terminal also for others.
  const std::string& path() const { return path_; }
  // Any thread.
  void set_silent(bool is_silent) { is_silent_ = is_silent; }
  float velocity() const { return velocity_; }             // of the last whole command
  std::int64_t stopped_ns() const { return stopped_ns_; }  // when velocity last became 0
  std::uint64_t commands() const { return commands_; }
  std::uint64_t packets() const { return packets_; }
  std::int64_t sent_ns() const { return sent_ns_; }  // the last packet

 private:
  void open_terminal();
  void open_socket();
  void run();
  void receive();

  std::int64_t period_ns_;
  std::string path_;
  Descriptor far_;
  Descriptor near_;  // of a socket
  std::atomic<bool> is_stopping_{false};
  std::atomic<bool> is_silent_{false};
  std::atomic<float> velocity_{0.0F};
  std::atomic<std::int64_t> stopped_ns_{0};
  std::atomic<std::uint64_t> commands_{0};
  std::atomic<std::uint64_t> packets_{0};
  std::atomic<std::int64_t> sent_ns_{0};
  LoopbackCommands parser_;
  std::thread thread_;
};

// The same on simulated time: a packet every millisecond, whose numbers begin as the seed says. It
// has its speed at once.
class LoopbackSimulator final : public DeviceSimulator {
 public:
  explicit LoopbackSimulator(std::uint64_t seed)
      : number_(static_cast<std::uint32_t>(seed) << 20) {}

  bool open(int channel) override;
  void close(int) override { size_ = 0; }
  void on_bytes(int channel, std::span<const std::uint8_t> bytes, std::int64_t now_ns) override;
  std::int64_t advance(std::int64_t now_ns) override;
  std::size_t read(int channel, std::span<std::uint8_t> out) override;
  bool moves() const override { return parser_.velocity() != 0.0F; }

 private:
  LoopbackCommands parser_;
  std::uint32_t number_;
  std::int64_t next_ns_ = 0;
  std::array<std::uint8_t, 1024> bytes_{};  // that wait to be read; beyond them packets are lost
  std::size_t size_ = 0;
};

int open_loopback(PortAddress* address);
int claim_loopback(int descriptor);
int prepare_loopback(int descriptor);

inline constexpr PortOperations kLoopbackPort = {
    .open = open_loopback, .claim = claim_loopback, .prepare = prepare_loopback};

// The indices of a packet's values.
enum LoopbackField : std::size_t {
  kLoopbackFieldNumber,
  kLoopbackFieldSpeed,  // -1 .. 1
  kLoopbackFields       // how many there are
};
extern const PacketFormat kLoopbackPackets;

// Finds packets in bytes.
class LoopbackFrames {
 public:
  static constexpr std::size_t kBytes = 13;

  void clear() { size_ = 0; }
  // Takes one byte; true when it completes a packet whose checksum is right.
  bool take(std::uint8_t byte);
  std::span<const std::uint8_t> packet() const { return {bytes_.data(), kBytes}; }
  float velocity() const;
  std::uint64_t bytes_skipped() const { return bytes_skipped_; }
  std::uint64_t checksum_errors() const { return checksum_errors_; }

 private:
  std::array<std::uint8_t, kBytes> bytes_{};
  std::size_t size_ = 0;
  std::uint64_t bytes_skipped_ = 0;
  std::uint64_t checksum_errors_ = 0;
};

// Every packet says the speed that the device has.
class LoopbackStop final : public DeviceStop {
 public:
  void begin(std::int64_t now_ns) override;
  void on_bytes(std::span<const std::uint8_t> bytes, std::int64_t now_ns) override;
  std::int64_t poll(std::int64_t now_ns) override;
  std::span<const std::uint8_t> output() const override;
  void consume(std::size_t bytes) override { written_ += bytes; }
  Stillness stillness() const override { return stillness_; }

 private:
  LoopbackFrames frames_;
  std::size_t written_ = 0;
  std::int64_t sent_ns_ = 0;
  bool has_written_ = false;
  int still_packets_ = 0;
  Stillness stillness_ = Stillness::kUnknown;
};

class LoopbackSession final : public Session {
 public:
  // The device is told to stop when no command has come for so long.
  explicit LoopbackSession(std::int64_t dead_man_ns) : dead_man_ns_(dead_man_ns) {}

  void on_connect(int channel, std::int64_t now_ns) override;
  void on_disconnect(int channel, std::int64_t now_ns) override;
  void on_bytes(int channel, std::span<const std::uint8_t> bytes, std::int64_t now_ns,
                PacketSink& sink) override;
  void on_command(const Command& command, std::int64_t now_ns) override;
  std::int64_t poll(std::int64_t now_ns) override;
  std::span<const std::uint8_t> output(int channel) const override;
  void consume(int channel, std::size_t bytes) override;
  LinkState state() const override { return state_; }
  const LinkCounters& counters() const override { return counters_; }
  const char* error() const override { return ""; }

 private:
  void send(double first_wanted, double second_wanted);

  std::int64_t dead_man_ns_;
  LinkState state_ = LinkState::kConnecting;
  LinkCounters counters_;
  Packet packet_;
  LoopbackFrames frames_;
  std::array<std::uint8_t, 64> output_{};
  std::size_t output_size_ = 0;
  std::int64_t packet_ns_ = 0;
  std::int64_t command_ns_ = 0;
  bool is_moving_ = false;
  bool is_moved_ = false;  // at any time
};

// Observations of any size that are a function of the packet; 1,000 steps an episode. Homing is one
// period in place.
class LoopbackTask final : public RobotTask {
 public:
  LoopbackTask(int observation_dim, int action_dim, std::int64_t packet_age_max_ns);

  const PacketFormat& packets() const override { return kLoopbackPackets; }
  const CommandLimits& limits() const override { return limits_; }
  void take(const PacketValues& packet) override;
  void begin_homing(const Random& random, std::uint64_t step, std::int64_t now_ns) override;
  Homing home(std::int64_t now_ns, Command* command) override;
  void first_observation(double* observation) override;
  void to_command(const float* action, Command* command) override;
  Sensed sense(double* observation) override;
  std::size_t state_bytes() const override { return 0; }
  void save_state(std::span<std::uint8_t>) const override {}
  bool load_state(std::span<const std::uint8_t>) override { return true; }

 private:
  void observe(double* observation) const;

  int observation_dim_;
  int action_dim_;
  CommandLimits limits_;
  std::uint32_t sequence_ = 0;
  double speed_ = 0.0;
  int steps_ = 0;
  bool is_home_ = false;
};

}  // namespace instep

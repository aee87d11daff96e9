// Stopping a device of which nothing is known, and seeing from what it sends whether it stands. The
// guardian, the end of a run and `instep stop` all do it with this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/clock.h"
#include "runtime/realtime/descriptor.h"
#include "runtime/realtime/port.h"

namespace instep {

// What a device's own bytes show.
enum class Stillness : std::uint8_t {
  kUnknown,  // nothing that can be understood has come since the stop was sent
  kMoves,
  kStands,
};

// A driver's part, as a state machine over bytes like Session. It needs no session, and only ever
// commands standing still. Nothing allocates after construction.
class DeviceStop {
 public:
  DeviceStop() = default;
  DeviceStop(const DeviceStop&) = delete;
  DeviceStop& operator=(const DeviceStop&) = delete;
  virtual ~DeviceStop() = default;

  // Forgets what is known of the device. output() holds the stop at once; the stop completes a
  // command that was cut off.
  virtual void begin(std::int64_t now_ns) = 0;
  virtual void on_bytes(std::span<const std::uint8_t> bytes, std::int64_t now_ns) = 0;
  // Does what is due: repeats the stop, asks for sensors. Answers when to be called next.
  virtual std::int64_t poll(std::int64_t now_ns) = 0;
  virtual std::span<const std::uint8_t> output() const = 0;
  virtual void consume(std::size_t bytes) = 0;
  // Only what was sent after the stop counts.
  virtual Stillness stillness() const = 0;
};

// A DeviceStop at work on a port, as rounds of a loop that belongs to the caller. Allocates nothing
// and waits for nothing but the port.
class PortStop {
 public:
  // How often a port that cannot be opened is tried again.
  static constexpr std::int64_t kOpenPeriodNs = 50'000'000;

  // After so long without a connection the port is opened anew.
  static constexpr std::int64_t kConnectNsMax = 1'000'000'000;

  // Borrows everything. `descriptor`: the opened port, or none; it is closed when it is dead, and
  // opened again at `address`.
  PortStop(DeviceStop& stop, const PortOperations& port, PortAddress& address,
           Descriptor& descriptor)
      : stop_(stop),
        port_(port),
        address_(address),
        descriptor_(descriptor),
        is_connected_(descriptor.is_open()) {}

  // One round: opens the port where it is closed, looks at its settings, writes what is due and
  // reads what has come. Then sleeps until there is more to do, until `until_ns`, or until `other`,
  // a descriptor or -1, can be read. `may_read`: false while the bytes are somebody else's.
  void step(std::int64_t until_ns, int other, bool may_read = true);

  // Forgets what has come so far.
  void begin_again() { begun_ns_ = -1; }

  bool stands() const { return begun_ns_ >= 0 && stop_.stillness() == Stillness::kStands; }
  Stillness stillness() const { return begun_ns_ < 0 ? Stillness::kUnknown : stop_.stillness(); }
  // When the stop was begun on a port that is open since; -1: on none.
  std::int64_t begun_ns() const { return begun_ns_; }
  // Whether a stop has been written whole, at any time.
  bool has_written() const { return has_written_; }
  // Why the port could not be opened or used last; 0: it could.
  int error() const { return error_; }

 private:
  void open();
  void follow_connection(std::int64_t now_ns);
  void lose(int error);
  void begin(std::int64_t now_ns);
  int exchange(std::int64_t now_ns, bool may_read);
  int read_all(std::int64_t now_ns);
  int write_all(std::int64_t now_ns);

  DeviceStop& stop_;
  const PortOperations& port_;
  PortAddress& address_;
  Descriptor& descriptor_;
  MonotonicClock clock_;
  bool is_connected_;
  std::int64_t opened_ns_ = 0;
  std::int64_t begun_ns_ = -1;
  std::int64_t stuck_ns_ = -1;  // since when the port takes no byte
  std::int64_t next_ns_ = 0;
  bool has_written_ = false;
  int error_ = 0;
};

}  // namespace instep

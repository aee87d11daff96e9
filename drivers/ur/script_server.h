// Ports 30001, 30002 and 30003 of the simulated controller: they take URScript as text and send
// binary messages, 10 a second or, from 30003, one each control period. Plain data.
//
// Of what the messages hold, positions, speeds, modes, scaling and the log are true; temperatures,
// currents and forces are those of an arm at rest.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "drivers/ur/controller.h"
#include "drivers/ur/outbox.h"

namespace instep {

enum class UrScriptPort : std::int64_t { kPrimary = 30001, kSecondary = 30002, kRealtime = 30003 };

class UrScriptClient {
 public:
  static constexpr std::size_t kTextMax = 65536;  // of one program

  void open(UrScriptPort port, const UrController& controller, UrOutbox& out);
  // Takes what the client has sent and runs every program and statement that is complete. False:
  // the connection is to be closed, because no program is that long.
  bool on_bytes(std::span<const std::uint8_t> bytes, UrController& controller);
  // The client has gone: the controller says what it has begun and not ended.
  void close(UrController& controller);
  // After each tick of the controller: sends what is due. A client that does not read is sent
  // nothing any more, but its programs are taken.
  void send(UrController& controller, UrOutbox& out);

 private:
  void send_realtime(const UrController& controller, UrOutbox& out);
  void send_state(const UrController& controller, UrOutbox& out);
  void send_log(const UrController& controller, UrOutbox& out);
  bool write(UrOutbox& out, std::span<const std::uint8_t> bytes);

  UrScriptPort port_ = UrScriptPort::kPrimary;
  std::int64_t log_count_ = 0;
  std::int64_t is_discontinued_ = 0;
  std::int64_t has_said_so_ = 0;
  std::int64_t size_ = 0;
  std::int64_t looked_at_ = 0;  // of the text: no end of a program there
  std::array<char, kTextMax> text_{};
};

}  // namespace instep

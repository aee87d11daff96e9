// Port 30004 of the simulated controller: what one RTDE client has set up, and what it is sent.
// Plain data; bytes in, bytes out.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "drivers/ur/controller.h"
#include "drivers/ur/outbox.h"
#include "drivers/ur/rtde.h"

namespace instep {

// Which client owns each input: 0 none, else its number + 1.
using UrInputOwners = std::array<std::int8_t, kRtdeInputs>;

class UrRtdeClient {
 public:
  static constexpr std::size_t kOutputsMax = 256;  // fields of the output recipe
  static constexpr int kRecipesMax = 255;          // of inputs
  static constexpr std::size_t kInputsMax = 2048;  // fields of all input recipes

  // A client has connected; `number` tells it from the others.
  void open(int number, const UrController& controller);
  // It has gone: gives back what it owned.
  void close(UrInputOwners& owners);
  // Takes what the client has sent. False: the connection is to be closed.
  bool on_bytes(std::span<const std::uint8_t> bytes, UrController& controller,
                UrInputOwners& owners, UrOutbox& out);
  // After each tick of the controller: sends what is due. False: the client does not read, and is
  // cut off.
  bool send(const UrController& controller, UrOutbox& out);
  // The same package again and again, as from a controller whose clock stands.
  void set_stale(bool is_stale) { is_stale_ = is_stale ? 1 : 0; }

  bool is_started() const { return is_started_ != 0; }
  std::int64_t packages() const { return packages_; }
  std::int64_t inputs() const { return inputs_; }  // packages of inputs taken

 private:
  bool take(const RtdeMessage& message, UrController& controller, UrInputOwners& owners,
            UrOutbox& out);
  bool set_up_outputs(RtdeReader reader, UrController& controller, UrOutbox& out);
  bool set_up_inputs(RtdeReader reader, UrController& controller, UrInputOwners& owners,
                     UrOutbox& out);
  RtdeType claim(std::string_view name, const UrController& controller, const UrInputOwners& owners,
                 int* field) const;
  bool take_inputs(RtdeReader reader, std::size_t bytes, UrController& controller, UrOutbox& out);
  bool start(UrOutbox& out);
  bool answer(RtdeMessageType type, bool is_accepted, UrOutbox& out);
  bool complain(std::string_view message, UrOutbox& out);
  bool send_log(const UrController& controller, UrOutbox& out);

  RtdeParser parser_;
  std::int64_t number_ = 0;
  std::int64_t has_version_ = 0;  // 2 has been agreed on
  std::int64_t is_started_ = 0;
  std::int64_t is_stale_ = 0;
  std::int64_t decimation_ = 1;
  std::int64_t start_tick_ = 0;
  std::int64_t output_count_ = 0;
  std::int64_t has_failed_outputs_ = 0;
  std::int64_t recipe_count_ = 0;
  std::int64_t log_count_ = 0;  // lines of the controller's log that were sent
  std::int64_t packages_ = 0;
  std::int64_t inputs_ = 0;
  std::int64_t package_size_ = 0;
  std::array<std::uint16_t, kOutputsMax> outputs_{};
  std::array<std::uint16_t, kRecipesMax + 1> recipe_begin_{};  // of recipe id - 1, and the end
  std::array<std::uint16_t, kInputsMax> input_fields_{};
  std::array<std::uint8_t, kRtdeMessageBytesMax> package_{};  // the last one
};

}  // namespace instep

// The host's end of port 30004: agrees on protocol and recipes, starts the flow of packages,
// notices when it stops or says the same again and again, and sends the driver's registers. A state
// machine over bytes, with time as an argument; no allocation.
//
//   closed -> version -> controller -> outputs -> inputs -> slider -> start ->
//   flowing
//
// A listener asks for outputs only: any number of them may read beside the one client that has the
// inputs.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "drivers/ur/packet.h"
#include "drivers/ur/program.h"
#include "drivers/ur/rtde.h"

namespace instep {

enum class UrRtdeTrouble : std::int64_t {
  kNone,
  kSilent,          // no answer, or no packages any more
  kStale,           // packages, but their timestamp stands
  kBroken,          // bytes that are no RTDE
  kClosed,          // by the controller
  kVersion,         // protocol version 2 was refused
  kPolyScopeX,      // software that this driver does not speak with
  kTooOld,          // software without the registers it needs
  kRegistersInUse,  // they belong to somebody else
  kStartRefused,
};

struct UrRtdeCounters {
  std::uint64_t packages = 0;
  std::uint64_t dropped = 0;  // packages that had waited too long
  std::uint64_t lost = 0;     // gaps in the timestamps, in packages
  std::uint64_t damaged = 0;  // packages of the wrong size, or with what is no number
  std::uint64_t commands = 0;
  std::uint64_t commands_late = 0;  // not sent, because those before were still waiting
};

// A gap between two packages, when it ended.
struct UrGap {
  double timestamp_s = 0.0;
  std::int64_t gap_ns = 0;
};

struct UrControllerMessage {
  std::int64_t time_ns = 0;
  std::int64_t level = 0;  // an RtdeTextLevel
  std::array<char, 192> text{};
};

class UrRtdeLink {
 public:
  static constexpr std::size_t kGaps = 200;
  static constexpr std::size_t kMessages = 16;
  static constexpr std::size_t kBatchMax = 4;  // packages of one read that are handed on
  static constexpr std::int64_t kSilenceNs = 100'000'000;

  // Packages a second, 1 .. 500; a controller that cannot is asked for as many as it can: 125.
  explicit UrRtdeLink(double frequency_hz, bool is_listener = false)
      : frequency_hz_(frequency_hz), is_listener_(is_listener) {}

  // All but settings and counters begins anew.
  void on_connect(std::int64_t now_ns);
  void on_disconnect(std::int64_t now_ns);
  // Answers how many packages of these bytes are to be looked at; batch(0) is the oldest of them.
  std::size_t on_bytes(std::span<const std::uint8_t> bytes, std::int64_t now_ns);
  const UrReadings& batch(std::size_t i) const { return batch_[i]; }
  std::int64_t batch_time_ns(std::size_t i) const { return batch_time_ns_[i]; }
  // Does what is due; answers when to be called next at the latest.
  std::int64_t poll(std::int64_t now_ns);

  std::span<const std::uint8_t> output() const;
  void consume(std::size_t bytes);

  // Sends mode, sequence number, speeds and acceleration. False: not now, they are not to be sent
  // later either. A listener sends none.
  bool send_command(UrCommandMode mode, std::int32_t sequence, const UrVector& speeds,
                    double acceleration);
  // Sets the speed slider, at least to 0.01: from 0 upwards a controller stops protectively.
  bool send_slider(double fraction);

  bool is_flowing() const { return phase_ == Phase::kFlowing; }
  // The connection is of no use any more and is to be closed.
  bool has_given_up() const { return phase_ == Phase::kGivenUp; }
  UrRtdeTrouble trouble() const { return trouble_; }
  // False when no new attempt can mend it.
  bool may_try_again() const;
  // A listener does not ask for it.
  bool has_slider() const { return slider_recipe_ != 0; }
  // Fields that the controller does not have, a bit each.
  std::uint32_t missing_fields() const { return missing_; }
  const UrVersion& version() const { return version_; }
  std::int64_t period_ns() const;
  const UrRtdeCounters& counters() const { return counters_; }
  std::int64_t package_ns() const { return package_ns_; }  // when the last one was read

  // Of all connections so far, newest last.
  std::size_t gap_count() const { return gaps_ < kGaps ? gaps_ : kGaps; }
  const UrGap& gap(std::size_t i) const;
  std::size_t message_count() const { return messages_ < kMessages ? messages_ : kMessages; }
  const UrControllerMessage& message(std::size_t i) const;

 private:
  enum class Phase : std::int64_t {
    kClosed,
    kVersion,
    kController,
    kOutputs,
    kInputs,
    kSlider,
    kStart,
    kFlowing,
    kGivenUp,
  };

  double base_hz() const;
  void enter(Phase phase);
  void give_up(UrRtdeTrouble trouble);
  void send(std::span<const std::uint8_t> bytes);
  void send_request(RtdeMessageType type);
  void ask_for_outputs();
  void ask_for_inputs();
  void ask_for_slider();
  void start();
  void take(const RtdeMessage& message);
  void take_answer(const RtdeMessage& message);
  void take_version(RtdeReader reader);
  void take_outputs(RtdeReader reader);
  void take_inputs(RtdeReader reader);
  void take_slider(RtdeReader reader);
  void take_package(std::span<const std::uint8_t> payload);
  void take_text(std::span<const std::uint8_t> payload);
  void date_batch();
  bool is_late(double timestamp_s);

  double frequency_hz_;
  bool is_listener_;
  Phase phase_ = Phase::kClosed;
  UrRtdeTrouble trouble_ = UrRtdeTrouble::kNone;
  std::int64_t now_ns_ = 0;
  std::int64_t phase_ns_ = 0;    // since when
  std::int64_t package_ns_ = 0;  // of the last one
  std::int64_t advance_ns_ = 0;  // when the timestamp advanced last
  double timestamp_s_ = -1.0;
  bool has_late_ = false;  // in the present read
  bool has_offset_ = false;
  std::int64_t offset_ns_ = 0;       // our clock less the controller's, on the quickest way
  std::int64_t offset_time_ns_ = 0;  // when it was looked at last
  std::uint32_t fields_ = 0;         // of the recipe, a bit each
  std::uint32_t missing_ = 0;
  std::int64_t attempts_ = 0;  // at the output recipe
  std::uint8_t output_recipe_ = 0;
  std::uint8_t input_recipe_ = 0;
  std::uint8_t slider_recipe_ = 0;
  UrVersion version_;
  UrRtdeCounters counters_;
  RtdeParser parser_;
  std::size_t output_size_ = 0;
  std::array<std::uint8_t, 1024> output_{};
  std::size_t batch_size_ = 0;  // packages of the present read
  std::array<UrReadings, kBatchMax> batch_{};
  std::array<std::int64_t, kBatchMax> batch_time_ns_{};
  std::size_t gaps_ = 0;
  std::array<UrGap, kGaps> gap_{};
  std::size_t messages_ = 0;
  std::array<UrControllerMessage, kMessages> message_{};
};

}  // namespace instep

#include "drivers/ur/rtde_link.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "kernels/check.h"

namespace instep {
namespace {

constexpr std::int64_t kAnswerNs = 1'000'000'000;
constexpr std::int64_t kNever = INT64_MAX;
constexpr std::uint32_t kAllFields = (1U << kUrPacketFields) - 1U;
constexpr std::uint32_t kPolyScopeX = 10;
// Packages that are so many periods older than the quickest ones have waited somewhere.
constexpr std::int64_t kLatePeriods = 5;
// What the quickest way is, is forgotten at this rate: clocks drift, and networks change.
constexpr double kForget = 0.02;
constexpr double kSliderMin = 0.01;

}  // namespace

// ------------------------------------------------------------------------------------------------
// Connections

void UrRtdeLink::enter(Phase phase) {
  phase_ = phase;
  phase_ns_ = now_ns_;
}

void UrRtdeLink::on_connect(std::int64_t now_ns) {
  now_ns_ = now_ns;
  parser_.clear();
  output_size_ = 0;
  fields_ = kAllFields;
  missing_ = 0;
  attempts_ = 0;
  output_recipe_ = input_recipe_ = slider_recipe_ = 0;
  timestamp_s_ = -1.0;
  has_offset_ = false;
  RtdeWriter writer;
  send(writer.begin(RtdeMessageType::kProtocolVersion).u16(kRtdeVersion).finish());
  enter(Phase::kVersion);
}

void UrRtdeLink::on_disconnect(std::int64_t now_ns) {
  now_ns_ = now_ns;
  if (phase_ != Phase::kGivenUp && phase_ != Phase::kClosed) trouble_ = UrRtdeTrouble::kClosed;
  output_size_ = 0;
  enter(Phase::kClosed);
}

void UrRtdeLink::give_up(UrRtdeTrouble trouble) {
  trouble_ = trouble;
  output_size_ = 0;
  enter(Phase::kGivenUp);
}

bool UrRtdeLink::may_try_again() const {
  return trouble_ != UrRtdeTrouble::kPolyScopeX && trouble_ != UrRtdeTrouble::kTooOld &&
         trouble_ != UrRtdeTrouble::kVersion;
}

double UrRtdeLink::base_hz() const {
  return version_.major <= 3 ? 125.0 : 500.0;
}

std::int64_t UrRtdeLink::period_ns() const {
  const double base = base_hz();
  const double decimation = std::max(1.0, std::floor(base / frequency_hz_ + 1e-6));
  return static_cast<std::int64_t>(std::llround(1e9 * decimation / base));
}

std::int64_t UrRtdeLink::poll(std::int64_t now_ns) {
  now_ns_ = now_ns;
  if (phase_ == Phase::kClosed || phase_ == Phase::kGivenUp) return kNever;
  if (phase_ != Phase::kFlowing) {
    if (now_ns - phase_ns_ >= kAnswerNs) give_up(UrRtdeTrouble::kSilent);
    return phase_ns_ + kAnswerNs;
  }
  const std::int64_t silent_ns = std::max(package_ns_, phase_ns_);
  const std::int64_t stale_ns = std::max(advance_ns_, phase_ns_);
  // A stall may pass: a connection is given up only when nothing has come for long.
  if (now_ns - silent_ns >= kSilenceNs) {
    trouble_ = UrRtdeTrouble::kSilent;
  } else if (now_ns - stale_ns >= kSilenceNs) {
    trouble_ = UrRtdeTrouble::kStale;
  }
  if (now_ns - stale_ns >= kAnswerNs) give_up(trouble_);
  const std::int64_t next = std::min(silent_ns, stale_ns) + kSilenceNs;
  return next > now_ns ? next : stale_ns + kAnswerNs;
}

// ------------------------------------------------------------------------------------------------
// Sending

std::span<const std::uint8_t> UrRtdeLink::output() const {
  return {output_.data(), output_size_};
}

void UrRtdeLink::consume(std::size_t bytes) {
  INSTEP_CHECK(bytes <= output_size_);
  std::memmove(output_.data(), output_.data() + bytes, output_size_ - bytes);
  output_size_ -= bytes;
}

void UrRtdeLink::send(std::span<const std::uint8_t> bytes) {
  INSTEP_CHECK(output_size_ + bytes.size() <= output_.size());
  std::memcpy(output_.data() + output_size_, bytes.data(), bytes.size());
  output_size_ += bytes.size();
}

void UrRtdeLink::send_request(RtdeMessageType type) {
  RtdeWriter writer;
  send(writer.begin(type).finish());
}

bool UrRtdeLink::send_command(UrCommandMode mode, std::int32_t sequence, const UrVector& speeds,
                              double acceleration) {
  if (phase_ != Phase::kFlowing || input_recipe_ == 0) return false;
  if (output_size_ > 0) {
    ++counters_.commands_late;
    return false;
  }
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kData).u8(input_recipe_);
  writer.i32(static_cast<std::int32_t>(mode)).i32(sequence);
  for (const double speed : speeds) writer.f64(speed);
  writer.f64(acceleration);
  send(writer.finish());
  ++counters_.commands;
  return true;
}

bool UrRtdeLink::send_slider(double fraction) {
  if (phase_ != Phase::kFlowing || slider_recipe_ == 0 || output_size_ > 0) return false;
  const double clamped = std::isfinite(fraction) ? std::clamp(fraction, kSliderMin, 1.0) : 1.0;
  RtdeWriter writer;
  send(writer.begin(RtdeMessageType::kData).u8(slider_recipe_).u32(1).f64(clamped).finish());
  return true;
}

void UrRtdeLink::ask_for_outputs() {
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kSetupOutputs).f64(std::min(frequency_hz_, base_hz()));
  bool is_first = true;
  for (std::size_t i = 0; i < kUrPacketFields; ++i) {
    if ((fields_ >> i & 1U) == 0) continue;
    if (!is_first) writer.text(",");
    writer.text(ur_packet_fields()[i].name);
    is_first = false;
  }
  send(writer.finish());
  ++attempts_;
  enter(Phase::kOutputs);
}

void UrRtdeLink::ask_for_inputs() {
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kSetupInputs);
  std::array<char, 64> name{};
  const auto add = [&](const char* format, int number) {
    const int size = std::snprintf(name.data(), name.size(), format, number);
    writer.text({name.data(), static_cast<std::size_t>(size)});
  };
  add("input_int_register_%d", kUrModeRegister);
  add(",input_int_register_%d", kUrSequenceRegister);
  for (int i = 0; i < kUrJoints; ++i) add(",input_double_register_%d", kUrSpeedRegister + i);
  add(",input_double_register_%d", kUrAccelRegister);
  send(writer.finish());
  enter(Phase::kInputs);
}

void UrRtdeLink::ask_for_slider() {
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kSetupInputs).text("speed_slider_mask,speed_slider_fraction");
  send(writer.finish());
  enter(Phase::kSlider);
}

void UrRtdeLink::start() {
  send_request(RtdeMessageType::kStart);
  enter(Phase::kStart);
}

// ------------------------------------------------------------------------------------------------
// Receiving

std::size_t UrRtdeLink::on_bytes(std::span<const std::uint8_t> bytes, std::int64_t now_ns) {
  now_ns_ = now_ns;
  batch_size_ = 0;
  if (phase_ == Phase::kClosed || phase_ == Phase::kGivenUp) return 0;
  has_late_ = false;
  while (!bytes.empty()) {
    bytes = bytes.subspan(parser_.push(bytes));
    for (RtdeMessage message; parser_.next(&message);) take(message);
    if (!parser_.is_broken()) continue;
    give_up(UrRtdeTrouble::kBroken);
    return 0;
  }
  if (phase_ != Phase::kFlowing || batch_size_ == 0) return 0;
  // After a stall only the newest says how the arm is.
  const std::size_t kept = has_late_ ? 1 : std::min(batch_size_, kBatchMax);
  counters_.dropped += batch_size_ - kept;
  // The batch is a ring: the oldest that is kept comes to the front.
  const std::size_t first = (batch_size_ - kept) % kBatchMax;
  std::rotate(batch_.begin(), batch_.begin() + static_cast<std::ptrdiff_t>(first), batch_.end());
  batch_size_ = kept;
  date_batch();
  return kept;
}

// Packages of one read were sent one after another: their timestamps say when.
void UrRtdeLink::date_batch() {
  const double newest = batch_[batch_size_ - 1].timestamp_s;
  for (std::size_t i = 0; i < batch_size_; ++i) {
    const double age_s = std::clamp(newest - batch_[i].timestamp_s, 0.0, 1.0);
    batch_time_ns_[i] = now_ns_ - static_cast<std::int64_t>(age_s * 1e9);
  }
}

void UrRtdeLink::take(const RtdeMessage& message) {
  switch (message.type) {
    case RtdeMessageType::kTextMessage:
      // May come before any answer.
      return take_text(message.payload);
    case RtdeMessageType::kData:
      if (phase_ == Phase::kFlowing) take_package(message.payload);
      return;
    default:
      return take_answer(message);
  }
}

void UrRtdeLink::take_answer(const RtdeMessage& message) {
  RtdeReader reader(message.payload);
  switch (phase_) {
    case Phase::kVersion:
      if (message.type != RtdeMessageType::kProtocolVersion) return;
      // An answer is one byte, 0 or 1; who sends back what was asked does not speak RTDE.
      if (message.payload.size() != 1 || message.payload[0] > 1) {
        return give_up(UrRtdeTrouble::kBroken);
      }
      if (reader.u8() != 1) return give_up(UrRtdeTrouble::kVersion);
      send_request(RtdeMessageType::kControllerVersion);
      return enter(Phase::kController);
    case Phase::kController:
      if (message.type == RtdeMessageType::kControllerVersion) take_version(reader);
      return;
    case Phase::kOutputs:
      if (message.type == RtdeMessageType::kSetupOutputs) take_outputs(reader);
      return;
    case Phase::kInputs:
      if (message.type == RtdeMessageType::kSetupInputs) take_inputs(reader);
      return;
    case Phase::kSlider:
      if (message.type == RtdeMessageType::kSetupInputs) take_slider(reader);
      return;
    case Phase::kStart:
      if (message.type != RtdeMessageType::kStart) return;
      if (reader.u8() != 1) return give_up(UrRtdeTrouble::kStartRefused);
      package_ns_ = advance_ns_ = 0;
      return enter(Phase::kFlowing);
    default:
      return;
  }
}

void UrRtdeLink::take_version(RtdeReader reader) {
  version_ = {reader.u32(), reader.u32(), reader.u32(), reader.u32()};
  if (reader.is_short()) return give_up(UrRtdeTrouble::kBroken);
  if (version_.major >= kPolyScopeX) return give_up(UrRtdeTrouble::kPolyScopeX);
  ask_for_outputs();
}

// Names that the controller does not know are left out, and the rest is asked for at once.
void UrRtdeLink::take_outputs(RtdeReader reader) {
  output_recipe_ = reader.u8();
  RtdeNames types(reader.rest());
  std::uint32_t unknown = 0;
  for (std::size_t i = 0; i < kUrPacketFields; ++i) {
    if ((fields_ >> i & 1U) == 0) continue;
    std::string_view name;
    RtdeType type = RtdeType::kNotFound;
    const bool is_known = types.next(&name) && parse_rtde_type(name, &type);
    if (!is_known || type != ur_packet_fields()[i].type) {
      unknown |= 1U << i;
      if (ur_packet_fields()[i].is_required) {
        missing_ |= unknown;
        return give_up(UrRtdeTrouble::kTooOld);
      }
    }
  }
  if (unknown == 0 && output_recipe_ != 0) return is_listener_ ? start() : ask_for_inputs();
  missing_ |= unknown;
  fields_ &= ~unknown;
  if (unknown == 0 || attempts_ > 2) return give_up(UrRtdeTrouble::kBroken);
  ask_for_outputs();
}

void UrRtdeLink::take_inputs(RtdeReader reader) {
  input_recipe_ = reader.u8();
  if (input_recipe_ != 0) return ask_for_slider();
  RtdeNames types(reader.rest());
  bool is_in_use = false;
  for (std::string_view name; types.next(&name);) is_in_use = is_in_use || name == "IN_USE";
  give_up(is_in_use ? UrRtdeTrouble::kRegistersInUse : UrRtdeTrouble::kTooOld);
}

// Without the slider all else goes on.
void UrRtdeLink::take_slider(RtdeReader reader) {
  slider_recipe_ = reader.u8();
  start();
}

void UrRtdeLink::take_package(std::span<const std::uint8_t> payload) {
  UrReadings readings;
  const bool is_ours = !payload.empty() && payload[0] == output_recipe_;
  if (!is_ours || !decode_ur_package(payload.subspan(1), fields_, &readings)) {
    ++counters_.damaged;
    return;
  }
  ++counters_.packages;
  if (package_ns_ > 0) gap_[gaps_++ % kGaps] = {readings.timestamp_s, now_ns_ - package_ns_};
  package_ns_ = now_ns_;
  // A clock that has gone back is that of a controller that was started again.
  if (readings.timestamp_s != timestamp_s_) {
    const double periods =
        (readings.timestamp_s - timestamp_s_) * 1e9 / static_cast<double>(period_ns());
    if (timestamp_s_ >= 0.0 && periods > 1.5) {
      counters_.lost += static_cast<std::uint64_t>(std::min(periods - 0.5, 1e9));
    }
    timestamp_s_ = readings.timestamp_s;
    if (is_late(readings.timestamp_s)) {
      has_late_ = true;
      ++counters_.dropped;
      return;
    }
    advance_ns_ = now_ns_;
    trouble_ = UrRtdeTrouble::kNone;
    batch_[batch_size_++ % kBatchMax] = readings;
  }
}

// The age of a package is told by both clocks' difference, against the smallest one there was.
bool UrRtdeLink::is_late(double timestamp_s) {
  const std::int64_t offset_ns = now_ns_ - static_cast<std::int64_t>(timestamp_s * 1e9);
  const double passed_ns = static_cast<double>(now_ns_ - offset_time_ns_);
  offset_ns_ += static_cast<std::int64_t>(kForget * passed_ns);
  offset_time_ns_ = now_ns_;
  if (!has_offset_ || offset_ns < offset_ns_) offset_ns_ = offset_ns;
  has_offset_ = true;
  return offset_ns - offset_ns_ > kLatePeriods * period_ns();
}

void UrRtdeLink::take_text(std::span<const std::uint8_t> payload) {
  RtdeText text;
  if (!decode_rtde_text(payload, &text)) return;
  UrControllerMessage& message = message_[messages_++ % kMessages];
  message.time_ns = now_ns_;
  message.level = static_cast<std::int64_t>(text.level);
  message.text = {};
  const std::size_t size = std::min(text.message.size(), message.text.size() - 1);
  std::copy_n(text.message.begin(), size, message.text.begin());
  // Zeros would end the text, and what is no letter may disturb a terminal.
  for (std::size_t i = 0; i < size; ++i) {
    if (message.text[i] < ' ') message.text[i] = ' ';
  }
}

const UrGap& UrRtdeLink::gap(std::size_t i) const {
  INSTEP_CHECK(i < gap_count());
  return gap_[(gaps_ - gap_count() + i) % kGaps];
}

const UrControllerMessage& UrRtdeLink::message(std::size_t i) const {
  INSTEP_CHECK(i < message_count());
  return message_[(messages_ - message_count() + i) % kMessages];
}

}  // namespace instep

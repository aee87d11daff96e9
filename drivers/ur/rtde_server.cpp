#include "drivers/ur/rtde_server.h"

#include <algorithm>
#include <cmath>

namespace instep {

void UrRtdeClient::open(int number, const UrController& controller) {
  *this = UrRtdeClient();
  number_ = number;
  log_count_ = controller.log_count();
}

void UrRtdeClient::close(UrInputOwners& owners) {
  for (std::int8_t& owner : owners) {
    if (owner == number_ + 1) owner = 0;
  }
}

bool UrRtdeClient::on_bytes(std::span<const std::uint8_t> bytes, UrController& controller,
                            UrInputOwners& owners, UrOutbox& out) {
  while (!bytes.empty()) {
    bytes = bytes.subspan(parser_.push(bytes));
    for (RtdeMessage message; parser_.next(&message);) {
      if (!take(message, controller, owners, out)) return false;
    }
    // Where one message ends cannot be told any more.
    if (parser_.is_broken()) return false;
  }
  return true;
}

bool UrRtdeClient::answer(RtdeMessageType type, bool is_accepted, UrOutbox& out) {
  RtdeWriter writer;
  writer.begin(type).u8(is_accepted ? 1 : 0);
  return out.write(writer.finish());
}

bool UrRtdeClient::complain(std::string_view message, UrOutbox& out) {
  RtdeWriter writer;
  write_rtde_text(writer, {message, "RTDE", RtdeTextLevel::kError});
  return out.write(writer.finish());
}

bool UrRtdeClient::take(const RtdeMessage& message, UrController& controller, UrInputOwners& owners,
                        UrOutbox& out) {
  RtdeReader reader(message.payload);
  switch (message.type) {
    case RtdeMessageType::kProtocolVersion: {
      // Version 1 is not simulated, and refused as an unknown version is.
      const bool is_accepted = reader.u16() == kRtdeVersion && reader.is_done();
      if (is_accepted) has_version_ = 1;
      return answer(message.type, is_accepted, out);
    }
    case RtdeMessageType::kControllerVersion: {
      const UrVersion& version = controller.version();
      RtdeWriter writer;
      writer.begin(message.type)
          .u32(version.major)
          .u32(version.minor)
          .u32(version.bugfix)
          .u32(version.build);
      return out.write(writer.finish());
    }
    case RtdeMessageType::kTextMessage: {
      RtdeText text;
      if (decode_rtde_text(message.payload, &text)) {
        const auto size = static_cast<int>(std::min<std::size_t>(text.message.size(), 120));
        controller.log(text.level, "RTDE client: %.*s", size, text.message.data());
      }
      return true;
    }
    case RtdeMessageType::kPause:
      is_started_ = 0;
      return answer(message.type, true, out);
    case RtdeMessageType::kStart:
    case RtdeMessageType::kSetupOutputs:
    case RtdeMessageType::kSetupInputs:
    case RtdeMessageType::kData:
      break;
    default:
      return complain("there is no package of this type", out);
  }
  if (has_version_ == 0) return complain("ask for protocol version 2 first", out);
  switch (message.type) {
    case RtdeMessageType::kStart:
      return start(out);
    case RtdeMessageType::kSetupOutputs:
      return set_up_outputs(reader, controller, out);
    case RtdeMessageType::kSetupInputs:
      return set_up_inputs(reader, controller, owners, out);
    default:
      return take_inputs(reader, message.payload.size(), controller, out);
  }
}

bool UrRtdeClient::start(UrOutbox& out) {
  const bool is_accepted = has_failed_outputs_ == 0;
  if (is_accepted) is_started_ = 1;
  return answer(RtdeMessageType::kStart, is_accepted, out);
}

bool UrRtdeClient::set_up_outputs(RtdeReader reader, UrController& controller, UrOutbox& out) {
  const double frequency = reader.f64();
  const std::string_view list = reader.rest();
  std::size_t count = 0;
  std::size_t bytes = kRtdeHeaderBytes + 1;
  bool is_good = std::isfinite(frequency) && frequency > 0.0 && list.size() <= kRtdeNamesMax;
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kSetupOutputs);
  std::array<RtdeType, kOutputsMax> types{};
  RtdeNames names(list);
  for (std::string_view name; count < kOutputsMax && names.next(&name); ++count) {
    const int field = find_rtde_output(name, controller.version());
    types[count] = field < 0 ? RtdeType::kNotFound : rtde_output_type(field);
    outputs_[count] = static_cast<std::uint16_t>(std::max(field, 0));
    bytes += rtde_type_bytes(types[count]);
    is_good = is_good && field >= 0;
  }
  is_good = is_good && count > 0 && bytes <= kRtdeMessageBytesMax;
  writer.u8(is_good ? 1 : 0);
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) writer.text(",");
    writer.text(rtde_type_name(types[i]));
  }
  has_failed_outputs_ = is_good ? 0 : 1;
  output_count_ = is_good ? static_cast<std::int64_t>(count) : 0;
  // A whole number of control periods, so that more is sent rather than less.
  const double base = 1.0 / controller.period_s();
  decimation_ = is_good ? std::max<std::int64_t>(
                              1, static_cast<std::int64_t>(base / std::max(frequency, 1.0) + 1e-6))
                        : 1;
  start_tick_ = controller.ticks();
  if (!is_good) is_started_ = 0;
  return out.write(writer.finish());
}

// Whether a client may have an input: its type, or why not.
RtdeType UrRtdeClient::claim(std::string_view name, const UrController& controller,
                             const UrInputOwners& owners, int* field) const {
  *field = find_rtde_input(name, controller.version());
  if (*field < 0) return RtdeType::kNotFound;
  const std::int8_t owner = owners[static_cast<std::size_t>(*field)];
  const bool is_free = owner == 0 || owner == number_ + 1;
  if (!is_free || controller.fieldbus_owns(*field)) return RtdeType::kInUse;
  return rtde_input_type(*field);
}

bool UrRtdeClient::set_up_inputs(RtdeReader reader, UrController& controller, UrInputOwners& owners,
                                 UrOutbox& out) {
  const std::string_view list = reader.rest();
  const auto first =
      static_cast<std::size_t>(recipe_begin_[static_cast<std::size_t>(recipe_count_)]);
  std::size_t count = 0;
  bool is_good = recipe_count_ < kRecipesMax && list.size() <= kRtdeNamesMax;
  std::array<RtdeType, kOutputsMax> types{};
  RtdeNames names(list);
  for (std::string_view name; count < types.size() && names.next(&name); ++count) {
    int field = -1;
    types[count] = claim(name, controller, owners, &field);
    is_good = is_good && rtde_type_bytes(types[count]) > 0 && first + count < kInputsMax;
    if (is_good) input_fields_[first + count] = static_cast<std::uint16_t>(field);
  }
  is_good = is_good && count > 0;
  if (is_good) {
    for (std::size_t i = 0; i < count; ++i) {
      owners[input_fields_[first + i]] = static_cast<std::int8_t>(number_ + 1);
    }
    ++recipe_count_;
    recipe_begin_[static_cast<std::size_t>(recipe_count_)] =
        static_cast<std::uint16_t>(first + count);
  }
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kSetupInputs);
  writer.u8(is_good ? static_cast<std::uint8_t>(recipe_count_) : 0);
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) writer.text(",");
    writer.text(rtde_type_name(types[i]));
  }
  return out.write(writer.finish());
}

bool UrRtdeClient::take_inputs(RtdeReader reader, std::size_t bytes, UrController& controller,
                               UrOutbox& out) {
  const auto recipe = static_cast<std::int64_t>(reader.u8());
  if (recipe < 1 || recipe > recipe_count_) {
    return complain("a data package of a recipe that was not set up", out);
  }
  const std::size_t begin = recipe_begin_[static_cast<std::size_t>(recipe - 1)];
  const std::size_t end = recipe_begin_[static_cast<std::size_t>(recipe)];
  std::size_t due = 1;
  for (std::size_t i = begin; i < end; ++i) {
    due += rtde_type_bytes(rtde_input_type(input_fields_[i]));
  }
  if (due != bytes) return complain("a data package of the wrong size", out);
  for (std::size_t i = begin; i < end; ++i) controller.set_input(input_fields_[i], reader);
  ++inputs_;
  return true;
}

bool UrRtdeClient::send_log(const UrController& controller, UrOutbox& out) {
  const std::int64_t count = controller.log_count();
  const auto kept = static_cast<std::int64_t>(UrController::kLogLines);
  for (log_count_ = std::max(log_count_, count - kept); log_count_ < count; ++log_count_) {
    const UrLogLine& line = controller.log_line(log_count_);
    const auto level = static_cast<RtdeTextLevel>(line.level);
    if (has_version_ == 0 || level > RtdeTextLevel::kWarning) continue;
    RtdeWriter writer;
    write_rtde_text(writer, {line.text.data(), "Controller", level});
    if (!out.write(writer.finish())) return false;
  }
  return true;
}

bool UrRtdeClient::send(const UrController& controller, UrOutbox& out) {
  if (!send_log(controller, out)) return false;
  if (is_started_ == 0 || output_count_ == 0) return true;
  if ((controller.ticks() - start_tick_) % decimation_ != 0) return true;
  if (is_stale_ == 0 || package_size_ == 0) {
    RtdeWriter writer;
    writer.begin(RtdeMessageType::kData).u8(1);
    for (std::int64_t i = 0; i < output_count_; ++i) {
      controller.write_output(outputs_[static_cast<std::size_t>(i)], writer);
    }
    const auto package = writer.finish();
    std::copy(package.begin(), package.end(), package_.begin());
    package_size_ = static_cast<std::int64_t>(package.size());
  }
  ++packages_;
  return out.write({package_.data(), static_cast<std::size_t>(package_size_)});
}

}  // namespace instep

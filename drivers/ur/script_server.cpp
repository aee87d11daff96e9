#include "drivers/ur/script_server.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

#include "kernels/check.h"

namespace instep {
namespace {

// Big-endian numbers one after another, and sizes that are written when they are known.
class Message {
 public:
  Message& number(std::uint64_t value, std::size_t bytes) {
    INSTEP_CHECK(size_ + bytes <= bytes_.size());
    for (std::size_t i = bytes; i-- > 0;) {
      bytes_[size_++] = static_cast<std::uint8_t>(value >> (8 * i));
    }
    return *this;
  }
  Message& u8(std::uint64_t value) { return number(value, 1); }
  Message& u32(std::uint64_t value) { return number(value & 0xFFFFFFFF, 4); }
  Message& f32(float value) { return number(std::bit_cast<std::uint32_t>(value), 4); }
  Message& f64(double value) { return number(std::bit_cast<std::uint64_t>(value), 8); }
  Message& all(std::span<const double> values) {
    for (const double value : values) f64(value);
    return *this;
  }
  Message& zeros(std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) u8(0);
    return *this;
  }
  Message& text(std::string_view text) {
    for (const char letter : text) u8(static_cast<std::uint8_t>(letter));
    return *this;
  }

  // A part that begins with its size, of 4 bytes, and its type.
  std::size_t begin(std::uint8_t type) {
    const std::size_t at = size_;
    u32(0).u8(type);
    return at;
  }
  void end(std::size_t at) {
    const std::size_t size = size_ - at;
    for (std::size_t i = 0; i < 4; ++i) {
      bytes_[at + i] = static_cast<std::uint8_t>(size >> (8 * (3 - i)));
    }
  }
  std::size_t size() const { return size_; }
  std::span<const std::uint8_t> view() const { return {bytes_.data(), size_}; }

 private:
  std::array<std::uint8_t, 2048> bytes_{};
  std::size_t size_ = 0;
};

constexpr std::uint8_t kRobotState = 16;
constexpr std::uint8_t kRobotMessage = 20;
constexpr std::uint8_t kJointRunning = 253;
constexpr std::uint8_t kJointIdle = 255;

std::uint64_t timestamp_us(const UrController& controller) {
  return static_cast<std::uint64_t>(controller.timestamp_s() * 1e6);
}

bool has_power(const UrController& controller) {
  return controller.robot_mode() >= UrRobotMode::kPowerOn;
}

void add_mode(Message& message, const UrController& controller) {
  const std::size_t part = message.begin(0);
  const UrSafetyMode safety = controller.safety_mode();
  const bool is_emergency =
      safety == UrSafetyMode::kRobotEmergencyStop || safety == UrSafetyMode::kSystemEmergencyStop;
  message.number(timestamp_us(controller), 8).u8(1).u8(1).u8(has_power(controller) ? 1 : 0);
  message.u8(is_emergency ? 1 : 0).u8(safety == UrSafetyMode::kProtectiveStop ? 1 : 0);
  message.u8(controller.runtime() == UrRuntime::kPlaying ? 1 : 0);
  message.u8(controller.runtime() == UrRuntime::kPaused ? 1 : 0);
  message.u8(static_cast<std::uint8_t>(controller.robot_mode())).u8(0);
  message.f64(controller.slider()).f64(controller.slider()).f64(1.0);
  if (controller.model() == UrModel::kESeries) message.u8(0);
  message.end(part);
}

void add_joints(Message& message, const UrController& controller) {
  const std::size_t part = message.begin(1);
  for (std::size_t i = 0; i < kUrJoints; ++i) {
    message.f64(controller.measured_q()[i]).f64(controller.arm().target_q[i]);
    message.f64(controller.measured_qd()[i]).f32(0.0F).f32(48.0F).f32(30.0F).f32(0.0F);
    message.u8(controller.arm().is_powered != 0 ? kJointRunning : kJointIdle);
  }
  message.end(part);
}

void add_boards(Message& message, const UrController& controller) {
  std::size_t part = message.begin(2);  // tool
  message.zeros(2 + 16).f32(48.0F).u8(0).f32(0.0F).f32(30.0F).u8(253);
  message.end(part);
  part = message.begin(3);  // master board
  message.zeros(8 + 2 + 16 + 2 + 16).f32(30.0F).f32(has_power(controller) ? 48.0F : 0.0F);
  message.f32(0.0F).f32(0.0F).u8(static_cast<std::uint8_t>(controller.safety_mode()));
  message.u8(0).u8(0).u32(0).u8(0).u8(0);
  if (controller.model() == UrModel::kESeries) message.u8(0);
  message.end(part);
}

void add_kinematics(Message& message, const UrController& controller) {
  std::size_t part = message.begin(4);
  message.all(controller.tcp_pose(controller.measured_q())).zeros(48);
  message.end(part);
  part = message.begin(5);
  const auto& links = ur_links(controller.model());
  message.zeros(24 + 48);
  for (const UrLink& link : links) message.f64(link.a);
  for (const UrLink& link : links) message.f64(link.d);
  for (const UrLink& link : links) message.f64(link.alpha);
  message.u32(0);
  message.end(part);
}

void begin_robot_message(Message& message, const UrController& controller, std::uint8_t type) {
  message.begin(kRobotMessage);
  message.number(timestamp_us(controller), 8).u8(0).u8(type);
}

// The controller's first words.
Message version_message(const UrController& controller) {
  constexpr std::string_view kName = "URControl";
  Message message;
  begin_robot_message(message, controller, 3);
  const UrVersion& version = controller.version();
  message.u8(kName.size()).text(kName).u8(version.major).u8(version.minor);
  message.u32(version.bugfix).u32(version.build).text("01-01-2022, 00:00:00");
  message.end(0);
  return message;
}

}  // namespace

void UrScriptClient::open(UrScriptPort port, const UrController& controller, UrOutbox& out) {
  port_ = port;
  log_count_ = controller.log_count();
  is_discontinued_ = has_said_so_ = size_ = looked_at_ = 0;
  if (port != UrScriptPort::kRealtime) write(out, version_message(controller).view());
}

bool UrScriptClient::on_bytes(std::span<const std::uint8_t> bytes, UrController& controller) {
  while (!bytes.empty()) {
    const std::size_t taken =
        std::min(bytes.size(), text_.size() - static_cast<std::size_t>(size_));
    if (taken == 0) {
      controller.log(RtdeTextLevel::kError, "a program of more than %zu bytes is not taken",
                     kTextMax);
      size_ = looked_at_ = 0;
      return false;
    }
    std::memcpy(text_.data() + size_, bytes.data(), taken);
    size_ += static_cast<std::int64_t>(taken);
    bytes = bytes.subspan(taken);
    const std::string_view text(text_.data(), static_cast<std::size_t>(size_));
    // A program ends with a line.
    if (text.find('\n', static_cast<std::size_t>(looked_at_)) == std::string_view::npos) {
      looked_at_ = size_;
      continue;
    }
    std::size_t done = 0;
    for (std::size_t size = ur_script_bytes(text); size > 0;
         size = ur_script_bytes(text.substr(done))) {
      const std::string_view program = text.substr(done, size);
      if (program.find_first_not_of(" \t\r\n") != std::string_view::npos) {
        controller.run_script(program);
      }
      done += size;
    }
    std::memmove(text_.data(), text_.data() + done, static_cast<std::size_t>(size_) - done);
    size_ -= static_cast<std::int64_t>(done);
    looked_at_ = size_;
  }
  return true;
}

void UrScriptClient::close(UrController& controller) {
  const std::string_view text(text_.data(), static_cast<std::size_t>(size_));
  size_ = looked_at_ = 0;
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return;
  const std::string_view program = text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin);
  const auto line = 1 + std::count(program.begin(), program.end(), '\n');
  controller.log(RtdeTextLevel::kError,
                 "syntax_error_on_line:%d:the connection has ended before the program's end",
                 static_cast<int>(line));
}

// Without room the sending ends for good.
bool UrScriptClient::write(UrOutbox& out, std::span<const std::uint8_t> bytes) {
  if (is_discontinued_ == 0 && !out.write(bytes)) is_discontinued_ = 1;
  return is_discontinued_ == 0;
}

void UrScriptClient::send(UrController& controller, UrOutbox& out) {
  if (is_discontinued_ != 0) {
    if (has_said_so_ == 0) {
      controller.log(RtdeTextLevel::kInfo,
                     "port %d: the client does not read; sending is discontinued",
                     static_cast<int>(port_));
    }
    has_said_so_ = 1;
    return;
  }
  if (port_ == UrScriptPort::kRealtime) return send_realtime(controller, out);
  send_log(controller, out);
  const std::int64_t ticks = 100'000'000 / controller.period_ns();
  if (controller.ticks() % ticks == 0) send_state(controller, out);
}

void UrScriptClient::send_log(const UrController& controller, UrOutbox& out) {
  constexpr std::uint8_t kText = 0;
  constexpr std::uint8_t kRuntimeException = 10;
  const std::int64_t count = controller.log_count();
  const auto kept = static_cast<std::int64_t>(UrController::kLogLines);
  for (log_count_ = std::max(log_count_, count - kept); log_count_ < count; ++log_count_) {
    const UrLogLine& line = controller.log_line(log_count_);
    const bool is_error = line.level <= static_cast<std::int64_t>(RtdeTextLevel::kError);
    Message message;
    begin_robot_message(message, controller, is_error ? kRuntimeException : kText);
    if (is_error) message.u32(0).u32(0);  // line and column stand in the text
    message.text(line.text.data());
    message.end(0);
    write(out, message.view());
  }
}

void UrScriptClient::send_state(const UrController& controller, UrOutbox& out) {
  Message message;
  message.begin(kRobotState);
  add_mode(message, controller);
  add_joints(message, controller);
  add_boards(message, controller);
  add_kinematics(message, controller);
  message.end(0);
  write(out, message.view());
}

// One packet of fixed fields, all of them doubles.
void UrScriptClient::send_realtime(const UrController& controller, UrOutbox& out) {
  const UrArm& arm = controller.arm();
  const auto pose = controller.tcp_pose(controller.measured_q());
  const auto target = controller.tcp_pose(arm.target_q);
  const auto speed =
      ur_flange_speed(controller.model(), controller.measured_q(), controller.measured_qd());
  const auto target_speed = ur_flange_speed(controller.model(), arm.target_q, arm.target_qd);
  Message message;
  message.u32(0).f64(controller.timestamp_s()).all(arm.target_q).all(arm.target_qd);
  message.all(arm.target_qdd).zeros(96).all(controller.measured_q());
  message.all(controller.measured_qd()).zeros(96).all(pose).all(speed).zeros(48);
  message.all(target).all(target_speed).f64(0.0);
  for (int i = 0; i < kUrJoints; ++i) message.f64(30.0);
  message.f64(0.4e-3).f64(0.0).f64(static_cast<double>(controller.robot_mode()));
  for (int i = 0; i < kUrJoints; ++i) {
    message.f64(arm.is_powered != 0 ? kJointRunning : kJointIdle);
  }
  message.f64(static_cast<double>(controller.safety_mode())).zeros(48);
  message.f64(0.0).f64(0.0).f64(-9.81).zeros(48).f64(controller.slider()).f64(0.0).zeros(16);
  message.f64(48.0).f64(has_power(controller) ? 48.0 : 0.0).f64(0.0);
  for (int i = 0; i < kUrJoints; ++i) message.f64(has_power(controller) ? 48.0 : 0.0);
  message.f64(0.0).f64(static_cast<double>(controller.runtime()));
  INSTEP_CHECK(message.size() == 1060);
  message.all(ur_link_frames(controller.model(), controller.measured_q())[1].position).zeros(24);
  if (controller.model() == UrModel::kESeries) {
    message.f64(static_cast<double>(controller.safety_mode())).zeros(104);
  }
  message.end(0);
  write(out, message.view());
}

}  // namespace instep

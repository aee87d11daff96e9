// The RTDE fields of the simulated controller: what its inputs do, what its outputs say.
#include <algorithm>
#include <cmath>

#include "drivers/ur/controller.h"
#include "kernels/check.h"

namespace instep {
namespace {

constexpr std::int32_t kJointRunning = 253;
constexpr std::int32_t kJointIdle = 255;

void write(RtdeWriter& writer, std::span<const double> values) {
  for (const double value : values) writer.f64(value);
}

// Of eight standard pins, eight configurable ones, and the tool's.
int first_pin(int input) {
  switch (static_cast<RtdeInput>(input)) {
    case RtdeInput::kConfigurableDigitalOutputMask:
    case RtdeInput::kConfigurableDigitalOutput:
      return 8;
    case RtdeInput::kToolDigitalOutputMask:
    case RtdeInput::kToolDigitalOutput:
      return 16;
    default:
      return 0;
  }
}

// Eight of them, where the mask has a bit.
void put_pins(std::uint64_t& pins, int first, std::uint64_t values, std::uint64_t mask) {
  pins = (pins & ~(mask << first)) | (values & mask) << first;
}

}  // namespace

void UrController::set_input(int field, RtdeReader& reader) {
  UrRegisters& r = state_.registers;
  state_.input_tick = state_.tick;
  for (Watchdog& watchdog : state_.watchdogs) {
    if (watchdog.input == field) watchdog.last_tick = state_.tick;
  }
  if (field >= kRtdeInputBit64) {
    const int bit = field - kRtdeInputBit64;
    const std::uint64_t mask = std::uint64_t{1} << bit;
    r.input_bits[1] = reader.u8() != 0 ? r.input_bits[1] | mask : r.input_bits[1] & ~mask;
    return;
  }
  if (field >= kRtdeInputDouble0) {
    r.input_doubles[static_cast<std::size_t>(field - kRtdeInputDouble0)] = reader.f64();
    return;
  }
  if (field >= kRtdeInputInt0) {
    r.input_ints[static_cast<std::size_t>(field - kRtdeInputInt0)] = reader.i32();
    return;
  }
  switch (static_cast<RtdeInput>(field)) {
    case RtdeInput::kSpeedSliderMask:
      state_.slider_mask = reader.u32();
      return;
    case RtdeInput::kSpeedSliderFraction: {
      const double fraction = reader.f64();
      if (state_.slider_mask != 0) set_slider(fraction);
      return;
    }
    case RtdeInput::kStandardDigitalOutputMask:
    case RtdeInput::kConfigurableDigitalOutputMask:
    case RtdeInput::kToolDigitalOutputMask:
      put_pins(state_.digital_mask, first_pin(field), reader.u8(), 0xFF);
      return;
    case RtdeInput::kStandardDigitalOutput:
    case RtdeInput::kConfigurableDigitalOutput:
    case RtdeInput::kToolDigitalOutput:
      put_pins(state_.digital_outputs, first_pin(field), reader.u8(),
               state_.digital_mask >> first_pin(field) & 0xFF);
      return;
    case RtdeInput::kInputBitRegisters0To31:
      r.input_bits[0] = (r.input_bits[0] & ~std::uint64_t{0xFFFFFFFF}) | reader.u32();
      return;
    case RtdeInput::kInputBitRegisters32To63:
      r.input_bits[0] = (r.input_bits[0] & 0xFFFFFFFF) | static_cast<std::uint64_t>(reader.u32())
                                                             << 32;
      return;
    default:
      // Outputs to machines that are not simulated: read, so that what follows is read right.
      static_cast<void>(reader.text(rtde_type_bytes(rtde_input_type(field))));
      return;
  }
}

UrFrame UrController::tool_frame(const UrVector& q) const {
  return ur_product(ur_flange(model(), q), ur_frame_of(state_.tcp_offset));
}

UrVector UrController::tcp_pose(const UrVector& q) const {
  return ur_pose_of(tool_frame(q));
}

// The tool is rigid: its point moves with the flange and turns around it.
UrVector UrController::tcp_speed(const UrVector& q, const UrVector& qd) const {
  UrVector speed = ur_flange_speed(model(), q, qd);
  const auto flange = ur_flange(model(), q).position;
  const auto tool = tool_frame(q).position;
  std::array<double, 3> arm{};
  for (std::size_t i = 0; i < 3; ++i) arm[i] = tool[i] - flange[i];
  speed[0] += speed[4] * arm[2] - speed[5] * arm[1];
  speed[1] += speed[5] * arm[0] - speed[3] * arm[2];
  speed[2] += speed[3] * arm[1] - speed[4] * arm[0];
  return speed;
}

std::uint32_t UrController::safety_bits() const {
  switch (state_.safety_mode) {
    case UrSafetyMode::kNormal:
      return 1U;
    case UrSafetyMode::kReduced:
      return 1U << 1;
    case UrSafetyMode::kProtectiveStop:
      return 1U << 2 | 1U << 10;
    case UrSafetyMode::kRecovery:
      return 1U << 3;
    case UrSafetyMode::kSafeguardStop:
      return 1U << 4 | 1U << 10;
    case UrSafetyMode::kSystemEmergencyStop:
      return 1U << 5 | 1U << 7 | 1U << 10;
    case UrSafetyMode::kRobotEmergencyStop:
      return 1U << 6 | 1U << 7 | 1U << 10;
    case UrSafetyMode::kViolation:
      return 1U << 8 | 1U << 10;
    case UrSafetyMode::kFault:
      return 1U << 9 | 1U << 10;
  }
  return 0;
}

bool UrController::write_vector(RtdeOutput field, RtdeWriter& writer) const {
  const UrArm& arm = state_.arm;
  switch (field) {
    case RtdeOutput::kTargetQ:
      return write(writer, arm.target_q), true;
    case RtdeOutput::kTargetQd:
      return write(writer, arm.target_qd), true;
    case RtdeOutput::kTargetQdd:
      return write(writer, arm.target_qdd), true;
    case RtdeOutput::kActualQ:
      return write(writer, state_.measured_q), true;
    case RtdeOutput::kActualQd:
      return write(writer, state_.measured_qd), true;
    case RtdeOutput::kActualTcpPose:
      return write(writer, tcp_pose(state_.measured_q)), true;
    case RtdeOutput::kActualTcpSpeed:
      return write(writer, tcp_speed(state_.measured_q, state_.measured_qd)), true;
    case RtdeOutput::kTargetTcpPose:
      return write(writer, tcp_pose(arm.target_q)), true;
    case RtdeOutput::kTargetTcpSpeed:
      return write(writer, tcp_speed(arm.target_q, arm.target_qd)), true;
    case RtdeOutput::kTcpOffset:
      return write(writer, state_.tcp_offset), true;
    case RtdeOutput::kPayloadCog:
      return write(writer, state_.payload_cog), true;
    case RtdeOutput::kJointTemperatures:
      for (int i = 0; i < kUrJoints; ++i) writer.f64(30.0);
      return true;
    case RtdeOutput::kActualJointVoltage:
      for (int i = 0; i < kUrJoints; ++i) writer.f64(arm.is_powered != 0 ? 48.0 : 0.0);
      return true;
    case RtdeOutput::kJointMode:
      for (int i = 0; i < kUrJoints; ++i) {
        writer.i32(arm.is_powered != 0 ? kJointRunning : kJointIdle);
      }
      return true;
    case RtdeOutput::kElbowPosition:
      return write(writer, ur_link_frames(model(), state_.measured_q)[1].position), true;
    case RtdeOutput::kActualToolAccelerometer:
      return writer.f64(0.0).f64(0.0).f64(-9.81), true;
    default:
      return false;
  }
}

void UrController::write_numbers(RtdeOutput field, RtdeWriter& writer) const {
  const UrArm& arm = state_.arm;
  const UrRegisters& r = state_.registers;
  const bool has_power = state_.robot_mode >= UrRobotMode::kPowerOn;
  const bool plays = state_.runtime == UrRuntime::kPlaying;
  switch (field) {
    case RtdeOutput::kTimestamp:
      writer.f64(timestamp_s());
      return;
    case RtdeOutput::kActualDigitalOutputBits:
      writer.u64(state_.digital_outputs);
      return;
    case RtdeOutput::kActualExecutionTime:
      writer.f64(0.4);
      return;
    case RtdeOutput::kRobotMode:
      writer.i32(static_cast<std::int32_t>(state_.robot_mode));
      return;
    case RtdeOutput::kSafetyMode:
    case RtdeOutput::kSafetyStatus:
      writer.i32(static_cast<std::int32_t>(state_.safety_mode));
      return;
    case RtdeOutput::kSpeedScaling:
      writer.f64(plays && arm.motion != UrMotion::kNone ? state_.slider : 1.0);
      return;
    case RtdeOutput::kTargetSpeedFraction:
      writer.f64(state_.slider);
      return;
    case RtdeOutput::kActualMainVoltage:
    case RtdeOutput::kActualRobotVoltage:
      writer.f64(has_power || field == RtdeOutput::kActualMainVoltage ? 48.0 : 0.0);
      return;
    case RtdeOutput::kRuntimeState:
      writer.u32(static_cast<std::uint32_t>(state_.runtime));
      return;
    case RtdeOutput::kRobotStatusBits:
      writer.u32((has_power ? 1U : 0U) | (state_.runtime != UrRuntime::kStopped ? 2U : 0U));
      return;
    case RtdeOutput::kSafetyStatusBits:
      writer.u32(safety_bits());
      return;
    case RtdeOutput::kOutputBitRegisters0To31:
      writer.u32(static_cast<std::uint32_t>(r.output_bits[0]));
      return;
    case RtdeOutput::kOutputBitRegisters32To63:
      writer.u32(static_cast<std::uint32_t>(r.output_bits[0] >> 32));
      return;
    case RtdeOutput::kInputBitRegisters0To31:
      writer.u32(static_cast<std::uint32_t>(r.input_bits[0]));
      return;
    case RtdeOutput::kInputBitRegisters32To63:
      writer.u32(static_cast<std::uint32_t>(r.input_bits[0] >> 32));
      return;
    case RtdeOutput::kPayload:
      writer.f64(state_.payload);
      return;
    case RtdeOutput::kScriptControlLine:
      writer.u32(static_cast<std::uint32_t>(script_line()));
      return;
    default:
      // Currents, forces, tools and pins: all at rest.
      for (std::size_t i = rtde_type_bytes(rtde_output_type(static_cast<int>(field))); i > 0; --i) {
        writer.u8(0);
      }
      return;
  }
}

void UrController::write_output(int field, RtdeWriter& writer) const {
  INSTEP_CHECK(field >= 0 && field < kRtdeOutputs);
  const UrRegisters& r = state_.registers;
  const auto from = [field](int base) { return static_cast<std::size_t>(field - base); };
  if (field >= kRtdeOutputInputDouble0) {
    writer.f64(r.input_doubles[from(kRtdeOutputInputDouble0)]);
  } else if (field >= kRtdeOutputInputInt0) {
    writer.i32(r.input_ints[from(kRtdeOutputInputInt0)]);
  } else if (field >= kRtdeOutputBit64) {
    writer.u8(static_cast<std::uint8_t>(r.output_bits[1] >> from(kRtdeOutputBit64) & 1U));
  } else if (field >= kRtdeOutputDouble0) {
    writer.f64(r.output_doubles[from(kRtdeOutputDouble0)]);
  } else if (field >= kRtdeOutputInt0) {
    writer.i32(r.output_ints[from(kRtdeOutputInt0)]);
  } else if (!write_vector(static_cast<RtdeOutput>(field), writer)) {
    write_numbers(static_cast<RtdeOutput>(field), writer);
  }
}

}  // namespace instep

// What URScript's functions do to the simulated controller.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "drivers/ur/controller.h"

namespace instep {
namespace {

std::size_t append(std::span<char> out, std::size_t size, std::string_view text) {
  const std::size_t count = std::min(text.size(), out.size() - size);
  std::memcpy(out.data() + size, text.data(), count);
  return size + count;
}

std::size_t append_number(std::span<char> out, std::size_t size, double value) {
  std::array<char, 32> digits{};
  const int count = std::snprintf(digits.data(), digits.size(), "%.6g", value);
  return append(out, size, {digits.data(), static_cast<std::size_t>(count)});
}

// As textmsg() writes a value.
std::size_t append_value(std::span<char> out, std::size_t size, const UrCall& call,
                         std::size_t argument) {
  const UrValue& value = call.arguments[argument];
  switch (value.kind) {
    case UrKind::kText:
      return append(out, size, call.text(argument));
    case UrKind::kBool:
      return append(out, size, value.whole != 0 ? "True" : "False");
    case UrKind::kInteger:
    case UrKind::kFloat:
      return append_number(out, size, value.number());
    case UrKind::kList:
    case UrKind::kPose:
      size = append(out, size, value.kind == UrKind::kPose ? "p[" : "[");
      for (std::int32_t i = 0; i < value.whole; ++i) {
        if (i > 0) size = append(out, size, ", ");
        size = append_number(out, size, value.numbers[static_cast<std::size_t>(i)]);
      }
      return append(out, size, "]");
    case UrKind::kThread:
      return append(out, size, "thread");
    case UrKind::kNone:
      break;
  }
  return size;
}

// The number of a register, -1: there is none of it. Booleans and numbers have ranges of their own.
int register_argument(const UrCall& call, int count) {
  const UrValue& value = call.arguments[0];
  if (value.kind != UrKind::kInteger && value.kind != UrKind::kFloat) return -1;
  const double number = value.number();
  return number >= 0.0 && number < count ? static_cast<int>(number) : -1;
}

std::int32_t whole_argument(const UrCall& call, std::size_t argument) {
  const double value = call.arguments[argument].number();
  if (!std::isfinite(value)) return 0;
  return static_cast<std::int32_t>(std::clamp(value, -2147483648.0, 2147483647.0));
}

bool bool_argument(const UrCall& call, std::size_t argument) {
  return call.arguments[argument].whole != 0;
}

void set_bit(std::uint64_t& bits, int bit, bool value) {
  const std::uint64_t mask = std::uint64_t{1} << bit;
  bits = value ? bits | mask : bits & ~mask;
}

}  // namespace

void UrController::call(UrCall& call) {
  switch (call.function) {
    case UrFunction::kMovej:
    case UrFunction::kSpeedj:
    case UrFunction::kStopj:
    case UrFunction::kStopl:
    case UrFunction::kServoj:
      return call_motion(call);
    case UrFunction::kProtectiveStop:
      call.wait = UrWait::kSync;
      return protective_stop("asked for by the program");
    case UrFunction::kSync:
      call.wait = UrWait::kSync;
      return;
    case UrFunction::kSleep:
      call.wait = UrWait::kSleep;
      call.wait_s = std::clamp(call.number(0, 0.0), 0.0, 1e6);
      return;
    case UrFunction::kGetSteptime:
      call.result = UrValue::of_float(period_s());
      return;
    case UrFunction::kTextmsg:
    case UrFunction::kPopup:
      return say(call);
    case UrFunction::kNoEffect:
      return log(RtdeTextLevel::kInfo, "%s: without effect in this simulator", call.name.data());
    case UrFunction::kSetWatchdog:
      return set_watchdog(call);
    default:
      break;
  }
  if (call.function >= UrFunction::kReadInputInteger &&
      call.function <= UrFunction::kWriteOutputBoolean) {
    call_register(call);
  } else if (call.function >= UrFunction::kSetPayload) {
    call_setting(call);
  } else {
    call_state(call);
  }
}

void UrController::say(UrCall& call) {
  std::array<char, 160> text{};
  const std::span<char> room(text.data(), text.size() - 1);
  std::size_t size = append_value(room, 0, call, 0);
  if (call.function == UrFunction::kTextmsg && call.has(1)) append_value(room, size, call, 1);
  const bool is_popup = call.function == UrFunction::kPopup;
  log(is_popup ? RtdeTextLevel::kWarning : RtdeTextLevel::kInfo, "%s%s", is_popup ? "popup: " : "",
      text.data());
}

// Of the fastest joint, so that the tool brakes with `deceleration` (m/s2): all joints come to rest
// together. A tool that only turns has its joints brake with as many rad/s2.
double UrController::joint_deceleration(double deceleration) const {
  const UrVector& qd = state_.arm.target_qd;
  const UrVector speed = tcp_speed(state_.arm.target_q, qd);
  const double tool = std::hypot(speed[0], speed[1], speed[2]);
  double fastest = 0.0;
  for (const double joint : qd) fastest = std::max(fastest, std::fabs(joint));
  return tool > 1e-3 ? deceleration * fastest / tool : deceleration;
}

void UrController::call_motion(UrCall& call) {
  call.wait = UrWait::kMotion;
  UrVector values{};
  if (call.function == UrFunction::kStopj) {
    return ur_stopj(state_.arm, call.number(0, kUrProgramEndDecelRadS2));
  }
  if (call.function == UrFunction::kStopl) {
    return ur_stopj(state_.arm, joint_deceleration(call.number(0, 1.2)));
  }
  const bool is_pose =
      call.arguments[0].kind == UrKind::kPose && call.function == UrFunction::kMovej;
  if ((call.arguments[0].kind != UrKind::kList && !is_pose) || !call.arguments[0].six(&values)) {
    call.error = "six finite joint values are expected";
    return;
  }
  if (is_pose && !joints_at(values, state_.tcp_offset, state_.arm.target_q, &values)) {
    call.error = "movej: the pose is out of reach";
    return;
  }
  switch (call.function) {
    case UrFunction::kSpeedj: {
      const double most =
          std::fabs(*std::max_element(values.begin(), values.end(), [](double a, double b) {
            return std::fabs(a) < std::fabs(b);
          }));
      if (most > options_.speed_limit_rad_s) ++state_.counters.limit_violations;
      return ur_speedj(state_.arm, values, call.number(1, 1.4),
                       call.number(2, call.number(3, 0.0)));
    }
    case UrFunction::kServoj: {
      const double t = call.number(3, period_s());
      return ur_servoj(state_.arm, values, t > 0.0 ? t : period_s(), call.number(4, 0.1));
    }
    default:
      return ur_movej(state_.arm, values, call.number(1, 1.4), call.number(2, 1.05),
                      std::max(0.0, call.number(3, 0.0)));
  }
}

void UrController::call_register(UrCall& call) {
  UrRegisters& r = state_.registers;
  const bool is_boolean = call.function == UrFunction::kReadInputBoolean ||
                          call.function == UrFunction::kReadOutputBoolean ||
                          call.function == UrFunction::kWriteOutputBoolean;
  const int number = register_argument(call, is_boolean ? kUrBitRegisters : kUrIntRegisters);
  if (number < 0) {
    call.error = "there is no register of this number";
    return;
  }
  const auto at = static_cast<std::size_t>(number);
  switch (call.function) {
    case UrFunction::kReadInputInteger:
      call.result = UrValue::of_integer(r.input_ints[at]);
      return;
    case UrFunction::kReadOutputInteger:
      call.result = UrValue::of_integer(r.output_ints[at]);
      return;
    case UrFunction::kReadInputFloat:
      call.result = UrValue::of_float(r.input_doubles[at]);
      return;
    case UrFunction::kReadOutputFloat:
      call.result = UrValue::of_float(r.output_doubles[at]);
      return;
    case UrFunction::kReadInputBoolean:
      call.result = UrValue::of_bool((r.input_bits[at / 64] >> (at % 64) & 1U) != 0);
      return;
    case UrFunction::kReadOutputBoolean:
      call.result = UrValue::of_bool((r.output_bits[at / 64] >> (at % 64) & 1U) != 0);
      return;
    case UrFunction::kWriteOutputInteger:
      r.output_ints[at] = whole_argument(call, 1);
      return;
    case UrFunction::kWriteOutputFloat:
      r.output_doubles[at] = call.arguments[1].number();
      return;
    default:
      set_bit(r.output_bits[at / 64], number % 64, bool_argument(call, 1));
      return;
  }
}

void UrController::call_state(UrCall& call) {
  const UrArm& arm = state_.arm;
  switch (call.function) {
    case UrFunction::kActualJointPositions:
      call.result = UrValue::of_list(state_.measured_q);
      return;
    case UrFunction::kActualJointSpeeds:
      call.result = UrValue::of_list(state_.measured_qd);
      return;
    case UrFunction::kTargetJointPositions:
      call.result = UrValue::of_list(arm.target_q);
      return;
    case UrFunction::kTargetJointSpeeds:
      call.result = UrValue::of_list(arm.target_qd);
      return;
    case UrFunction::kActualTcpPose:
      call.result = UrValue::of_pose(tcp_pose(state_.measured_q));
      return;
    case UrFunction::kTargetTcpPose:
      call.result = UrValue::of_pose(tcp_pose(arm.target_q));
      return;
    case UrFunction::kActualTcpSpeed:
      call.result = UrValue::of_list(tcp_speed(state_.measured_q, state_.measured_qd));
      return;
    case UrFunction::kTargetTcpSpeed:
      call.result = UrValue::of_list(tcp_speed(arm.target_q, arm.target_qd));
      return;
    case UrFunction::kForwardKin: {
      UrVector q = state_.measured_q;
      UrVector offset = state_.tcp_offset;
      if ((call.has(0) && !call.arguments[0].six(&q)) ||
          (call.has(1) && !call.arguments[1].six(&offset))) {
        call.error = "joint angles or a pose are expected";
        return;
      }
      const UrFrame frame = ur_product(ur_flange(model(), q), ur_frame_of(offset));
      call.result = UrValue::of_pose(ur_pose_of(frame));
      return;
    }
    case UrFunction::kInverseKin:
    case UrFunction::kInverseKinHasSolution:
      return find_joints(call);
    case UrFunction::kIsSteady:
      call.result = UrValue::of_bool(!ur_moves(arm));
      return;
    case UrFunction::kGetTcpForce:
    case UrFunction::kGetJointTorques:
    case UrFunction::kGetTargetPayloadInertia:
      call.result = UrValue::of_list({});  // nothing is touched or carried here
      return;
    case UrFunction::kGetTcpOffset:
      call.result = UrValue::of_pose(state_.tcp_offset);
      return;
    case UrFunction::kGetTargetPayload:
      call.result = UrValue::of_float(state_.payload);
      return;
    default: {  // the payload's centre of gravity
      UrVector values{};
      std::copy(state_.payload_cog.begin(), state_.payload_cog.end(), values.begin());
      call.result = UrValue::of_list(values);
      call.result.whole = 3;
      return;
    }
  }
}

void UrController::call_setting(UrCall& call) {
  const int pin = register_argument(call, 8);
  switch (call.function) {
    case UrFunction::kSetPayload:
    case UrFunction::kSetTargetPayload:
      state_.payload = std::clamp(call.number(0, 0.0), 0.0, 5.0);
      if (call.has(1) && call.arguments[1].kind == UrKind::kList) {
        std::copy_n(call.arguments[1].numbers.begin(), 3, state_.payload_cog.begin());
      }
      return;
    case UrFunction::kSetTcp:
      if (call.arguments[0].kind != UrKind::kPose || !call.arguments[0].six(&state_.tcp_offset)) {
        call.error = "a pose is expected";
      }
      return;
    case UrFunction::kSetDigitalOut:
    case UrFunction::kGetDigitalOut:
    case UrFunction::kGetDigitalIn:
      if (pin < 0) {
        call.error = "there is no pin of this number";
      } else if (call.function == UrFunction::kSetDigitalOut) {
        set_bit(state_.digital_outputs, pin, bool_argument(call, 1));
      } else {
        const bool is_output = call.function == UrFunction::kGetDigitalOut;
        call.result = UrValue::of_bool(is_output && (state_.digital_outputs >> pin & 1U) != 0);
      }
      return;
    default:  // gravity: nothing falls here
      return;
  }
}

// The angles that bring the tool there, next to where the arm is going.
bool UrController::joints_at(const UrVector& pose, const UrVector& offset, const UrVector& near,
                             UrVector* q) const {
  const UrFrame flange = ur_product(ur_frame_of(pose), ur_inverse(ur_frame_of(offset)));
  return ur_joints_at(model(), flange, near, q);
}

// What is found is exact, so that nobody looks at the errors which are allowed.
void UrController::find_joints(UrCall& call) const {
  UrVector pose{};
  UrVector near = state_.arm.target_q;
  UrVector offset = state_.tcp_offset;
  if (call.arguments[0].kind != UrKind::kPose || !call.arguments[0].six(&pose) ||
      (call.has(1) && !call.arguments[1].six(&near)) ||
      (call.has(4) && !call.arguments[4].six(&offset))) {
    call.error = "a pose is expected, and joint angles near those that are looked for";
    return;
  }
  UrVector q{};
  const bool is_found = joints_at(pose, offset, near, &q);
  if (call.function == UrFunction::kInverseKinHasSolution) {
    call.result = UrValue::of_bool(is_found);
  } else if (is_found) {
    call.result = UrValue::of_list(q);
  } else {
    call.error = "get_inverse_kin: the pose is out of reach";
  }
}

void UrController::set_watchdog(UrCall& call) {
  const std::string_view action = call.has(2) ? call.text(2) : std::string_view("pause");
  const int input = find_rtde_input(call.text(0), version());
  if (input < 0) {
    call.error = "rtde_set_watchdog: there is no RTDE input of this name";
    return;
  }
  if (action != "ignore" && action != "pause" && action != "stop") {
    call.error = "rtde_set_watchdog: the action is ignore, pause or stop";
    return;
  }
  // One watchdog a variable.
  Watchdog* place = nullptr;
  for (Watchdog& watchdog : state_.watchdogs) {
    if (watchdog.input == input) place = &watchdog;
  }
  for (Watchdog& watchdog : state_.watchdogs) {
    if (place == nullptr && watchdog.input < 0) place = &watchdog;
  }
  if (place == nullptr) {
    call.error = "rtde_set_watchdog: more than 8 watchdogs are not simulated";
    return;
  }
  const double frequency = call.number(1, 0.0);
  if (action == "ignore" || frequency <= 0.0) {
    *place = {};
    return;
  }
  const double ticks = std::ceil(1.0 / (frequency * period_s()) - 1e-9);
  *place = {input, state_.tick, static_cast<std::int64_t>(std::clamp(ticks, 1.0, 1e9)),
            action == "stop" ? 1 : 0};
}

}  // namespace instep

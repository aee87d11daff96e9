// The controller's own functions by name. Those without an entry are not known, and a program that
// calls them does not compile.
#include <algorithm>

#include "drivers/ur/script.h"
#include "kernels/check.h"

namespace instep {
namespace {

using F = UrFunction;

constexpr std::array kFunctions = std::to_array<UrFunctionEntry>({
    {"movej", F::kMovej, 1, {"q", "a", "v", "t", "r"}},
    // t_min is what older software calls t.
    {"speedj", F::kSpeedj, 2, {"qd", "a", "t", "t_min"}},
    {"stopj", F::kStopj, 1, {"a"}},
    {"stopl", F::kStopl, 1, {"a", "aRot"}},
    {"servoj", F::kServoj, 1, {"q", "a", "v", "t", "lookahead_time", "gain"}},
    {"protective_stop", F::kProtectiveStop},
    {"sync", F::kSync},
    {"sleep", F::kSleep, 1, {"t"}},
    {"get_steptime", F::kGetSteptime},

    {"read_input_integer_register", F::kReadInputInteger, 1, {"address"}},
    {"read_input_float_register", F::kReadInputFloat, 1, {"address"}},
    {"read_input_boolean_register", F::kReadInputBoolean, 1, {"address"}},
    {"read_output_integer_register", F::kReadOutputInteger, 1, {"address"}},
    {"read_output_float_register", F::kReadOutputFloat, 1, {"address"}},
    {"read_output_boolean_register", F::kReadOutputBoolean, 1, {"address"}},
    {"write_output_integer_register", F::kWriteOutputInteger, 2, {"address", "value"}},
    {"write_output_float_register", F::kWriteOutputFloat, 2, {"address", "value"}},
    {"write_output_boolean_register", F::kWriteOutputBoolean, 2, {"address", "value"}},
    {"rtde_set_watchdog", F::kSetWatchdog, 2, {"variable_name", "min_frequency", "action"}},

    {"get_actual_joint_positions", F::kActualJointPositions},
    {"get_actual_joint_speeds", F::kActualJointSpeeds},
    {"get_target_joint_positions", F::kTargetJointPositions},
    {"get_target_joint_speeds", F::kTargetJointSpeeds},
    {"get_actual_tcp_pose", F::kActualTcpPose},
    {"get_actual_tcp_speed", F::kActualTcpSpeed},
    {"get_target_tcp_pose", F::kTargetTcpPose},
    {"get_target_tcp_speed", F::kTargetTcpSpeed},
    {"get_forward_kin", F::kForwardKin, 0, {"q", "tcp"}},
    {"get_inverse_kin",
     F::kInverseKin,
     1,
     {"x", "qnear", "maxPositionError", "maxOrientationError", "tcp"}},
    {"get_inverse_kin_has_solution",
     F::kInverseKinHasSolution,
     1,
     {"x", "qnear", "maxPositionError", "maxOrientationError", "tcp"}},
    {"is_steady", F::kIsSteady},
    {"get_tcp_force", F::kGetTcpForce},
    {"get_joint_torques", F::kGetJointTorques},
    {"get_tcp_offset", F::kGetTcpOffset},
    {"get_target_payload", F::kGetTargetPayload},
    {"get_target_payload_cog", F::kGetTargetPayloadCog},
    {"get_target_payload_inertia", F::kGetTargetPayloadInertia},

    {"set_payload", F::kSetPayload, 1, {"m", "cog"}},
    {"set_target_payload", F::kSetTargetPayload, 1, {"m", "cog", "inertia"}},
    {"set_tcp", F::kSetTcp, 1, {"pose"}},
    {"set_gravity", F::kSetGravity, 1, {"d"}},
    {"set_digital_out", F::kSetDigitalOut, 2, {"n", "b"}},
    {"set_standard_digital_out", F::kSetDigitalOut, 2, {"n", "b"}},
    {"get_standard_digital_out", F::kGetDigitalOut, 1, {"n"}},
    {"get_standard_digital_in", F::kGetDigitalIn, 1, {"n"}},

    {"textmsg", F::kTextmsg, 1, {"s1", "s2"}},
    {"popup", F::kPopup, 1, {"s", "title", "warning", "error", "blocking"}},

    {"abs", F::kAbs, 1, {"f"}},
    {"acos", F::kAcos, 1, {"f"}},
    {"asin", F::kAsin, 1, {"f"}},
    {"atan", F::kAtan, 1, {"f"}},
    {"atan2", F::kAtan2, 2, {"x", "y"}},
    {"ceil", F::kCeil, 1, {"f"}},
    {"cos", F::kCos, 1, {"f"}},
    {"d2r", F::kD2r, 1, {"d"}},
    {"floor", F::kFloor, 1, {"f"}},
    {"length", F::kLength, 1, {"v"}},
    {"get_list_length", F::kLength, 1, {"v"}},
    {"log", F::kLog, 2, {"b", "f"}},
    {"norm", F::kNorm, 1, {"a"}},
    {"pose_add", F::kPoseAdd, 2, {"p_1", "p_2"}},
    {"pose_inv", F::kPoseInv, 1, {"p_from"}},
    {"pose_sub", F::kPoseSub, 2, {"p_to", "p_from"}},
    {"pose_trans", F::kPoseTrans, 2, {"p_from", "p_from_to"}},
    {"pow", F::kPow, 2, {"base", "exponent"}},
    {"r2d", F::kR2d, 1, {"r"}},
    {"round", F::kRound, 1, {"f"}},
    {"sin", F::kSin, 1, {"f"}},
    {"sqrt", F::kSqrt, 1, {"f"}},
    {"tan", F::kTan, 1, {"f"}},

    {"force_mode_set_damping", F::kNoEffect, 1, {"damping"}},
    {"force_mode_set_gain_scaling", F::kNoEffect, 1, {"scaling"}},
    {"zero_ftsensor", F::kNoEffect},
    {"set_safety_mode_transition_hardness", F::kNoEffect, 1, {"type"}},

    {"conveyor_pulse_decode", F::kNotSimulated},
    {"direct_torque", F::kNotSimulated},
    {"enable_external_ft_sensor", F::kNotSimulated},
    {"end_force_mode", F::kNotSimulated},
    {"end_freedrive_mode", F::kNotSimulated},
    {"end_screw_driving", F::kNotSimulated},
    {"end_teach_mode", F::kNotSimulated},
    {"force", F::kNotSimulated},
    {"force_mode", F::kNotSimulated},
    {"freedrive_mode", F::kNotSimulated},
    {"ft_rtde_input_enable", F::kNotSimulated},
    {"get_actual_joint_positions_history", F::kNotSimulated},
    {"get_actual_tool_flange_pose", F::kNotSimulated},
    {"get_coriolis_and_centrifugal_torques", F::kNotSimulated},
    {"get_freedrive_status", F::kNotSimulated},
    {"get_jacobian", F::kNotSimulated},
    {"get_jacobian_time_derivative", F::kNotSimulated},
    {"get_mass_matrix", F::kNotSimulated},
    {"get_target_joint_accelerations", F::kNotSimulated},
    {"get_target_tcp_speed_along_path", F::kNotSimulated},
    {"get_target_waypoint", F::kNotSimulated},
    {"interpolate_pose", F::kNotSimulated},
    {"is_within_safety_limits", F::kNotSimulated},
    {"movec", F::kNotSimulated},
    {"movel", F::kNotSimulated},
    {"movep", F::kNotSimulated},
    {"path_offset_enable", F::kNotSimulated},
    {"path_offset_set", F::kNotSimulated},
    {"servoc", F::kNotSimulated},
    {"set_analog_out", F::kNotSimulated},
    {"set_configurable_digital_out", F::kNotSimulated},
    {"set_standard_analog_out", F::kNotSimulated},
    {"set_tool_digital_out", F::kNotSimulated},
    {"set_tool_voltage", F::kNotSimulated},
    {"socket_close", F::kNotSimulated},
    {"socket_get_var", F::kNotSimulated},
    {"socket_open", F::kNotSimulated},
    {"socket_read_ascii_float", F::kNotSimulated},
    {"socket_read_binary_integer", F::kNotSimulated},
    {"socket_read_byte_list", F::kNotSimulated},
    {"socket_read_string", F::kNotSimulated},
    {"socket_send_byte", F::kNotSimulated},
    {"socket_send_int", F::kNotSimulated},
    {"socket_send_line", F::kNotSimulated},
    {"socket_send_string", F::kNotSimulated},
    {"socket_set_var", F::kNotSimulated},
    {"speedl", F::kNotSimulated},
    {"start_screw_driving", F::kNotSimulated},
    {"str_cat", F::kNotSimulated},
    {"str_len", F::kNotSimulated},
    {"teach_mode", F::kNotSimulated},
    {"to_num", F::kNotSimulated},
    {"to_str", F::kNotSimulated},
    {"tool_contact", F::kNotSimulated},
    {"wrench_trans", F::kNotSimulated},
});

}  // namespace

int find_ur_function(std::string_view name) {
  const auto found =
      std::find_if(kFunctions.begin(), kFunctions.end(),
                   [name](const UrFunctionEntry& entry) { return entry.name == name; });
  return found == kFunctions.end() ? -1 : static_cast<int>(found - kFunctions.begin());
}

const UrFunctionEntry& ur_function(int number) {
  INSTEP_CHECK(number >= 0 && static_cast<std::size_t>(number) < kFunctions.size());
  return kFunctions[static_cast<std::size_t>(number)];
}

}  // namespace instep

// The part of URScript that the simulated controller interprets: from text to a list of operations.
// docs/ur.md has the grammar. Nothing is recursive and everything has a bound, so that any text is
// either compiled or refused.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace instep {

// ------------------------------------------------------------------------------------------------
// What a controller's own functions are called, and what their parameters are.

enum class UrFunction : std::uint16_t {
  // motion
  kMovej,
  kSpeedj,
  kStopj,
  kStopl,
  kServoj,
  kProtectiveStop,
  // time
  kSync,
  kSleep,
  kGetSteptime,
  // registers
  kReadInputInteger,
  kReadInputFloat,
  kReadInputBoolean,
  kReadOutputInteger,
  kReadOutputFloat,
  kReadOutputBoolean,
  kWriteOutputInteger,
  kWriteOutputFloat,
  kWriteOutputBoolean,
  kSetWatchdog,
  // state of the arm
  kActualJointPositions,
  kActualJointSpeeds,
  kTargetJointPositions,
  kTargetJointSpeeds,
  kActualTcpPose,
  kActualTcpSpeed,
  kTargetTcpPose,
  kTargetTcpSpeed,
  kForwardKin,
  kInverseKin,
  kInverseKinHasSolution,
  kIsSteady,
  kGetTcpForce,
  kGetJointTorques,
  kGetTcpOffset,
  kGetTargetPayload,
  kGetTargetPayloadCog,
  kGetTargetPayloadInertia,
  // settings
  kSetPayload,
  kSetTargetPayload,
  kSetTcp,
  kSetGravity,
  kSetDigitalOut,
  kGetDigitalOut,
  kGetDigitalIn,
  // messages
  kTextmsg,
  kPopup,
  // arithmetic
  kAbs,
  kAcos,
  kAsin,
  kAtan,
  kAtan2,
  kCeil,
  kCos,
  kD2r,
  kFloor,
  kLength,
  kLog,
  kNorm,
  kPoseAdd,
  kPoseInv,
  kPoseSub,
  kPoseTrans,
  kPow,
  kR2d,
  kRound,
  kSin,
  kSqrt,
  kTan,
  // taken, and without effect here: no force is simulated
  kNoEffect,
  // refused when it is called: the controller has it, the simulator has not
  kNotSimulated,
};

inline constexpr std::size_t kUrParametersMax = 6;

struct UrFunctionEntry {
  std::string_view name;
  UrFunction function;
  std::uint8_t required = 0;  // parameters that must be given
  std::array<std::string_view, kUrParametersMax> parameters{};
};
// The number of a function in the table; -1 for a name that no controller has.
int find_ur_function(std::string_view name);
const UrFunctionEntry& ur_function(int number);

// ------------------------------------------------------------------------------------------------
// Programs

enum class UrOp : std::uint16_t {
  kConstant,   // push constants[b]
  kList,       // pop b values, push them as a list
  kPose,       // pop six
  kLoadLocal,  // b: slot
  kLoadGlobal,
  kStoreLocal,  // pops
  kStoreGlobal,
  kPutLocal,  // pops value and index: element of a list or pose
  kPutGlobal,
  kIndex,  // pops index and container
  kNegate,
  kNot,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kModulo,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kEqual,
  kNotEqual,
  kAnd,
  kOr,
  kXor,
  kJump,         // b: to
  kJumpIfFalse,  // pops
  kCall,         // a: arguments, b: function of the program
  kRun,          // the same in a thread; pushes it
  kBuiltin,      // a: function of the controller; b: count, then 4 bits an argument: its parameter
  kReturn,       // pops the result
  kPop,
  kKill,  // pops a thread
  kJoin,
  kHalt,
};

struct UrOperation {
  UrOp op = UrOp::kHalt;
  std::uint16_t a = 0;
  std::int32_t b = 0;
};

enum class UrKind : std::int32_t { kNone, kBool, kInteger, kFloat, kList, kPose, kText, kThread };

struct UrConstant {
  UrKind kind = UrKind::kNone;
  std::int32_t whole = 0;  // kBool, kInteger; kText: begin in texts
  double number = 0.0;     // kFloat; kText: size
};

// Plain data without padding.
struct UrProgram {
  static constexpr std::size_t kOperationsMax = 8192;
  static constexpr std::size_t kConstantsMax = 1024;
  static constexpr std::size_t kFunctionsMax = 128;
  static constexpr std::size_t kGlobalsMax = 192;
  static constexpr std::size_t kLocalsMax = 96;  // of one function, parameters included
  static constexpr std::size_t kTextsMax = 16384;
  static constexpr std::size_t kNameMax = 64;

  struct Function {
    std::int32_t entry = 0;
    std::int32_t parameters = 0;
    std::int32_t locals = 0;  // parameters included
    std::int32_t is_thread = 0;
  };

  std::int64_t operation_count = 0;
  std::int64_t constant_count = 0;
  std::int64_t function_count = 0;
  std::int64_t global_count = 0;
  std::int64_t text_size = 0;
  std::int64_t is_secondary = 0;  // a `sec` program: beside the one that runs, without motion
  std::array<char, kNameMax> name{};
  std::array<UrOperation, kOperationsMax> operations{};
  std::array<std::uint16_t, kOperationsMax> lines{};
  std::array<UrConstant, kConstantsMax> constants{};
  std::array<Function, kFunctionsMax> functions{};
  std::array<char, kTextsMax> texts{};
};

struct UrScriptError {
  int line = 0;  // from 1
  std::array<char, 160> text{};
};

// Compiles a program or a single statement; false: *error says what a controller says of it, and
// *program is of no use.
bool compile_ur_script(std::string_view text, UrProgram* program, UrScriptError* error);

// How many bytes of what a client has sent are the first program or statement, line end included; 0
// as long as its end is missing.
std::size_t ur_script_bytes(std::string_view text);

}  // namespace instep

#include "drivers/ur/machine.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>

#include "drivers/ur/kinematics.h"
#include "kernels/check.h"

namespace instep {
namespace {

// Whole numbers of a controller have 32 bits; what does not fit becomes a float.
UrValue whole_or_float(std::int64_t value) {
  if (value >= INT32_MIN && value <= INT32_MAX) {
    return UrValue::of_integer(static_cast<std::int32_t>(value));
  }
  return UrValue::of_float(static_cast<double>(value));
}

std::int32_t to_whole(double value) {
  if (!std::isfinite(value)) return 0;
  return static_cast<std::int32_t>(std::clamp(value, -2147483648.0, 2147483647.0));
}

bool is_true(const UrValue& value) {
  return value.kind == UrKind::kFloat ? value.numbers[0] != 0.0 : value.whole != 0;
}

bool is_sequence(const UrValue& value) {
  return value.kind == UrKind::kList || value.kind == UrKind::kPose;
}

bool are_equal(const UrValue& left, const UrValue& right) {
  if (left.is_number() && right.is_number()) return left.number() == right.number();
  if (left.kind == UrKind::kThread || right.kind == UrKind::kThread) {
    return left.whole == right.whole;  // a handle against 0
  }
  if (left.kind != right.kind || left.whole != right.whole) return false;
  return !is_sequence(left) || left.numbers == right.numbers;
}

bool arithmetic(UrOp op, const UrValue& left, const UrValue& right, UrValue* result) {
  if (!left.is_number() || !right.is_number()) return false;
  if (left.kind == UrKind::kInteger && right.kind == UrKind::kInteger && op != UrOp::kDivide) {
    const std::int64_t a = left.whole;
    const std::int64_t b = right.whole;
    switch (op) {
      case UrOp::kAdd:
        *result = whole_or_float(a + b);
        return true;
      case UrOp::kSubtract:
        *result = whole_or_float(a - b);
        return true;
      case UrOp::kMultiply:
        *result = whole_or_float(a * b);
        return true;
      default:
        if (b == 0) return false;
        *result = whole_or_float(a % b);
        return true;
    }
  }
  const double a = left.number();
  const double b = right.number();
  switch (op) {
    case UrOp::kAdd:
      *result = UrValue::of_float(a + b);
      return true;
    case UrOp::kSubtract:
      *result = UrValue::of_float(a - b);
      return true;
    case UrOp::kMultiply:
      *result = UrValue::of_float(a * b);
      return true;
    default:
      if (b == 0.0) return false;
      *result = UrValue::of_float(op == UrOp::kDivide ? a / b : std::fmod(a, b));
      return true;
  }
}

bool compare(UrOp op, const UrValue& left, const UrValue& right, UrValue* result) {
  if (op == UrOp::kEqual || op == UrOp::kNotEqual) {
    *result = UrValue::of_bool(are_equal(left, right) == (op == UrOp::kEqual));
    return true;
  }
  if (!left.is_number() || !right.is_number()) return false;
  const double a = left.number();
  const double b = right.number();
  const bool holds = op == UrOp::kLess        ? a < b
                     : op == UrOp::kLessEqual ? a <= b
                     : op == UrOp::kGreater   ? a > b
                                              : a >= b;
  *result = UrValue::of_bool(holds);
  return true;
}

bool combine(UrOp op, const UrValue& left, const UrValue& right, UrValue* result) {
  switch (op) {
    case UrOp::kAdd:
    case UrOp::kSubtract:
    case UrOp::kMultiply:
    case UrOp::kDivide:
    case UrOp::kModulo:
      return arithmetic(op, left, right, result);
    case UrOp::kAnd:
    case UrOp::kOr:
    case UrOp::kXor: {
      if (left.kind != UrKind::kBool || right.kind != UrKind::kBool) return false;
      const bool a = is_true(left);
      const bool b = is_true(right);
      *result = UrValue::of_bool(op == UrOp::kAnd ? a && b : op == UrOp::kOr ? a || b : a != b);
      return true;
    }
    default:
      return compare(op, left, right, result);
  }
}

UrFrame frame_argument(UrCall& call, std::size_t argument) {
  UrVector pose{};
  if (!call.arguments[argument].six(&pose)) call.error = "a pose is expected";
  return ur_frame_of(pose);
}

void call_pose_function(UrCall& call) {
  const UrFrame first = frame_argument(call, 0);
  if (call.function == UrFunction::kPoseInv) {
    call.result = UrValue::of_pose(ur_pose_of(ur_inverse(first)));
    return;
  }
  const UrFrame second = frame_argument(call, 1);
  if (call.function == UrFunction::kPoseTrans) {
    call.result = UrValue::of_pose(ur_pose_of(ur_product(first, second)));
    return;
  }
  // Sums and differences of positions, and of rotations, each by itself.
  const bool adds = call.function == UrFunction::kPoseAdd;
  UrFrame turn = adds ? second : ur_inverse({second.rotation, {}});
  turn.position = {};
  UrFrame result = ur_product({first.rotation, {}}, turn);
  for (std::size_t i = 0; i < 3; ++i) {
    result.position[i] = first.position[i] + (adds ? second.position[i] : -second.position[i]);
  }
  call.result = UrValue::of_pose(ur_pose_of(result));
}

}  // namespace

// ------------------------------------------------------------------------------------------------
// Values

UrValue UrValue::of_bool(bool value) {
  UrValue result;
  result.kind = UrKind::kBool;
  result.whole = value ? 1 : 0;
  return result;
}

UrValue UrValue::of_integer(std::int32_t value) {
  UrValue result;
  result.kind = UrKind::kInteger;
  result.whole = value;
  return result;
}

UrValue UrValue::of_float(double value) {
  UrValue result;
  result.kind = UrKind::kFloat;
  result.numbers[0] = value;
  return result;
}

UrValue UrValue::of_list(const std::array<double, 6>& values) {
  UrValue result;
  result.kind = UrKind::kList;
  result.whole = 6;
  std::copy(values.begin(), values.end(), result.numbers.begin());
  return result;
}

UrValue UrValue::of_pose(const std::array<double, 6>& values) {
  UrValue result = of_list(values);
  result.kind = UrKind::kPose;
  return result;
}

double UrValue::number() const {
  return kind == UrKind::kInteger ? static_cast<double>(whole)
         : kind == UrKind::kFloat ? numbers[0]
                                  : 0.0;
}

bool UrValue::six(std::array<double, 6>* values) const {
  if (!is_sequence(*this) || whole != 6) return false;
  for (std::size_t i = 0; i < 6; ++i) {
    if (!std::isfinite(numbers[i])) return false;
    (*values)[i] = numbers[i];
  }
  return true;
}

std::string_view UrCall::text(std::size_t argument) const {
  const UrValue& value = arguments[argument];
  if (value.kind != UrKind::kText) return {};
  return texts.substr(static_cast<std::size_t>(value.whole),
                      static_cast<std::size_t>(value.numbers[0]));
}

bool call_ur_arithmetic(UrCall& call) {
  const double x = call.arguments[0].number();
  const double y = call.arguments[1].number();
  const auto answer = [&call](double value) {
    call.result = UrValue::of_float(value);
    if (!std::isfinite(value)) call.error = "the result is not a number";
  };
  switch (call.function) {
    case UrFunction::kAbs:
      if (call.arguments[0].kind == UrKind::kInteger) {
        call.result = whole_or_float(std::abs(std::int64_t{call.arguments[0].whole}));
      } else {
        answer(std::fabs(x));
      }
      return true;
    case UrFunction::kAcos:
      return answer(std::acos(x)), true;
    case UrFunction::kAsin:
      return answer(std::asin(x)), true;
    case UrFunction::kAtan:
      return answer(std::atan(x)), true;
    case UrFunction::kAtan2:
      return answer(std::atan2(x, y)), true;
    case UrFunction::kCeil:
      return call.result = UrValue::of_integer(to_whole(std::ceil(x))), true;
    case UrFunction::kFloor:
      return call.result = UrValue::of_integer(to_whole(std::floor(x))), true;
    case UrFunction::kRound:
      return call.result = UrValue::of_integer(to_whole(std::round(x))), true;
    case UrFunction::kCos:
      return answer(std::cos(x)), true;
    case UrFunction::kSin:
      return answer(std::sin(x)), true;
    case UrFunction::kTan:
      return answer(std::tan(x)), true;
    case UrFunction::kSqrt:
      return answer(std::sqrt(x)), true;
    case UrFunction::kPow:
      return answer(std::pow(x, y)), true;
    case UrFunction::kLog:
      return answer(std::log(y) / std::log(x)), true;
    case UrFunction::kD2r:
      return answer(x * std::numbers::pi / 180.0), true;
    case UrFunction::kR2d:
      return answer(x * 180.0 / std::numbers::pi), true;
    case UrFunction::kLength:
      return call.result =
                 UrValue::of_integer(is_sequence(call.arguments[0]) ? call.arguments[0].whole : 0),
             true;
    case UrFunction::kNorm: {
      if (!is_sequence(call.arguments[0])) return answer(std::fabs(x)), true;
      double sum = 0.0;
      for (const double value : call.arguments[0].numbers) sum += value * value;
      return answer(std::sqrt(sum)), true;
    }
    case UrFunction::kPoseAdd:
    case UrFunction::kPoseInv:
    case UrFunction::kPoseSub:
    case UrFunction::kPoseTrans:
      return call_pose_function(call), true;
    default:
      return false;
  }
}

// ------------------------------------------------------------------------------------------------
// Threads

void UrMachine::start() {
  globals_ = {};
  for (Thread& thread : threads_) thread.is_alive = 0;
  Thread& main = threads_[0];
  main = {};
  main.is_alive = 1;
  serial_ = main.serial = 1;
  motion_thread_ = 0;
  error_ = {};
  line_ = 0;
  is_running_ = 1;
}

UrMachine::Thread* UrMachine::find_thread(std::int64_t serial) {
  for (Thread& thread : threads_) {
    if (thread.is_alive != 0 && thread.serial == serial) return &thread;
  }
  return nullptr;
}

bool UrMachine::may_go_on(Thread& thread, const UrScriptHost& host, double period_s) const {
  switch (thread.wait) {
    case UrWait::kSleep:
      thread.wait_s -= period_s;
      return thread.wait_s <= 1e-9;
    case UrWait::kMotion:
      return motion_thread_ != thread.serial || host.motion_is_done();
    case UrWait::kJoin:
      return std::none_of(threads_.begin(), threads_.end(), [&thread](const Thread& other) {
        return other.is_alive != 0 && other.serial == thread.joined;
      });
    default:
      return true;
  }
}

bool UrMachine::tick(UrScriptHost& host, double period_s) {
  for (int i = 0; i < kThreadsMax && is_running_ != 0; ++i) {
    Thread& thread = threads_[static_cast<std::size_t>(i)];
    if (thread.is_alive == 0 || !may_go_on(thread, host, period_s)) continue;
    if (motion_thread_ == thread.serial) motion_thread_ = 0;
    thread.wait = UrWait::kNone;
    if (!run(i, host)) {
      is_running_ = 0;
      return false;
    }
  }
  return true;
}

bool UrMachine::run(int index, UrScriptHost& host) {
  Thread& thread = threads_[static_cast<std::size_t>(index)];
  for (int count = 0; count < kOperationsPerTick; ++count) {
    if (!step(index, host)) return false;
    if (is_running_ == 0 || thread.is_alive == 0 || thread.wait != UrWait::kNone) return true;
  }
  return fail("the program used too much time without instructing the robot");
}

bool UrMachine::step(int index, UrScriptHost& host) {
  Thread& thread = threads_[static_cast<std::size_t>(index)];
  const auto at = static_cast<std::size_t>(thread.at);
  INSTEP_CHECK(thread.at < program_.operation_count);
  const UrOperation& operation = program_.operations[at];
  line_ = program_.lines[at];
  ++thread.at;
  switch (operation.op) {
    case UrOp::kConstant:
    case UrOp::kList:
    case UrOp::kPose:
    case UrOp::kLoadLocal:
    case UrOp::kLoadGlobal:
    case UrOp::kStoreLocal:
    case UrOp::kStoreGlobal:
    case UrOp::kPutLocal:
    case UrOp::kPutGlobal:
    case UrOp::kIndex:
    case UrOp::kPop:
      return access(thread, operation);
    case UrOp::kJump:
    case UrOp::kJumpIfFalse:
    case UrOp::kReturn:
    case UrOp::kKill:
    case UrOp::kJoin:
      return branch(thread, operation);
    case UrOp::kCall:
      return call(thread, operation);
    case UrOp::kRun:
      return start_thread(thread, operation);
    case UrOp::kBuiltin:
      return builtin(index, operation, host);
    case UrOp::kHalt:
      is_running_ = 0;
      return true;
    default:
      return calculate(thread, operation.op);
  }
}

bool UrMachine::push(Thread& thread, const UrValue& value) {
  if (thread.size == kStackMax) return fail("stack overflow");
  thread.stack[static_cast<std::size_t>(thread.size++)] = value;
  return true;
}

UrValue UrMachine::pop(Thread& thread) {
  INSTEP_CHECK(thread.size > 0);
  return thread.stack[static_cast<std::size_t>(--thread.size)];
}

UrValue& UrMachine::variable(Thread& thread, const UrOperation& operation) {
  const auto slot = static_cast<std::size_t>(operation.b);
  const bool is_local = operation.op == UrOp::kLoadLocal || operation.op == UrOp::kStoreLocal ||
                        operation.op == UrOp::kPutLocal;
  if (!is_local) return globals_[slot];
  INSTEP_CHECK(thread.calls > 0);
  const Call& frame = thread.frames[static_cast<std::size_t>(thread.calls - 1)];
  return thread.stack[static_cast<std::size_t>(frame.base) + slot];
}

bool UrMachine::access(Thread& thread, const UrOperation& operation) {
  switch (operation.op) {
    case UrOp::kConstant: {
      const UrConstant& constant = program_.constants[static_cast<std::size_t>(operation.b)];
      UrValue value;
      value.kind = constant.kind;
      value.whole = constant.whole;
      value.numbers[0] = constant.number;
      return push(thread, value);
    }
    case UrOp::kList:
    case UrOp::kPose: {
      UrValue value;
      const int count = operation.op == UrOp::kPose ? 6 : operation.b;
      if (count > UrValue::kElementsMax) return fail("lists of more than 8 are not simulated");
      value.kind = operation.op == UrOp::kPose ? UrKind::kPose : UrKind::kList;
      value.whole = count;
      for (int i = count; i-- > 0;) {
        const UrValue element = pop(thread);
        if (!element.is_number()) return fail("lists of what is no number are not simulated");
        value.numbers[static_cast<std::size_t>(i)] = element.number();
      }
      return push(thread, value);
    }
    case UrOp::kLoadLocal:
    case UrOp::kLoadGlobal: {
      const UrValue& value = variable(thread, operation);
      if (value.kind == UrKind::kNone) return fail("a variable is read that has no value yet");
      return push(thread, value);
    }
    case UrOp::kStoreLocal:
    case UrOp::kStoreGlobal:
      variable(thread, operation) = pop(thread);
      return true;
    case UrOp::kPutLocal:
    case UrOp::kPutGlobal:
      return put(thread, variable(thread, operation));
    case UrOp::kIndex:
      return this->index(thread);
    default:
      pop(thread);
      return true;
  }
}

bool UrMachine::put(Thread& thread, UrValue& container) {
  const UrValue value = pop(thread);
  const UrValue at = pop(thread);
  if (!is_sequence(container) || at.kind != UrKind::kInteger || at.whole < 0 ||
      at.whole >= container.whole || !value.is_number()) {
    return fail("an element is set that is not there");
  }
  container.numbers[static_cast<std::size_t>(at.whole)] = value.number();
  return true;
}

bool UrMachine::index(Thread& thread) {
  const UrValue at = pop(thread);
  const UrValue container = pop(thread);
  if (!is_sequence(container) || at.kind != UrKind::kInteger || at.whole < 0 ||
      at.whole >= container.whole) {
    return fail("an element is read that is not there");
  }
  return push(thread, UrValue::of_float(container.numbers[static_cast<std::size_t>(at.whole)]));
}

bool UrMachine::calculate(Thread& thread, UrOp op) {
  const UrValue right = pop(thread);
  UrValue result;
  if (op == UrOp::kNot) {
    if (right.kind != UrKind::kBool) return fail("not: a boolean is expected");
    return push(thread, UrValue::of_bool(right.whole == 0));
  }
  if (op == UrOp::kNegate) {
    if (!right.is_number()) return fail("-: a number is expected");
    const bool is_whole = right.kind == UrKind::kInteger;
    return push(thread, is_whole ? whole_or_float(-std::int64_t{right.whole})
                                 : UrValue::of_float(-right.numbers[0]));
  }
  const UrValue left = pop(thread);
  if (!combine(op, left, right, &result)) return fail("an operator got values of wrong type");
  return push(thread, result);
}

bool UrMachine::branch(Thread& thread, const UrOperation& operation) {
  switch (operation.op) {
    case UrOp::kJumpIfFalse: {
      const UrValue condition = pop(thread);
      if (condition.kind != UrKind::kBool) return fail("a condition is no boolean");
      if (condition.whole == 0) thread.at = operation.b;
      return true;
    }
    case UrOp::kReturn: {
      const UrValue result = pop(thread);
      INSTEP_CHECK(thread.calls > 0);
      const Call frame = thread.frames[static_cast<std::size_t>(--thread.calls)];
      thread.size = frame.base;
      if (frame.return_to < 0) {
        thread.is_alive = 0;
        return true;
      }
      thread.at = frame.return_to;
      return push(thread, result);
    }
    case UrOp::kKill:
    case UrOp::kJoin: {
      const UrValue handle = pop(thread);
      if (operation.op == UrOp::kJoin) {
        thread.wait = UrWait::kJoin;
        thread.joined = handle.kind == UrKind::kThread ? handle.whole : 0;
        return true;
      }
      Thread* const other = handle.kind == UrKind::kThread ? find_thread(handle.whole) : nullptr;
      if (other != nullptr) {
        if (motion_thread_ == other->serial) motion_thread_ = 0;
        other->is_alive = 0;
      }
      return true;
    }
    default:
      thread.at = operation.b;
      return true;
  }
}

bool UrMachine::call(Thread& thread, const UrOperation& operation) {
  const auto& function = program_.functions[static_cast<std::size_t>(operation.b)];
  if (thread.calls == kCallsMax) return fail("too many calls within calls");
  const std::int64_t base = thread.size - function.parameters;
  if (base + function.locals > kStackMax) return fail("stack overflow");
  thread.frames[static_cast<std::size_t>(thread.calls++)] = {static_cast<std::int32_t>(thread.at),
                                                             static_cast<std::int32_t>(base)};
  for (; thread.size < base + function.locals; ++thread.size) {
    thread.stack[static_cast<std::size_t>(thread.size)] = {};
  }
  thread.at = function.entry;
  return true;
}

bool UrMachine::start_thread(Thread& from, const UrOperation& operation) {
  for (Thread& thread : threads_) {
    if (thread.is_alive != 0) continue;
    thread = {};
    thread.serial = ++serial_;
    thread.at = -1;
    for (int i = 0; i < operation.a; ++i) {
      const auto source = static_cast<std::size_t>(from.size - operation.a + i);
      if (!push(thread, from.stack[source])) return false;
    }
    from.size -= operation.a;
    if (!call(thread, operation)) return false;
    thread.frames[0].return_to = -1;
    thread.is_alive = 1;
    // It takes its first turn behind those that are there.
    thread.wait = UrWait::kSync;
    UrValue handle;
    handle.kind = UrKind::kThread;
    handle.whole = static_cast<std::int32_t>(thread.serial);
    return push(from, handle);
  }
  return fail("more than 8 threads are not simulated");
}

bool UrMachine::builtin(int index, const UrOperation& operation, UrScriptHost& host) {
  Thread& thread = threads_[static_cast<std::size_t>(index)];
  const UrFunctionEntry& entry = ur_function(operation.a);
  const auto packed = static_cast<std::uint32_t>(operation.b);
  if (entry.function == UrFunction::kNotSimulated) {
    return fail("this simulator does not have the function", entry.name);
  }
  UrCall call;
  call.function = entry.function;
  call.name = entry.name;
  call.texts = {program_.texts.data(), static_cast<std::size_t>(program_.text_size)};
  call.thread = index;
  for (std::uint32_t i = packed & 15U; i-- > 0;) {
    call.arguments[packed >> (4 + 4 * i) & 15U] = pop(thread);
  }
  if (entry.function <= UrFunction::kServoj) {
    if (program_.is_secondary != 0) return fail("a secondary program may not move the robot");
    if (find_thread(motion_thread_) != nullptr) {
      return fail("another thread is already controlling the robot");
    }
  }
  if (!call_ur_arithmetic(call)) host.call(call);
  if (call.error != nullptr) return fail(call.error, entry.name);
  if (call.wait == UrWait::kMotion) motion_thread_ = thread.serial;
  thread.wait = call.wait;
  thread.wait_s = call.wait_s;
  return push(thread, call.result);
}

bool UrMachine::fail(const char* what, std::string_view name) {
  const auto size = static_cast<int>(std::min<std::size_t>(name.size(), 60));
  std::snprintf(error_.data(), error_.size(), "%s%s%.*s", what, size > 0 ? ": " : "", size,
                name.data());
  return false;
}

}  // namespace instep

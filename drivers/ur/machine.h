// Runs a compiled URScript program: threads that take turns, once a control period, until each of
// them waits. Plain data; what the program does to the robot goes through a host.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "drivers/ur/script.h"

namespace instep {

// A value of a program. Lists hold numbers, eight at most.
struct UrValue {
  static constexpr int kElementsMax = 8;

  UrKind kind = UrKind::kNone;
  std::int32_t whole = 0;  // kBool, kInteger, kThread; kText: begin; kList, kPose: how many
  std::array<double, kElementsMax> numbers{};  // kFloat: the first; kText: its size

  static UrValue of_bool(bool value);
  static UrValue of_integer(std::int32_t value);
  static UrValue of_float(double value);
  static UrValue of_list(const std::array<double, 6>& values);
  static UrValue of_pose(const std::array<double, 6>& values);

  bool is_number() const { return kind == UrKind::kInteger || kind == UrKind::kFloat; }
  double number() const;                          // 0 for what is no number
  bool six(std::array<double, 6>* values) const;  // false: no list or pose of six
};

enum class UrWait : std::int64_t { kNone, kSync, kSleep, kMotion, kJoin };

// One call of a controller's function.
struct UrCall {
  UrFunction function = UrFunction::kNoEffect;
  std::string_view name;
  std::array<UrValue, kUrParametersMax> arguments{};
  std::string_view texts;  // of the program
  int thread = 0;

  UrValue result;
  UrWait wait = UrWait::kNone;
  double wait_s = 0.0;          // kSleep
  const char* error = nullptr;  // ends the program

  bool has(std::size_t argument) const { return arguments[argument].kind != UrKind::kNone; }
  double number(std::size_t argument, double otherwise) const {
    return has(argument) ? arguments[argument].number() : otherwise;
  }
  std::string_view text(std::size_t argument) const;
};

// What a program reaches of its controller.
class UrScriptHost {
 public:
  UrScriptHost() = default;
  UrScriptHost(const UrScriptHost&) = delete;
  UrScriptHost& operator=(const UrScriptHost&) = delete;
  virtual ~UrScriptHost() = default;

  virtual void call(UrCall& call) = 0;
  virtual bool motion_is_done() const = 0;
};

// Arithmetic and poses; false when `call` asks for something else.
bool call_ur_arithmetic(UrCall& call);

class UrMachine {
 public:
  static constexpr int kThreadsMax = 8;
  static constexpr int kStackMax = 192;
  static constexpr int kCallsMax = 16;
  // Operations of one thread in one control period. A thread that does not wait within them ends
  // the program.
  static constexpr int kOperationsPerTick = 20'000;

  // Starts the program that was compiled into program().
  void start();
  void stop() { is_running_ = 0; }
  bool is_running() const { return is_running_ != 0; }

  // One control period of `period_s`. Answers false when the program has failed: error() and line()
  // say how.
  bool tick(UrScriptHost& host, double period_s);

  UrProgram& program() { return program_; }
  const UrProgram& program() const { return program_; }
  const char* error() const { return error_.data(); }
  int line() const { return static_cast<int>(line_); }

 private:
  struct Call {
    std::int32_t return_to = 0;
    std::int32_t base = 0;
  };
  struct Thread {
    std::int64_t is_alive = 0;
    std::int64_t serial = 0;  // tells a thread from an earlier one in its place
    std::int64_t at = 0;      // the next operation
    std::int64_t size = 0;    // of the stack
    std::int64_t calls = 0;
    UrWait wait = UrWait::kNone;
    std::int64_t joined = 0;  // kJoin: the serial number
    double wait_s = 0.0;
    std::array<Call, kCallsMax> frames{};
    std::array<UrValue, kStackMax> stack{};
  };

  bool may_go_on(Thread& thread, const UrScriptHost& host, double period_s) const;
  bool run(int index, UrScriptHost& host);
  bool step(int index, UrScriptHost& host);
  bool access(Thread& thread, const UrOperation& operation);
  bool calculate(Thread& thread, UrOp op);
  bool branch(Thread& thread, const UrOperation& operation);
  bool call(Thread& thread, const UrOperation& operation);
  bool start_thread(Thread& from, const UrOperation& operation);
  bool builtin(int index, const UrOperation& operation, UrScriptHost& host);
  bool put(Thread& thread, UrValue& container);
  bool index(Thread& thread);
  UrValue& variable(Thread& thread, const UrOperation& operation);
  Thread* find_thread(std::int64_t serial);
  bool push(Thread& thread, const UrValue& value);
  UrValue pop(Thread& thread);
  bool fail(const char* what, std::string_view name = "");

  UrProgram program_;
  std::array<UrValue, UrProgram::kGlobalsMax> globals_{};
  std::array<Thread, kThreadsMax> threads_{};
  std::int64_t is_running_ = 0;
  std::int64_t serial_ = 0;
  std::int64_t motion_thread_ = 0;  // serial of the thread that waits for its motion; 0: none
  std::int64_t line_ = 0;
  std::array<char, 160> error_{};
};

}  // namespace instep

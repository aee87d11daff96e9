// The simulated Create 2 behind a simulated serial port, for programs and tests that open a file.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "drivers/create2/simulator.h"
#include "drivers/simulated_serial_port.h"

namespace instep {

struct Create2OnPortOptions {
  std::string path;
  // Hears its own rate alone, as the robot does; see SimulatedSerialPort for what the port is
  // strict about. Else every rate will do until opcode 129 names one.
  bool is_strict = false;
  std::uint64_t seed = 0;  // of its arena, its place and its noise
};

// A pseudo-terminal has no wake line: a sleeping robot wakes on Start, which a real one does not.
// One thread at a time. Throws std::runtime_error when the system refuses a terminal or a name.
class Create2OnPort {
 public:
  explicit Create2OnPort(const Create2OnPortOptions& options);

  // Lets time, which begins at 0, go on until now_ns, and bytes pass both ways. The cable is
  // plugged in as simulator().is_plugged() says. Answers when something happens next by itself.
  std::int64_t advance(std::int64_t now_ns);

  // Bytes of another program that has the port open, too.
  void send_as_another_program(std::span<const std::uint8_t> bytes, std::int64_t now_ns);

  Create2Simulator& simulator() { return simulator_; }
  const Create2Simulator& simulator() const { return simulator_; }
  SimulatedSerialPort& port() { return port_; }
  const SimulatedSerialPort& port() const { return port_; }

 private:
  int robot_baud() const;
  void take(std::span<const std::uint8_t> bytes, std::int64_t now_ns);

  Create2OnPortOptions options_;
  SimulatedSerialPort port_;
  Create2Simulator simulator_;
  std::vector<std::uint8_t> heard_;
};

}  // namespace instep

// A serial port of this machine: 8 data bits, no parity, one stop bit, no flow control, raw.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/transport.h"

namespace instep {

class SerialPort final : public Transport {
 public:
  // `path` as in /dev/ttyUSB0 or /dev/serial/by-id/...; only 115200 baud.
  explicit SerialPort(std::string path);
  ~SerialPort() override;

  // Takes the port for this process alone, asks its adapter not to hold bytes back (where it can),
  // and throws away what had been received before.
  [[nodiscard]] bool open() override;
  void close() override;
  bool is_open() const override { return descriptor_ >= 0; }
  int descriptor() const override { return descriptor_; }
  [[nodiscard]] int read(std::span<std::uint8_t> out) override;
  [[nodiscard]] int write(std::span<const std::uint8_t> bytes) override;
  // The line RTS; a pseudo-terminal has none.
  void set_wake_line(bool is_low) override;
  const std::string& error() const override { return error_; }

 private:
  bool fail(const char* what, int error);
  bool configure();

  std::string path_;
  std::string error_;
  int descriptor_ = -1;
};

}  // namespace instep

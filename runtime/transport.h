// A device's line as an open file: what an I/O thread reads and writes, whatever the line is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace instep {

// One line to one device. open() may take time and memory; read() and write() do neither and never
// wait: poll() on descriptor() says when there is something to do. One thread at a time.
class Transport {
 public:
  // What read() and write() answer when the line is gone: close it and open it again later.
  static constexpr int kGone = -1;

  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  // Opens the line, or opens it again. False when that is not possible now; error() says why and
  // what to do.
  [[nodiscard]] virtual bool open() = 0;
  virtual void close() = 0;
  virtual bool is_open() const = 0;
  // For poll() and for a process that must be able to stop the device; -1 while closed.
  virtual int descriptor() const = 0;

  // How many bytes were read or taken, 0 when none can be now, kGone.
  [[nodiscard]] virtual int read(std::span<std::uint8_t> out) = 0;
  [[nodiscard]] virtual int write(std::span<const std::uint8_t> bytes) = 0;

  // Pulls the device's wake line low or lets it go, where there is one.
  virtual void set_wake_line(bool /*is_low*/) {}

  // What went wrong last and what to do about it, for people; empty when nothing did.
  virtual const std::string& error() const = 0;
};

}  // namespace instep

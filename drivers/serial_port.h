// A serial port of this machine: 115200 baud, 8 data bits, no parity, one stop bit, no flow
// control, raw.
#pragma once

#include <string>

#include "runtime/realtime/port.h"

namespace instep {

// Opens `path` (/dev/ttyUSB0, /dev/serial/by-id/...) without blocking, takes it for this process
// alone, asks its adapter not to hold bytes back (where it can), and throws away what had been
// received before. Answers a descriptor or a negative errno value; ENOTTY: not a serial port.
int open_serial_port(const char* path);

// The line RTS; nothing where there is none, as on a pseudo-terminal.
void set_serial_wake_line(int descriptor, bool is_low);

// Forgets what was written but has not left the machine.
void discard_serial_output(int descriptor);

inline constexpr PortOperations kSerialPort = {open_serial_port, set_serial_wake_line,
                                               discard_serial_output};

// Why opening failed with that errno value, and what to do about it, for people.
std::string serial_port_trouble(const std::string& path, int error);

}  // namespace instep

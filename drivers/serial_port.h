// A serial port of this machine: 115200 baud, 8 data bits, no parity, one stop bit, no flow
// control, raw.
#pragma once

#include <string>
#include <vector>

#include "runtime/realtime/port.h"

namespace instep {

// Where the system's files are; tests have others.
struct SystemFolders {
  const char* dev = "/dev";
  const char* sys = "/sys";
};

// Opens the port and sets it up, as PortOperations::open says. Others may have it open, too.
// ENOTTY: not a serial port; ENODEV: something is there, but not the device that was.
//
// A device is known by its USB adapter: vendor, product, serial number, interface. One without a
// serial number, or with the same as another's, is also known by the socket it is plugged into. It
// is looked for under the name that was given, under its old one, under the stable one that
// udev gives, and among ttyUSB* and ttyACM*. A port without an adapter (a UART of the board, a
// pseudo-terminal) is only looked for under the name that was given, and the stable one.
int open_serial_port(PortAddress* address, const SystemFolders& folders = {});

// A lock: the guardian, and `instep stop`, must be able to open it all the same. Answers 0 or an
// errno value.
int claim_serial_port(int descriptor);

// Sets what differs: speed, raw bytes, no flow control, no hang-up on close, no exclusive use, the
// terminal's own line discipline, output not halted. Answers a PortLook or a negative errno value;
// EINVAL: the port takes no such settings.
int prepare_serial_port(int descriptor);

// The line RTS; nothing where there is none, as on a pseudo-terminal.
void set_serial_wake_line(int descriptor, bool is_low);

// Forgets what was written but has not left the machine.
void discard_serial_output(int descriptor);

// Waits, for at most a second, until it has left.
void drain_serial_output(int descriptor);

inline constexpr PortOperations kSerialPort = {
    .open = [](PortAddress* address) { return open_serial_port(address); },
    .claim = claim_serial_port,
    .prepare = prepare_serial_port,
    .set_wake_line = set_serial_wake_line,
    .discard_output = discard_serial_output,
    .drain = drain_serial_output};

// Why opening failed with that errno value, and what to do about it, for people.
std::string serial_port_trouble(const std::string& path, int error);

// Who else has the opened port, or may take it, and what to do about it, for people.
std::vector<std::string> serial_port_warnings(const std::string& path);

}  // namespace instep

// A serial port without hardware: a pseudo-terminal under the name of a device file. Strict, it
// behaves as a USB adapter does; else it forgives what independent clients leave undone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace instep {

// What a receiver makes of `sent`, a run of bytes without a pause: it samples the sender's bits at
// its own rate, and takes what it finds as bytes. A rate of 0 hears or says nothing. Overwrites
// *heard.
void hear_bytes(std::span<const std::uint8_t> sent, int sender_baud, int receiver_baud,
                std::vector<std::uint8_t>* heard);

struct SimulatedSerialPortOptions {
  std::string path;  // strict: ends in a number, as ttyUSB0 does
  bool is_strict = false;
  std::string serial_number{};  // in the stable name
};

// Strict:
// - A new port begins as Linux makes one: 9600 baud, lines, echo, XON/XOFF. Settings stay from one
//   client to the next until the cable is unplugged. Received bytes that nobody has read stay as
//   long as anybody has the port open.
// - With CRTSCTS nothing is sent, for the robot's cable has no such line.
// - A port that comes back takes the lowest free number. A number is free when nobody has its old
//   port open any more.
// - A stable name points to the port that there is: serial/by-id/usb-..., beside `path`.
// Else each client finds the terminal raw, at 115200 baud and empty, under one name for ever.
//
// One thread at a time. Methods throw std::runtime_error when the system refuses.
class SimulatedSerialPort {
 public:
  // The port is plugged in. A name that is in use is an error; one that a killed simulation has
  // left is replaced.
  explicit SimulatedSerialPort(const SimulatedSerialPortOptions& options);
  ~SimulatedSerialPort();
  SimulatedSerialPort(const SimulatedSerialPort&) = delete;
  SimulatedSerialPort& operator=(const SimulatedSerialPort&) = delete;

  void plug();
  // Whoever has the port open reads its end. The names are gone.
  void unplug();
  bool is_plugged() const { return master_ >= 0; }

  // The name of the port, also of one that is unplugged, and the stable one (empty: not strict).
  const std::string& path() const { return path_; }
  const std::string& stable_path() const { return stable_path_; }

  // Looks whether anybody has the port open; what the last client leaves behind is cleared away.
  void follow_client();
  bool has_client() const { return has_client_; }
  int descriptor() const { return master_; }  // readable when bytes were sent; -1: unplugged

  // The rate that a client has set; 0: unplugged, or none of 300 to 115200. A pseudo-terminal
  // always has 8 data bits and no parity.
  int baud() const;
  // Bytes that clients have sent; answers how many. 0: none, or unplugged.
  std::size_t read(std::span<std::uint8_t> out);
  // Bytes for the clients. What finds no room, or nobody, is lost.
  void write(std::span<const std::uint8_t> bytes);

  // What a foreign program does that takes the port for a terminal: 9600 baud, lines, echo.
  void reset_settings();

 private:
  void flush() const;
  void choose_path();
  void make_links(const std::string& terminal);
  void remove_links();

  // An unplugged one, whose number is free once nobody has it open.
  struct OldTerminal {
    int number = 0;
    std::string name;
    std::int64_t made_ns = 0;  // by the clock of file times
  };

  SimulatedSerialPortOptions options_;
  std::string path_;
  std::string stable_path_;
  std::string terminal_;  // /dev/pts/...
  int master_ = -1;
  bool has_client_ = false;
  bool is_linked_ = false;
  std::vector<std::string> folders_made_;
  std::vector<OldTerminal> old_terminals_;
  int first_number_ = 0;
  int number_ = 0;
};

}  // namespace instep

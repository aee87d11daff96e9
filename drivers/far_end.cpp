#include "drivers/far_end.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "drivers/simulated_serial_port.h"
#include "drivers/tcp_port.h"
#include "runtime/realtime/descriptor.h"

namespace instep {
namespace {

class SerialFarEnd final : public FarEnd {
 public:
  explicit SerialFarEnd(const SimulationOptions& options)
      : port_({.path = options.path, .is_strict = options.is_strict}) {}

  bool follow() override {
    port_.follow_client();
    return port_.has_client();
  }
  bool has_client() const override { return port_.has_client(); }
  void hang_up() override {}
  void set_plugged(bool is_plugged) override { is_plugged ? port_.plug() : port_.unplug(); }
  // A terminal that nobody has open would end every wait.
  int descriptor() const override { return port_.has_client() ? port_.descriptor() : -1; }
  std::size_t read(std::span<std::uint8_t> out) override { return port_.read(out); }
  void write(std::span<const std::uint8_t> bytes) override { port_.write(bytes); }
  std::string name() const override { return port_.path(); }

 private:
  SimulatedSerialPort port_;
};

// Made of the operations of the other end's kind.
class TcpFarEnd final : public FarEnd {
 public:
  TcpFarEnd(const PortOperations& port, const SimulationOptions& options, int number)
      : port_(port), address_(tcp_address(options.address, number)) {
    if (options.address + ':' + std::to_string(number) != address_.given.data()) {
      throw std::invalid_argument("--address " + options.address + ": must be an IPv4 address");
    }
    open();
    if (!descriptor_.is_open() && error_ != ECONNREFUSED) {
      throw std::runtime_error(name() + ": " + std::strerror(error_));
    }
  }

  bool follow() override {
    if (!is_plugged_) return false;
    if (!descriptor_.is_open()) open();
    if (!descriptor_.is_open() || is_connected_) return is_connected_;
    const int error = port_.connected(descriptor_.get());
    is_connected_ = error == 0;
    if (error != 0 && error != EINPROGRESS) descriptor_.reset();
    return is_connected_;
  }
  bool has_client() const override { return is_connected_; }
  void hang_up() override {
    if (is_connected_) descriptor_.reset();
    is_connected_ = false;
  }
  void set_plugged(bool is_plugged) override {
    is_plugged_ = is_plugged;
    if (is_plugged) return;
    descriptor_.reset();
    is_connected_ = false;
  }
  int descriptor() const override { return descriptor_.get(); }
  std::size_t read(std::span<std::uint8_t> out) override {
    const ssize_t count = recv(descriptor_.get(), out.data(), out.size(), 0);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) hang_up();
    return count > 0 ? static_cast<std::size_t>(count) : 0;
  }
  void write(std::span<const std::uint8_t> bytes) override {
    if (!is_connected_ || bytes.empty()) return;
    static_cast<void>(send(descriptor_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
  std::string name() const override { return address_.given.data(); }

 private:
  void open() {
    const int descriptor = port_.open(&address_);
    error_ = descriptor < 0 ? -descriptor : 0;
    if (descriptor >= 0) descriptor_.reset(descriptor);
  }

  PortOperations port_;
  PortAddress address_;
  Descriptor descriptor_;
  int error_ = 0;
  bool is_plugged_ = true;
  bool is_connected_ = false;
};

}  // namespace

std::unique_ptr<FarEnd> make_serial_far_end(const SimulationOptions& options, int) {
  return std::make_unique<SerialFarEnd>(options);
}

std::unique_ptr<FarEnd> make_tcp_client_far_end(const SimulationOptions& options, int number) {
  return std::make_unique<TcpFarEnd>(kTcpServer, options, number);
}

std::unique_ptr<FarEnd> make_tcp_server_far_end(const SimulationOptions& options, int number) {
  return std::make_unique<TcpFarEnd>(kTcpClient, options, number);
}

}  // namespace instep

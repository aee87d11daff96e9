#include "drivers/transport.h"

#include <arpa/inet.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "drivers/serial_port.h"
#include "drivers/tcp_port.h"

namespace instep {
namespace {

bool is_ip_address(const std::string& name) {
  in_addr ignored{};
  return inet_pton(AF_INET, name.c_str(), &ignored) == 1;
}

// A name without a slash may be a host's.
bool is_host(const std::string& name) {
  std::error_code ignored;
  return is_ip_address(name) || (!name.empty() && name.find('/') == std::string::npos &&
                                 (name == "localhost" || name.find('.') != std::string::npos) &&
                                 !std::filesystem::exists(name, ignored));
}

std::string host_trouble(const std::string& name, int error) {
  const std::string trouble = name + ": cannot be reached: " + std::strerror(error);
  switch (error) {
    case EBUSY: {
      const std::vector<PortUser> users = lock_users(host_lock_name(name));
      return name + ": another program of this machine has it" +
             (users.empty() ? "" : ": " + port_user_names(users));
    }
    case ECONNREFUSED:
      return trouble + "; the machine answers, but the robot's controller does not: is it started?";
    default:
      return trouble + "; is the robot switched on, and is this its address? Try: ping " + name;
  }
}

// A name without a slash that is no file here may have been meant for a host.
std::string port_trouble(const std::string& name, int error) {
  if (error != ENOENT || name.find('/') != std::string::npos) {
    return serial_port_trouble(name, error);
  }
  return name +
         ": there is no such port here, and this is no address either; a port is as /dev/ttyUSB0, "
         "an arm's address as 192.168.1.10 (a host's name without a dot: with --robot)";
}

std::vector<PortUser> host_users(const std::string& name) {
  return lock_users(host_lock_name(name));
}

std::vector<std::string> no_warnings(const std::string&) {
  return {};
}

constexpr Transport tcp_transport(std::string_view what, const PortOperations& port,
                                  decltype(Transport::make_far_end) make_far_end) {
  return {.what = what,
          .port = port,
          .fits = is_host,
          .is_device = is_ip_address,
          .address = tcp_address,
          .lock = lock_host,
          .users = host_users,
          .trouble = host_trouble,
          .warnings = no_warnings,
          .make_far_end = make_far_end};
}

}  // namespace

const Transport kSerialTransport = {
    .what = "a serial port, as /dev/ttyUSB0",
    .port = kSerialPort,
    .fits = [](const std::string& name) { return !is_host(name); },
    .is_device =
        [](const std::string& name) {
          std::error_code ignored;
          return std::filesystem::is_character_file(name, ignored);
        },
    .address = [](const std::string& name, int) { return make_port_address(name); },
    .lock = nullptr,
    .users = [](const std::string& name) { return port_users(name); },
    .trouble = port_trouble,
    .warnings = serial_port_warnings,
    .has_one_reader = true,
    .is_at_path = true,
    .make_far_end = make_serial_far_end};

const Transport kTcpClientTransport = tcp_transport(
    "the IP address of its controller, as 192.168.1.10", kTcpClient, make_tcp_client_far_end);
const Transport kTcpServerTransport = tcp_transport(
    "the IP address of this machine, as 192.168.1.2", kTcpServer, make_tcp_server_far_end);

}  // namespace instep

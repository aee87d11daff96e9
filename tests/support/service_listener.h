// What systemd hears of a run, on a socket of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace instep {

// Systemd's end of the socket. '@' in front of the name as in NOTIFY_SOCKET.
class ServiceListener {
 public:
  explicit ServiceListener(const std::string& name, const char* watchdog_us = nullptr) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof address.sun_path - 1);
    if (name[0] == '@') address.sun_path[0] = '\0';
    socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(socket_, reinterpret_cast<const sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())),
              0)
        << std::strerror(errno);
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
    if (watchdog_us != nullptr) setenv("WATCHDOG_USEC", watchdog_us, 1);
  }
  ~ServiceListener() {
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    close(socket_);
  }
  ServiceListener(const ServiceListener&) = delete;
  ServiceListener& operator=(const ServiceListener&) = delete;

  // What has arrived since the last call.
  std::vector<std::string> heard() const {
    std::vector<std::string> texts;
    char text[256];
    for (ssize_t size = 0; (size = recv(socket_, text, sizeof text, MSG_DONTWAIT)) > 0;)
      texts.emplace_back(text, static_cast<std::size_t>(size));
    return texts;
  }

  // The next one, which may take a while; nothing after a minute.
  std::string next() const {
    pollfd ready{socket_, POLLIN, 0};
    if (poll(&ready, 1, 60'000) != 1) return "";
    char text[256];
    const ssize_t size = recv(socket_, text, sizeof text, MSG_DONTWAIT);
    return {text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  }

 private:
  int socket_ = -1;
};

}  // namespace instep

#include "tools/library/listen/service_notice.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace instep {

ServiceNotice::ServiceNotice() {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path == nullptr || std::strlen(path) < 2 || std::strlen(path) >= sizeof address.sun_path)
    return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, std::strlen(path));
  // '@' stands for the zero byte of a name that is not in the file system.
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket_ < 0) return;
  if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), bytes) != 0) {
    close(socket_);
    socket_ = -1;
    return;
  }
  const char* const watchdog = std::getenv("WATCHDOG_USEC");
  if (watchdog == nullptr) return;
  const std::string_view text = watchdog;
  std::int64_t us = 0;
  std::from_chars(text.data(), text.data() + text.size(), us);
  // A thousand years are as good as for ever, and do not overflow.
  if (us > 0 && us < INT64_MAX / 1000 / 1000) period_ns_ = us * 1000 / 3;
}

ServiceNotice::~ServiceNotice() {
  if (socket_ >= 0) close(socket_);
}

void ServiceNotice::extend_start(std::int64_t time_ns) const {
  send(("EXTEND_TIMEOUT_USEC=" + std::to_string(time_ns / 1000)).c_str());
}

void ServiceNotice::ready(std::int64_t now_ns) {
  send("READY=1");
  if (period_ns_ != INT64_MAX) next_ns_ = now_ns + period_ns_;
}

void ServiceNotice::feed(std::int64_t now_ns) {
  send("WATCHDOG=1");
  next_ns_ = now_ns + period_ns_;
}

void ServiceNotice::stopping() {
  if (is_stopping_.exchange(true)) return;
  send("STOPPING=1");
}

void ServiceNotice::send(const char* text) const {
  if (socket_ < 0) return;
  [[maybe_unused]] const ssize_t sent =
      ::send(socket_, text, std::strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace instep

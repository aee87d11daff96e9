#include "drivers/tcp_port.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "runtime/realtime/descriptor.h"

namespace instep {
namespace {

constexpr int kSilentMsMax = 2'000;  // until sent bytes are acknowledged

// "127.0.0.1:30004", as tcp_address() writes it.
bool parse(const PortAddress& address, sockaddr_in* place) {
  const char* const text = address.given.data();
  const char* const colon = std::strrchr(text, ':');
  char host[INET_ADDRSTRLEN] = {};
  if (colon == nullptr || colon - text >= static_cast<std::ptrdiff_t>(sizeof host)) return false;
  std::copy(text, colon, host);
  *place = {};
  place->sin_family = AF_INET;
  place->sin_port = htons(static_cast<std::uint16_t>(std::atoi(colon + 1)));
  return inet_pton(AF_INET, host, &place->sin_addr) == 1;
}

int set(int descriptor, int level, int name, int value) {
  return setsockopt(descriptor, level, name, &value, sizeof value);
}

// Bytes leave at once, and a peer that says nothing any more is asked whether it is there.
void prepare_connection(int descriptor) {
  set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  set(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, kSilentMsMax);
  set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, 1);
  set(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  set(descriptor, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

int make_socket() {
  return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

}  // namespace

PortAddress tcp_address(const std::string& host, int port) {
  // "192.168.1" and "10" would be machines of other addresses than one reads there.
  in_addr number{};
  if (inet_aton(host.c_str(), &number) != 0 && inet_pton(AF_INET, host.c_str(), &number) != 1) {
    throw std::runtime_error(host + ": is no whole address; it has four numbers, as 192.168.1.10");
  }
  addrinfo wanted{};
  wanted.ai_family = AF_INET;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &wanted, &found);
  if (error != 0) {
    throw std::runtime_error(host + ": no such host: " + gai_strerror(error) +
                             "; an address has four numbers and no port, as 192.168.1.10");
  }
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(found->ai_addr)->sin_addr, text,
            sizeof text);
  freeaddrinfo(found);
  return make_port_address(std::string(text) + ':' + std::to_string(port));
}

int open_tcp_client(PortAddress* address) {
  sockaddr_in place{};
  if (!parse(*address, &place)) return -EINVAL;
  Descriptor descriptor(make_socket());
  if (!descriptor.is_open()) return -errno;
  prepare_connection(descriptor.get());
  if (connect(descriptor.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place) != 0 &&
      errno != EINPROGRESS) {
    return -errno;
  }
  address->node = address->given;
  return descriptor.release();
}

int tcp_client_connected(int descriptor) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  if (error != 0) return error;
  sockaddr_in peer{};
  size = sizeof peer;
  if (getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) == 0) return 0;
  return errno == ENOTCONN ? EINPROGRESS : errno;
}

int open_tcp_server(PortAddress* address) {
  sockaddr_in place{};
  if (!parse(*address, &place)) return -EINVAL;
  Descriptor descriptor(make_socket());
  if (!descriptor.is_open()) return -errno;
  set(descriptor.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (bind(descriptor.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place) != 0 ||
      listen(descriptor.get(), 1) != 0) {
    return -errno;
  }
  address->node = address->given;
  return descriptor.release();
}

int tcp_server_connected(int descriptor) {
  const Descriptor client(accept4(descriptor, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!client.is_open()) return errno == EAGAIN || errno == EINTR ? EINPROGRESS : errno;
  prepare_connection(client.get());
  return dup3(client.get(), descriptor, O_CLOEXEC) < 0 ? errno : 0;
}

std::string host_lock_name(const std::string& host) {
  const std::string place = tcp_address(host, 0).given.data();
  return "instep/" + place.substr(0, place.rfind(':'));
}

// A local socket of that name in no folder: it goes with its last holder, and no folder of this
// machine must be writable.
int lock_host(const std::string& host) {
  const std::string name = host_lock_name(host);
  Descriptor descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!descriptor.is_open()) return -errno;
  sockaddr_un place{};
  place.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), place.sun_path + 1);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (bind(descriptor.get(), reinterpret_cast<const sockaddr*>(&place), size) != 0) {
    return errno == EADDRINUSE ? -EBUSY : -errno;
  }
  return descriptor.release();
}

}  // namespace instep

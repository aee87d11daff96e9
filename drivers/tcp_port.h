// A TCP connection as a channel of a device.
#pragma once

#include <string>

#include "runtime/realtime/port.h"

namespace instep {

// Where a TCP channel is: an IPv4 address and a port, in numbers. Looks the host's name up, which
// may take seconds. Throws std::runtime_error where there is no such host.
PortAddress tcp_address(const std::string& host, int port);

// As PortOperations::open says: begins to connect to `address`, or to listen there for one client,
// and answers a descriptor that tcp_client_connected() or tcp_server_connected() tells of. A peer
// that is silently gone is noticed within a few seconds.
int open_tcp_client(PortAddress* address);
int open_tcp_server(PortAddress* address);
int tcp_client_connected(int descriptor);
// The client's connection takes the descriptor's place.
int tcp_server_connected(int descriptor);

inline constexpr PortOperations kTcpClient = {.open = open_tcp_client,
                                              .connected = tcp_client_connected,
                                              .claim = [](int) { return 0; },
                                              .prepare = [](int) { return int{kPortUnchanged}; }};
inline constexpr PortOperations kTcpServer = {.open = open_tcp_server,
                                              .connected = tcp_server_connected,
                                              .claim = [](int) { return 0; },
                                              .prepare = [](int) { return int{kPortUnchanged}; }};

// Takes the right to the device at that host for the holders of the answered descriptor, on this
// machine. Answers a negative errno value where that cannot be: -EBUSY, another program has it.
int lock_host(const std::string& host);
// The name of that lock, as the system lists it among its local sockets.
std::string host_lock_name(const std::string& host);

}  // namespace instep

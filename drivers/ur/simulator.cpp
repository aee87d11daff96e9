#include "drivers/ur/simulator.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/check.h"

namespace instep {
namespace {

constexpr double kOffS = 2.0;  // of a controller that restarts: no port answers

// The numbers of the connections that a port may have.
struct Range {
  int first = 0;
  int end = 0;
};
Range range_of(int port) {
  constexpr int kScripts = UrSimulator::kRtdeClientsMax;
  constexpr int kDashboards = kScripts + UrSimulator::kScriptClientsMax;
  switch (port) {
    case kUrRtdePort:
      return {0, kScripts};
    case 30001:
    case 30002:
    case 30003:
      return {kScripts, kDashboards};
    case kUrDashboardPort:
      return {kDashboards, UrSimulator::kClientsMax};
    default:
      return {};
  }
}

}  // namespace

UrSimulator::UrSimulator(const UrControllerOptions& options)
    : controller_(options), tick_ns_(static_cast<double>(controller_.period_ns())) {
  controller_.make_ready();
}

// ------------------------------------------------------------------------------------------------
// Connections

int UrSimulator::connect(int port) {
  if (!is_listening()) return -1;
  const Range range = range_of(port);
  for (int number = range.first; number < range.end; ++number) {
    const auto at = static_cast<std::size_t>(number);
    Client& client = clients_[at];
    if (client.port != 0) continue;
    client.port = port;
    client.is_closing = false;
    client.due_ns = client.readable_ns = 0;
    client.to_robot.size = 0;
    client.out.clear();
    const auto of_kind = static_cast<std::size_t>(number - range.first);
    if (port == kUrRtdePort) {
      rtde_[of_kind].open(number, controller_);
      rtde_[of_kind].set_stale(faults_.is_stale);
    } else if (port == kUrDashboardPort) {
      dashboards_[of_kind].open(client.out);
    } else {
      scripts_[of_kind].open(static_cast<UrScriptPort>(port), controller_, client.out);
    }
    return number;
  }
  controller_.log(RtdeTextLevel::kWarning, "port %d: too many clients", port);
  return -1;
}

// Frees what the client had; its outbox is still to be read.
void UrSimulator::close(int number) {
  Client& client = clients_[static_cast<std::size_t>(number)];
  const auto of_kind = static_cast<std::size_t>(number - range_of(client.port).first);
  if (client.port == kUrRtdePort) {
    rtde_[of_kind].close(owners_);
  } else if (client.port != kUrDashboardPort) {
    scripts_[of_kind].close(controller_);
  }
  client.is_closing = true;
  client.to_robot.size = 0;
}

void UrSimulator::drop(int number) {
  Client& client = clients_[static_cast<std::size_t>(number)];
  if (client.port == 0) return;
  if (!client.is_closing) close(number);
  client.out.clear();
  client.port = 0;
}

void UrSimulator::disconnect(int client) {
  INSTEP_CHECK(client >= 0 && client < kClientsMax);
  drop(client);
}

bool UrSimulator::is_connected(int number) const {
  INSTEP_CHECK(number >= 0 && number < kClientsMax);
  const Client& client = clients_[static_cast<std::size_t>(number)];
  return client.port != 0 && !(client.is_closing && client.out.size() == 0);
}

int UrSimulator::clients(int port) const {
  return static_cast<int>(std::count_if(clients_.begin(), clients_.end(), [port](const Client& c) {
    return c.port == port && !c.is_closing;
  }));
}

const UrRtdeClient& UrSimulator::rtde_client(int client) const {
  INSTEP_CHECK(client >= 0 && client < kRtdeClientsMax);
  return rtde_[static_cast<std::size_t>(client)];
}

void UrSimulator::on_bytes(int number, std::span<const std::uint8_t> bytes, std::int64_t now_ns) {
  INSTEP_CHECK(number >= 0 && number < kClientsMax);
  Client& client = clients_[static_cast<std::size_t>(number)];
  if (client.port == 0 || client.is_closing) return;
  const bool waits = faults_.is_stalled || faults_.to_robot_ns > 0 || client.to_robot.size > 0;
  if (!waits) return deliver(number, bytes);
  // More than a line's worth of bytes that wait: the connection breaks.
  Late& late = client.to_robot;
  if (bytes.size() > late.bytes.size() - static_cast<std::size_t>(late.size)) return drop(number);
  if (late.size == 0) client.due_ns = now_ns + faults_.to_robot_ns;
  if (!bytes.empty()) std::memcpy(late.bytes.data() + late.size, bytes.data(), bytes.size());
  late.size += static_cast<std::int64_t>(bytes.size());
}

void UrSimulator::deliver(int number, std::span<const std::uint8_t> bytes) {
  Client& client = clients_[static_cast<std::size_t>(number)];
  const Range range = range_of(client.port);
  const auto of_kind = static_cast<std::size_t>(number - range.first);
  bool stays = true;
  if (client.port == kUrRtdePort) {
    stays = rtde_[of_kind].on_bytes(bytes, controller_, owners_, client.out);
  } else if (client.port == kUrDashboardPort) {
    stays = dashboards_[of_kind].on_bytes(bytes, controller_, client.out);
  } else {
    stays = scripts_[of_kind].on_bytes(bytes, controller_);
  }
  if (!stays) close(number);
}

void UrSimulator::deliver_late() {
  if (faults_.is_stalled) return;
  for (int number = 0; number < kClientsMax; ++number) {
    Client& client = clients_[static_cast<std::size_t>(number)];
    if (client.port == 0 || client.to_robot.size == 0 || client.due_ns > now_ns_) continue;
    const auto size = static_cast<std::size_t>(client.to_robot.size);
    client.to_robot.size = 0;
    deliver(number, {client.to_robot.bytes.data(), size});
  }
}

std::size_t UrSimulator::read(int number, std::span<std::uint8_t> out, std::int64_t now_ns) {
  INSTEP_CHECK(number >= 0 && number < kClientsMax);
  Client& client = clients_[static_cast<std::size_t>(number)];
  if (client.port == 0 || faults_.is_stalled) return 0;
  if (faults_.delay_ns > 0 && client.out.size() > 0) {
    // What has gathered since the last reading arrives together.
    if (client.readable_ns == 0) client.readable_ns = now_ns + faults_.delay_ns;
    if (now_ns < client.readable_ns) return 0;
  }
  client.readable_ns = 0;
  return client.out.read(out);
}

// ------------------------------------------------------------------------------------------------
// Time

std::int64_t UrSimulator::advance(std::int64_t now_ns) {
  const auto tick_time = [this](std::int64_t tick) {
    return begin_ns_ +
           static_cast<std::int64_t>(std::llround(static_cast<double>(tick) * tick_ns_));
  };
  while (tick_time(ticks_ + 1) <= now_ns) {
    now_ns_ = tick_time(++ticks_);
    deliver_late();
    tick();
  }
  now_ns_ = std::max(now_ns_, now_ns);
  return tick_time(ticks_ + 1);
}

void UrSimulator::tick() {
  if (off_ticks_ > 0) {
    if (--off_ticks_ == 0) controller_.boot();
    return;
  }
  controller_.tick();
  for (int number = 0; number < kClientsMax; ++number) {
    Client& client = clients_[static_cast<std::size_t>(number)];
    if (client.port == 0 || client.is_closing) continue;
    const Range range = range_of(client.port);
    const auto of_kind = static_cast<std::size_t>(number - range.first);
    if (client.port == kUrRtdePort) {
      if (rtde_[of_kind].send(controller_, client.out)) continue;
      ++cut_off_;
      controller_.log(RtdeTextLevel::kWarning, "port 30004: the client does not read; cut off");
      close(number);
    } else if (client.port != kUrDashboardPort) {
      scripts_[of_kind].send(controller_, client.out);
    }
  }
}

// ------------------------------------------------------------------------------------------------
// Faults

void UrSimulator::set_link_faults(const UrLinkFaults& faults) {
  faults_ = faults;
  for (UrRtdeClient& client : rtde_) client.set_stale(faults.is_stale);
}

void UrSimulator::set_clock_drift(double drift) {
  begin_ns_ += static_cast<std::int64_t>(std::llround(static_cast<double>(ticks_) * tick_ns_));
  ticks_ = 0;
  tick_ns_ = static_cast<double>(controller_.period_ns()) / (1.0 + drift);
}

void UrSimulator::reset_connections(int port) {
  for (int number = 0; number < kClientsMax; ++number) {
    const int of = clients_[static_cast<std::size_t>(number)].port;
    if (of != 0 && (port == 0 || of == port)) drop(number);
  }
}

void UrSimulator::restart_controller() {
  reset_connections(0);
  controller_.stop_program("the controller is switched off");
  controller_.power_off();
  off_ticks_ = static_cast<std::int64_t>(kOffS / controller_.period_s());
}

}  // namespace instep

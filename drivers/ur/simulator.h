// A simulated UR5 or UR5e with the ports of its controller: connections come and go, bytes go in
// and out, the arm moves. The same for simulated time and behind sockets. Faults come when they are
// asked for. Deterministic: the same calls at the same times give the same bytes.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "drivers/ur/controller.h"
#include "drivers/ur/dashboard.h"
#include "drivers/ur/outbox.h"
#include "drivers/ur/rtde_server.h"
#include "drivers/ur/script_server.h"

namespace instep {

inline constexpr std::array<int, 5> kUrPorts = {29999, 30001, 30002, 30003, 30004};
inline constexpr int kUrDashboardPort = 29999;
inline constexpr int kUrRtdePort = 30004;

// What may go wrong on the way; none of it by default.
struct UrLinkFaults {
  std::int64_t delay_ns = 0;     // bytes of 30004 reach the host so much later
  std::int64_t to_robot_ns = 0;  // bytes of the host reach the robot so much later
  bool is_stalled = false;       // nothing arrives at either end until it ends
  bool is_stale = false;         // the same RTDE package again and again
};

class UrSimulator {
 public:
  static constexpr int kRtdeClientsMax = 8;
  static constexpr int kScriptClientsMax = 6;
  static constexpr int kDashboardClientsMax = 4;
  static constexpr int kClientsMax = kRtdeClientsMax + kScriptClientsMax + kDashboardClientsMax;

  explicit UrSimulator(const UrControllerOptions& options = {});

  // ----- connections, by number
  // A client connects to a port; answers its number, -1: refused (no room, or the controller is not
  // there).
  int connect(int port);
  // The client has gone.
  void disconnect(int client);
  // False: the controller has closed it, and all it had to say has been read.
  bool is_connected(int client) const;
  // Bytes from the client arrive.
  void on_bytes(int client, std::span<const std::uint8_t> bytes, std::int64_t now_ns);
  // Moves what has reached the client by now into out; answers how many bytes.
  std::size_t read(int client, std::span<std::uint8_t> out, std::int64_t now_ns);

  // Lets the world go on until now_ns. Answers when it is to be called next at the latest.
  std::int64_t advance(std::int64_t now_ns);

  // ----- things that happen
  void set_link_faults(const UrLinkFaults& faults);
  // The controller's clock gains so much on the host's from now on (1e-4: 100 ppm).
  void set_clock_drift(double drift);
  // Every connection of the port breaks, as when a cable is pulled for long; 0: all ports.
  void reset_connections(int port);
  // The controller is switched off and on: no port answers for two seconds, then it boots.
  void restart_controller();
  UrController& controller() { return controller_; }
  const UrController& controller() const { return controller_; }

  // ----- what an onlooker sees
  std::int64_t now_ns() const { return now_ns_; }
  bool is_listening() const { return off_ticks_ == 0; }
  int clients(int port) const;
  std::int64_t cut_off() const { return cut_off_; }  // clients that did not read
  const UrRtdeClient& rtde_client(int client) const;

 private:
  static constexpr std::size_t kLateMax = 8192;

  // Bytes that wait for a fault to let them pass.
  struct Late {
    std::int64_t size = 0;
    std::array<std::uint8_t, kLateMax> bytes{};
  };
  struct Client {
    int port = 0;             // 0: nobody
    bool is_closing = false;  // once its outbox is empty
    std::int64_t due_ns = 0;  // when the late bytes of the host arrive
    std::int64_t readable_ns = 0;
    Late to_robot;
    UrOutbox out;
  };

  void tick();
  void deliver(int client, std::span<const std::uint8_t> bytes);
  void deliver_late();
  void close(int client);
  void drop(int client);

  UrController controller_;
  double tick_ns_;  // one period of the controller on the host's clock
  UrInputOwners owners_{};
  UrLinkFaults faults_;
  std::int64_t now_ns_ = 0;
  std::int64_t begin_ns_ = 0;  // since when the clock runs at its present rate
  std::int64_t ticks_ = 0;     // since then
  std::int64_t off_ticks_ = 0;
  std::int64_t cut_off_ = 0;
  std::array<Client, kClientsMax> clients_{};
  std::array<UrRtdeClient, kRtdeClientsMax> rtde_{};
  std::array<UrScriptClient, kScriptClientsMax> scripts_{};
  std::array<UrDashboardClient, kDashboardClientsMax> dashboards_{};
};

}  // namespace instep

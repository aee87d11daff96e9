// Any clients with any bytes at the ports of the simulated controller, among faults.
#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "drivers/ur/fault_schedule.h"
#include "drivers/ur/simulator.h"
#include "fuzz_file.h"

using instep::require;

namespace {

class Visit {
 public:
  Visit(const std::uint8_t* data, std::size_t size)
      : input_(data, size),
        simulator_(std::make_unique<instep::UrSimulator>(instep::UrControllerOptions{
            (size & 1) != 0 ? instep::UrModel::kCb3 : instep::UrModel::kESeries})) {
    clients_.fill(-1);
  }

  void run() {
    // Half an hour of simulated time for every kilobyte would tell nothing more.
    for (int steps = 0; !input_.is_over() && steps < 400; ++steps) step();
  }

 private:
  std::uint8_t byte() { return input_.byte(); }

  void step() {
    int& client = clients_[byte() % clients_.size()];
    switch (byte() % 8) {
      case 0:
        if (client >= 0) simulator_->disconnect(client);
        client = simulator_->connect(instep::kUrPorts[byte() % instep::kUrPorts.size()]);
        break;
      case 1:
      case 2:
      case 3:
        send(client);
        break;
      case 4:
        now_ns_ += std::int64_t{byte()} * 1'000'000;
        require(simulator_->advance(now_ns_) > now_ns_);
        break;
      case 5:
        read(client);
        break;
      case 6:
        happen();
        break;
      default:
        line(client);
    }
  }

  void send(int client) {
    const auto bytes = input_.piece();
    if (client >= 0) simulator_->on_bytes(client, bytes, now_ns_);
  }

  // What the ports understand, so that more than their first door is tried.
  void line(int client) {
    static constexpr std::array<std::string_view, 12> kLines = {
        std::string_view("\0\5V\0\2", 5),
        std::string_view("\0\3S", 3),
        std::string_view("\0\x15O@_@\0\0\0\0\0timestamp,", 21),
        std::string_view("\0\3P", 3),
        std::string_view("\0\x18Iinput_int_register_24", 24),
        std::string_view("\0\x08U\1\0\0\0\7", 8),
        "unlock protective stop\n",
        "power on\n",
        "speedj([0.3,0,0,0,0,0], 1.4, 0.1)\n",
        "def a():\nwhile True:\nsync()\nend\nend\n",
        "programState\n",
        "movej([0,-1,1,0,0,0], t=1)\n"};
    const std::string_view text = kLines[byte() % kLines.size()];
    if (client < 0) return;
    simulator_->on_bytes(client, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()},
                         now_ns_);
  }

  void read(int client) {
    if (client < 0) return;
    std::array<std::uint8_t, 2048> bytes;
    require(simulator_->read(client, bytes, now_ns_) <= bytes.size());
  }

  void happen() {
    instep::UrController& controller = simulator_->controller();
    switch (byte() % 12) {
      case 0:
        return controller.protective_stop("fuzz");
      case 1:
        return controller.emergency_stop((byte() & 1) != 0);
      case 2:
        return controller.safeguard_stop((byte() & 1) != 0);
      case 3:
        return controller.fault();
      case 4:
        return simulator_->restart_controller();
      case 5:
        return controller.set_slider(byte() / 255.0);
      case 6:
        return instep::ur_help_up(*simulator_);
      case 7:
        return simulator_->set_link_faults({.delay_ns = byte() * 1'000'000LL,
                                            .to_robot_ns = byte() * 1'000'000LL,
                                            .is_stalled = (byte() & 3) == 3,
                                            .is_stale = (byte() & 1) != 0});
      case 8:
        return simulator_->reset_connections(instep::kUrPorts[byte() % instep::kUrPorts.size()]);
      case 9:
        return controller.set_fieldbus((byte() & 1) != 0, (byte() & 1) != 0);
      case 10:
        return controller.refuse_unlocks(byte() % 4);
      default:
        return simulator_->set_clock_drift(0.01 * (byte() % 8));
    }
  }

  instep::FuzzInput input_;
  std::int64_t now_ns_ = 0;
  std::unique_ptr<instep::UrSimulator> simulator_;
  std::array<int, 6> clients_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Visit(data, size).run();
  return 0;
}

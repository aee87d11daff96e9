// The simulated Create 2 behind a pseudo-terminal, for `instep sim`.
#pragma once

#include "drivers/create2/fault_schedule.h"
#include "drivers/create2/simulator_on_port.h"
#include "drivers/simulation.h"

namespace instep {

class Create2Simulation final : public DeviceSimulation {
 public:
  explicit Create2Simulation(const SimulationOptions& options);

  std::string title() const override;
  std::span<const SimulationWord> words() const override;
  std::string status() const override;
  void add_events(std::vector<pollfd>& events) const override;
  std::int64_t advance(std::span<const pollfd> events, std::int64_t now_ns,
                       std::string& news) override;

  Create2OnPort& robot() { return robot_; }

 private:
  std::string port_names() const;

  SimulationOptions options_;
  Create2OnPort robot_;
  Create2FaultSchedule faults_;
  std::int64_t now_ns_ = 0;
  bool has_said_names_ = false;
};

}  // namespace instep

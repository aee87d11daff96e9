#include "drivers/create2/simulation.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <stdexcept>

namespace instep {
namespace {

Create2OnPort& robot(DeviceSimulation& simulation) {
  return static_cast<Create2Simulation&>(simulation).robot();
}

constexpr std::array<SimulationWord, 17> kWords = {{
    {"plug", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).simulator().set_plugged(true);
     }},
    {"unplug", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).simulator().set_plugged(false);
     }},
    {"lift", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).simulator().set_lifted(true);
     }},
    {"put", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).simulator().set_lifted(false);
     }},
    {"cliff", " BITS", 1, 1, 0, 15,
     [](DeviceSimulation& s, const Numbers& n, std::int64_t) {
       robot(s).simulator().set_cliffs(static_cast<int>(n[0]));
     },
     true},
    {"battery", " MAH", 1, 1, 0, 65535,
     [](DeviceSimulation& s, const Numbers& n, std::int64_t) {
       robot(s).simulator().set_charge_mah(n[0]);
     },
     true},
    {"capacity", " MAH", 1, 1, 1, 65535,
     [](DeviceSimulation& s, const Numbers& n, std::int64_t) {
       robot(s).simulator().set_capacity_mah(n[0]);
     },
     true},
    {"text", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).simulator().say("Flash CRC successful: 0x0 (0x0)\r\n");
     }},
    {"reset", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).simulator().take_battery_out();
     }},
    {"silence", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).simulator().set_line_faults({.drop = 1.0});
     }},
    {"sound", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) {
       robot(s).simulator().set_line_faults({});
     }},
    {"drop", " SHARE", 1, 1, 0, 1,
     [](DeviceSimulation& s, const Numbers& n, std::int64_t) {
       robot(s).simulator().set_line_faults({.drop = n[0]});
     }},
    {"change", " SHARE", 1, 1, 0, 1,
     [](DeviceSimulation& s, const Numbers& n, std::int64_t) {
       robot(s).simulator().set_line_faults({.change = n[0]});
     }},
    {"forge", " SHARE", 1, 1, 0, 1,
     [](DeviceSimulation& s, const Numbers& n, std::int64_t) {
       robot(s).simulator().set_line_faults({.forged = n[0]});
     }},
    {"place", " X Y (mm)", 2, 2, 180, kArenaWidthMm - 180.0,
     [](DeviceSimulation& s, const Numbers& n, std::int64_t) {
       robot(s).simulator().place(n[0], n[1], 0.0);
     },
     false, kArenaHeightMm - 180.0},
    {"stty", "", 0, 0, 0, 0,
     [](DeviceSimulation& s, const Numbers&, std::int64_t) { robot(s).port().reset_settings(); }},
    {"send", " BYTE...", 1, 64, 0, 255,
     [](DeviceSimulation& s, const Numbers& n, std::int64_t now_ns) {
       std::vector<std::uint8_t> bytes;
       for (const double number : n) bytes.push_back(static_cast<std::uint8_t>(number));
       robot(s).send_as_another_program(bytes, now_ns);
     },
     true},
}};

const std::string& checked_path(const SimulationOptions& options) {
  const bool has_number =
      !options.path.empty() && std::isdigit(static_cast<unsigned char>(options.path.back())) != 0;
  if (options.is_strict && !has_number) {
    throw std::invalid_argument("--link " + options.path +
                                ": with --strict it must end in a number, as ttyUSB0 does");
  }
  return options.path;
}

}  // namespace

Create2Simulation::Create2Simulation(const SimulationOptions& options)
    : options_(options),
      robot_({.path = checked_path(options), .is_strict = options.is_strict, .seed = options.seed}),
      faults_(options.fault_seed.value_or(0)) {}

std::string Create2Simulation::title() const {
  return "a simulated robot at " + options_.path;
}

std::span<const SimulationWord> Create2Simulation::words() const {
  return kWords;
}

// A terminal that nobody has open would end every wait.
void Create2Simulation::add_events(std::vector<pollfd>& events) const {
  const SimulatedSerialPort& port = robot_.port();
  events.push_back({port.has_client() ? port.descriptor() : -1, POLLIN, 0});
}

// The names of the port; that of one that was put in again may be another.
std::string Create2Simulation::port_names() const {
  if (!options_.is_strict) return "";
  return "port " + robot_.port().path() + ", always at " + robot_.port().stable_path() + '\n';
}

std::int64_t Create2Simulation::advance(std::span<const pollfd>, std::int64_t now_ns,
                                        std::string& news) {
  if (!has_said_names_) news += port_names();
  has_said_names_ = true;
  now_ns_ = now_ns;
  if (options_.fault_seed) {
    const Create2Fault before = faults_.fault();
    faults_.advance(now_ns, robot_.simulator());
    if (faults_.fault() != before) {
      char text[96];
      std::snprintf(text, sizeof text, "%.3f s: %s\n", static_cast<double>(now_ns) * 1e-9,
                    create2_fault_name(faults_.fault()));
      news += text;
    }
  }
  const bool was_plugged = robot_.port().is_plugged();
  const std::int64_t next_ns = robot_.advance(now_ns);
  if (robot_.port().is_plugged() && !was_plugged) news += port_names();
  return next_ns;
}

std::string Create2Simulation::status() const {
  const Create2Simulator& robot = robot_.simulator();
  const Arena& arena = robot.arena();
  char text[256];
  std::snprintf(text, sizeof text,
                "%.3f s: mode %d%s, at %.0f %.0f mm, heading %.2f rad, wheels %.0f %.0f mm/s, "
                "battery %.0f mAh, bumps %d, %lld commands\n",
                static_cast<double>(now_ns_) * 1e-9, static_cast<int>(robot.mode()),
                robot.is_asleep() ? " asleep" : "", arena.robot.x, arena.robot.y, arena.heading,
                arena.left_mm_s, arena.right_mm_s, robot.charge_mah(), arena_bumps(arena),
                static_cast<long long>(robot.counters().commands));
  return text;
}

}  // namespace instep

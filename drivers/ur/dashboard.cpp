#include "drivers/ur/dashboard.h"

#include <algorithm>
#include <cstdio>

namespace instep {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// Fills the answer; what does not fit is cut.
std::string_view join(std::array<char, 256>* out, std::string_view first,
                      std::string_view second = {}, std::string_view third = {}) {
  std::size_t size = 0;
  for (const std::string_view part : {first, second, third}) {
    const std::size_t count = std::min(part.size(), out->size() - size);
    std::copy_n(part.begin(), count, out->begin() + static_cast<std::ptrdiff_t>(size));
    size += count;
  }
  return {out->data(), size};
}

bool is_newer(const UrVersion& version, std::uint32_t minor_3, std::uint32_t minor_5) {
  return version.minor >= (version.major <= 3 ? minor_3 : minor_5);
}

std::string_view program_answer(std::string_view line, UrController& controller,
                                std::array<char, 256>* out) {
  const bool is_remote = controller.is_remote_control();
  if (line == "play") {
    return is_remote && controller.play() ? "Starting program" : "Failed to execute: play";
  }
  if (line == "stop") {
    if (!is_remote || controller.runtime() == UrRuntime::kStopped) {
      return "Failed to execute: stop";
    }
    controller.stop_program("the dashboard has asked for it");
    return "Stopped";
  }
  if (line == "pause") {
    if (!is_remote || controller.runtime() != UrRuntime::kPlaying) {
      return "Failed to execute: pause";
    }
    controller.pause_program("the dashboard has asked for it");
    return "Pausing program";
  }
  if (line == "running") {
    const bool runs = controller.runtime() == UrRuntime::kPlaying;
    return join(out, "Program running: ", runs ? "true" : "false");
  }
  if (line == "programState") {
    const UrRuntime runtime = controller.runtime();
    return join(out,
                runtime == UrRuntime::kPlaying  ? "PLAYING "
                : runtime == UrRuntime::kPaused ? "PAUSED "
                                                : "STOPPED ",
                controller.program_name().empty() ? "unnamed" : controller.program_name());
  }
  if (line == "get loaded program") return "No program loaded";
  if (line.starts_with("load ")) return join(out, "File not found: ", trimmed(line.substr(5)));
  return {};
}

std::string_view power_answer(std::string_view line, UrController& controller) {
  if (line == "power on") {
    controller.power_on();
    return "Powering on";
  }
  if (line == "power off") {
    controller.power_off();
    return "Powering off";
  }
  if (line == "brake release") {
    controller.release_brakes();
    return "Brake releasing";
  }
  if (line == "unlock protective stop") {
    const char* const refusal = controller.unlock_protective_stop();
    return refusal != nullptr ? refusal : "Protective stop releasing";
  }
  if (line == "close safety popup") return "closing safety popup";
  if (line == "close popup") return "closing popup";
  if (line == "restart safety" && is_newer(controller.version(), 7, 1)) {
    controller.restart_safety();
    return "Restarting safety";
  }
  return {};
}

std::string_view state_answer(std::string_view line, const UrController& controller,
                              std::array<char, 256>* out) {
  const UrVersion& version = controller.version();
  if (line == "robotmode") {
    return join(out, "Robotmode: ", ur_robot_mode_name(controller.robot_mode()));
  }
  if (line == "safetymode") {
    return join(out, "Safetymode: ", ur_safety_mode_name(controller.safety_mode()));
  }
  if (line == "safetystatus" && is_newer(version, 11, 4)) {
    return join(out, "Safetystatus: ", ur_safety_mode_name(controller.safety_mode()));
  }
  if (line == "PolyscopeVersion" || (line == "version" && version.major >= 5)) {
    std::array<char, 64> number{};
    std::snprintf(number.data(), number.size(), "%u.%u.%u.%u", version.major, version.minor,
                  version.bugfix, version.build);
    if (line == "version") return join(out, number.data());
    return join(out, "URSoftware ", number.data(), " (Jan 01 2022)");
  }
  if (line == "get serial number" && is_newer(version, 12, 6)) {
    return version.major <= 3 ? "2015350000" : "20195500000";
  }
  if (line == "get robot model" && is_newer(version, 12, 6)) return "UR5";
  if (line == "is in remote control" && version.major >= 5 && version.minor >= 6) {
    return controller.is_remote_control() ? "true" : "false";
  }
  return {};
}

}  // namespace

std::string_view ur_dashboard_answer(std::string_view line, UrController& controller,
                                     std::array<char, 256>* out) {
  line = trimmed(line);
  std::string_view answer = program_answer(line, controller, out);
  if (answer.empty()) answer = power_answer(line, controller);
  if (answer.empty()) answer = state_answer(line, controller, out);
  if (!answer.empty()) return answer;
  if (line.starts_with("popup ")) {
    controller.log(RtdeTextLevel::kInfo, "popup: %.*s",
                   static_cast<int>(std::min<std::size_t>(line.size() - 6, 120)), line.data() + 6);
    return "showing popup";
  }
  if (line.starts_with("addToLog ")) {
    controller.log(RtdeTextLevel::kInfo, "log: %.*s",
                   static_cast<int>(std::min<std::size_t>(line.size() - 9, 120)), line.data() + 9);
    return "Added log message";
  }
  if (line == "quit") return "Disconnected";
  if (line == "shutdown") return "Shutting down";
  return join(out, "could not understand: \"", line.substr(0, 120), "\"");
}

void UrDashboardClient::open(UrOutbox& out) {
  size_ = 0;
  static_cast<void>(out.write("Connected: Universal Robots Dashboard Server\n"));
}

bool UrDashboardClient::on_bytes(std::span<const std::uint8_t> bytes, UrController& controller,
                                 UrOutbox& out) {
  for (const std::uint8_t byte : bytes) {
    if (byte != '\n') {
      // No command is that long: what does not fit is left out of the line.
      if (static_cast<std::size_t>(size_) < line_.size()) {
        line_[static_cast<std::size_t>(size_++)] = static_cast<char>(byte);
      }
      continue;
    }
    const std::string_view line(line_.data(), static_cast<std::size_t>(size_));
    size_ = 0;
    std::array<char, 256> room{};
    const std::string_view answer = ur_dashboard_answer(line, controller, &room);
    if (!out.write(answer) || !out.write("\n")) return false;
    if (answer == "Disconnected") return false;
    if (answer == "Shutting down") {
      controller.power_off();
      return false;
    }
  }
  return true;
}

}  // namespace instep

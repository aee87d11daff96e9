// Port 29999 of the simulated controller: lines of text in, lines of text out. Plain data.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "drivers/ur/controller.h"
#include "drivers/ur/outbox.h"

namespace instep {

// What the dashboard server answers to one line, without its end. Overwrites *out; answers what of
// it is the answer.
std::string_view ur_dashboard_answer(std::string_view line, UrController& controller,
                                     std::array<char, 256>* out);

class UrDashboardClient {
 public:
  static constexpr std::size_t kLineMax = 512;

  // A client has connected: it is greeted.
  void open(UrOutbox& out);
  // Takes what the client has sent. False: the connection is to be closed.
  bool on_bytes(std::span<const std::uint8_t> bytes, UrController& controller, UrOutbox& out);

 private:
  std::int64_t size_ = 0;
  std::array<char, kLineMax> line_{};
};

}  // namespace instep

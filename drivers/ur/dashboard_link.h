// The host's end of port 29999: one command after another, each with a time-out of its own. A slow
// answer costs the command, never the connection: `power on` may take long.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace instep {

class UrDashboardLink {
 public:
  static constexpr std::int64_t kAnswerNs = 10'000'000'000;

  void on_connect();
  void on_disconnect();
  void on_bytes(std::span<const std::uint8_t> bytes);
  std::span<const std::uint8_t> output() const;
  void consume(std::size_t bytes);

  // Sends a command. False: not connected and greeted yet, or one before it is still unanswered.
  bool send(std::string_view command, std::int64_t now_ns);
  // True when the last command has been answered, or has been given up: then answer() is empty.
  bool is_free(std::int64_t now_ns) const;
  std::string_view answer() const { return {answer_.data(), answer_size_}; }

 private:
  void take_line(std::string_view line);

  bool is_greeted_ = false;
  int unanswered_ = 0;  // commands, with those that were given up
  std::int64_t sent_ns_ = 0;
  std::size_t line_size_ = 0;
  std::array<char, 256> line_{};
  std::size_t answer_size_ = 0;
  std::array<char, 256> answer_{};
  std::size_t output_size_ = 0;
  std::array<std::uint8_t, 128> output_{};
};

}  // namespace instep

#include "drivers/ur/dashboard_link.h"

#include <algorithm>
#include <cstring>

#include "kernels/check.h"

namespace instep {

void UrDashboardLink::on_connect() {
  *this = UrDashboardLink();
}

void UrDashboardLink::on_disconnect() {
  *this = UrDashboardLink();
}

void UrDashboardLink::on_bytes(std::span<const std::uint8_t> bytes) {
  for (const std::uint8_t byte : bytes) {
    if (byte == '\n') {
      take_line({line_.data(), line_size_});
      line_size_ = 0;
    } else if (byte != '\r' && line_size_ < line_.size()) {
      line_[line_size_++] = static_cast<char>(byte);
    }
  }
}

// Answers come in the order of the commands: those to commands that were given up say nothing.
void UrDashboardLink::take_line(std::string_view line) {
  if (!is_greeted_) {
    is_greeted_ = true;
    return;
  }
  if (unanswered_ == 0) return;
  if (--unanswered_ > 0) return;
  answer_size_ = line.size();
  std::copy(line.begin(), line.end(), answer_.begin());
}

std::span<const std::uint8_t> UrDashboardLink::output() const {
  return {output_.data(), output_size_};
}

void UrDashboardLink::consume(std::size_t bytes) {
  INSTEP_CHECK(bytes <= output_size_);
  std::memmove(output_.data(), output_.data() + bytes, output_size_ - bytes);
  output_size_ -= bytes;
}

bool UrDashboardLink::is_free(std::int64_t now_ns) const {
  return is_greeted_ && (unanswered_ == 0 || now_ns - sent_ns_ >= kAnswerNs);
}

bool UrDashboardLink::send(std::string_view command, std::int64_t now_ns) {
  if (!is_free(now_ns) || command.size() + 1 > output_.size() - output_size_) return false;
  std::memcpy(output_.data() + output_size_, command.data(), command.size());
  output_size_ += command.size();
  output_[output_size_++] = '\n';
  ++unanswered_;
  sent_ns_ = now_ns;
  answer_size_ = 0;
  return true;
}

}  // namespace instep

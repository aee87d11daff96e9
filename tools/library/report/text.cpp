#include "tools/library/report/text.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace instep {
namespace {

constexpr double kUsableMax = 1e100;

// Puts commas between groups of three digits of the whole part.
std::string grouped(std::string text) {
  const std::size_t point = std::min(text.find('.'), text.size());
  const std::size_t first = text.find_first_of("0123456789");
  for (std::size_t at = point; at > first + 3;) {
    at -= 3;
    text.insert(at, ",");
  }
  return text;
}

}  // namespace

bool usable(double value) {
  return std::abs(value) < kUsableMax;
}

std::optional<double> usable(std::optional<double> value) {
  return value && usable(*value) ? value : std::nullopt;
}

std::string concat(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) text += part;
  return text;
}

std::string chars(double value, std::chars_format format, int precision) {
  std::array<char, 160> buffer{};
  const auto result =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format, precision);
  return {buffer.data(), result.ptr};
}

// A minus sign of the width of a plus, and none before a zero.
std::string with_minus(std::string text) {
  if (text.empty() || text[0] != '-') return text;
  text.erase(0, 1);
  return text.find_first_of("123456789") == std::string::npos ? text : "\u2212" + text;
}

std::string shortest_text(double value) {
  std::array<char, 64> buffer{};
  return {buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr};
}

std::string fixed(double value, int decimals) {
  if (!usable(value)) return "not finite";
  if (std::abs(value) >= 1e15) return with_minus(chars(value, std::chars_format::scientific, 3));
  return with_minus(grouped(chars(value, std::chars_format::fixed, decimals)));
}

std::string count_text(std::uint64_t count) {
  return grouped(std::to_string(count));
}

std::string number_text(double value) {
  const double size = std::abs(value);
  if (size >= 1000) return fixed(value, 0);
  if (size >= 100) return fixed(value, 1);
  if (size >= 1 || size == 0) return fixed(value, size == std::floor(size) ? 0 : 2);
  return size >= 1e-4 ? fixed(value, size >= 0.01 ? 3 : 6)
                      : with_minus(chars(value, std::chars_format::scientific, 2));
}

std::string optional_text(const std::optional<double>& value) {
  return value ? number_text(*value) : "\u2013";
}

std::string bytes_text(double bytes) {
  constexpr std::array<std::string_view, 4> kUnits{" B", " KiB", " MiB", " GiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return concat({fixed(bytes, unit == 0 || bytes >= 100 ? 0 : 1), kUnits[unit]});
}

std::string duration_text(double seconds) {
  if (seconds < 0.95) return concat({fixed(std::ceil(seconds * 1000), 0), " ms"});
  if (seconds < 59.5) return concat({fixed(seconds, seconds < 9.95 ? 1 : 0), " s"});
  const auto whole = static_cast<std::uint64_t>(std::min(seconds, 1e15) + 0.5);
  const std::uint64_t days = whole / 86400;
  const std::string minutes = std::to_string(whole / 60 % 60);
  if (days > 0) return concat({count_text(days), " d ", std::to_string(whole / 3600 % 24), " h"});
  if (whole >= 3600) return concat({std::to_string(whole / 3600), " h ", minutes, " min"});
  return concat({minutes, " min ", std::to_string(whole % 60), " s"});
}

std::string escape(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

}  // namespace instep

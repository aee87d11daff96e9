// Numbers and other people's words as text of a report: the same in every locale.
#pragma once

#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace instep {

// Whether a number is a measurement: finite, and so small that differences of two do not overflow.
bool usable(double value);
std::optional<double> usable(std::optional<double> value);  // none where it is not

std::string concat(std::initializer_list<std::string_view> parts);

// As std::to_chars writes it, but with a minus sign of the width of a plus where `with_minus`.
std::string chars(double value, std::chars_format format, int precision);
std::string with_minus(std::string text);

// With as few digits as tell it from every other number.
std::string shortest_text(double value);

// With that many decimals, and commas between groups of three digits.
std::string fixed(double value, int decimals);
std::string count_text(std::uint64_t count);

// About four significant digits, which is what a measurement here is good for. A dash for none.
std::string number_text(double value);
std::string optional_text(const std::optional<double>& value);

// In the unit that suits: "1.5 MiB", "2 h 5 min".
std::string bytes_text(double bytes);
std::string duration_text(double seconds);

// Safe inside HTML, attributes included.
std::string escape(std::string_view text);

}  // namespace instep

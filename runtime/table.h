// A table to which a program may add lines before anybody has read it.
#pragma once

#include <atomic>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace instep {

// Lines are known by their names and stay where they are. add() belongs to the start of a program,
// before the first lines(); after that any thread may read.
template <class Line>
class Table {
 public:
  // `what`: what a line is, for messages.
  Table(std::string_view what, std::span<const Line> lines,
        std::string_view (*name_of)(const Line& line))
      : what_(what), lines_(lines.begin(), lines.end()), name_of_(name_of) {}

  // Throws std::invalid_argument where there is one of that name, std::logic_error after lines().
  void add(const Line& line) {
    add(line, [](const Line&) { return false; });
  }
  // The same where others may also have the line's number.
  template <class Clashes>
  void add(const Line& line, const Clashes& clashes) {
    const std::string_view name = name_of_(line);
    const std::string text = std::string(what_) + " '" + std::string(name) + '\'';
    if (was_read_) throw std::logic_error(text + ": is added too late, the table was read");
    for (const Line& other : lines_) {
      if (name_of_(other) == name) {
        throw std::invalid_argument(text + ": there is one of that name already");
      }
      if (clashes(other)) {
        throw std::invalid_argument(text + ": its number is that of " +
                                    std::string(name_of_(other)));
      }
    }
    lines_.push_back(line);
  }

  std::span<const Line> lines() {
    was_read_ = true;
    return lines_;
  }

 private:
  std::string_view what_;
  std::vector<Line> lines_;
  std::string_view (*name_of_)(const Line& line);
  std::atomic<bool> was_read_{false};
};

}  // namespace instep

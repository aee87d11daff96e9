// What a run says while something moves: nobody waits for a terminal, a pipe or a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <thread>

namespace instep {

// How many columns the terminal on that descriptor has; 0 where it is no terminal. The variable
// COLUMNS has the last word on a terminal.
std::size_t terminal_columns(int descriptor);

// Lines for a descriptor, written by a thread of its own. Where the other end takes nothing
// (Ctrl-S, a pipe that nobody reads, a disk that hangs), lines are dropped, and told of as dropped
// later. After the constructor nothing allocates.
class Voice {
 public:
  // Borrows the descriptor. Throws std::system_error when the system refuses a thread.
  explicit Voice(int descriptor);
  // finish(), for at most kLastWordsNs.
  ~Voice();
  Voice(const Voice&) = delete;
  Voice& operator=(const Voice&) = delete;

  static constexpr std::int64_t kLastWordsNs = 1'000'000'000;

  // A line, given without its end. Any ordinary thread.
  void say(std::string_view line);
  // The line that shows how it is going: the newest alone counts, and on a terminal it is written
  // over the one before. Any ordinary thread.
  void show(std::string_view line);
  // As say(), without waiting; of at most kPostBytesMax. From one thread, which may be a real-time
  // one.
  void post(std::string_view line);
  static constexpr std::size_t kPostBytesMax = 512;

  bool is_on_terminal() const { return is_on_terminal_; }

  // Waits until everything is written, for at most so long. Nothing may be said any more.
  void finish(std::int64_t timeout_ns);

 private:
  class Mouth;

  bool is_on_terminal_;
  std::shared_ptr<Mouth> mouth_;  // the thread's, too, which may have to be left behind
  std::thread thread_;
};

}  // namespace instep

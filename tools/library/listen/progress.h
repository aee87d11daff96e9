// The line that shows how a run is going.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "tools/library/listen/voice.h"

namespace instep {

// On a terminal one line that is rewritten five times a second, elsewhere a line every ten seconds,
// without allocating.
class Progress {
 public:
  // Borrows the voice.
  Progress(Voice& voice, const std::string& task, std::uint64_t seed, std::int64_t steps);

  // `first_step` was made, and measured, so long before `now_ns`.
  void start(std::int64_t first_step, std::int64_t ago_ns, std::int64_t now_ns);
  // The return of an episode that has just ended; the last ten are averaged.
  void add_return(double episode_return);
  // What Health warns of now; shown behind the numbers.
  void set_warnings(std::uint32_t warnings) { warnings_ = warnings; }
  // What a robot is at, where it is not learning; shown behind the numbers. It is kept, not copied.
  void set_state(const char* state) { state_ = state; }
  void update(std::int64_t step, std::int64_t now_ns) {
    if (now_ns >= next_ns_) print(step, now_ns);
  }
  void finish(std::int64_t step, std::int64_t now_ns);

 private:
  void print(std::int64_t step, std::int64_t now_ns);

  Voice& voice_;
  std::array<char, 64> name_{};
  std::int64_t steps_;
  std::int64_t first_step_ = 0;
  std::uint32_t warnings_ = 0;
  const char* state_ = "";
  std::int64_t period_ns_;
  std::int64_t begin_ns_ = 0;
  std::int64_t next_ns_ = 0;
  std::array<double, 10> returns_{};
  std::uint64_t return_count_ = 0;
};

}  // namespace instep

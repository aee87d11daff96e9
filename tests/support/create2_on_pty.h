// A simulated Create 2 behind a pseudo-terminal, on real time, in a thread of the test.
#pragma once

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>

#include "drivers/create2/simulator.h"
#include "runtime/clock.h"
#include "runtime/realtime/thread.h"

namespace instep {

class Create2OnPty {
 public:
  Create2OnPty() {
    master_ = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    grantpt(master_);
    unlockpt(master_);
    std::array<char, 128> name{};
    ptsname_r(master_, name.data(), name.size());
    path_ = name.data();
    termios settings{};
    tcgetattr(master_, &settings);
    cfmakeraw(&settings);
    tcsetattr(master_, TCSANOW, &settings);
    // A terminal that nobody has open hangs up; a robot's port does not.
    slave_ = open(path_.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
    simulator_.restart({1, static_cast<std::uint32_t>(Stream::kTaskReset)}, 0);
    simulator_.place(1000.0, 400.0, 0.0);
    thread_ = std::thread([this] { run(); });
  }
  ~Create2OnPty() {
    is_stopping_ = true;
    thread_.join();
    close(slave_);
    close(master_);
  }
  Create2OnPty(const Create2OnPty&) = delete;
  Create2OnPty& operator=(const Create2OnPty&) = delete;

  const std::string& path() const { return path_; }
  bool is_moving() const { return is_moving_; }
  std::int64_t stopped_ns() const { return stopped_ns_; }  // when it was last told to stand still
  std::int64_t limit_violations() const { return limit_violations_; }

 private:
  void run() {
    const MonotonicClock clock;
    const std::int64_t begin_ns = clock.now_ns();
    std::array<std::uint8_t, 512> bytes;
    while (!is_stopping_) {
      sleep_until(clock.now_ns() + 1'000'000);
      const std::int64_t now_ns = clock.now_ns() - begin_ns;
      const ssize_t count = ::read(master_, bytes.data(), bytes.size());
      if (count > 0) simulator_.on_bytes({bytes.data(), static_cast<std::size_t>(count)}, now_ns);
      simulator_.advance(now_ns);
      const std::size_t left = simulator_.read(bytes);
      if (left > 0) static_cast<void>(::write(master_, bytes.data(), left) == 0);
      const bool is_moving =
          simulator_.target_left_mm_s() != 0.0 || simulator_.target_right_mm_s() != 0.0;
      if (is_moving_ && !is_moving) stopped_ns_ = clock.now_ns();
      is_moving_ = is_moving;
      limit_violations_ = simulator_.counters().limit_violations;
    }
  }

  Create2Simulator simulator_{Create2SimulatorOptions{.seed = 1}};
  std::string path_;
  int master_ = -1;
  int slave_ = -1;
  std::atomic<bool> is_stopping_{false};
  std::atomic<bool> is_moving_{false};
  std::atomic<std::int64_t> stopped_ns_{0};
  std::atomic<std::int64_t> limit_violations_{0};
  std::thread thread_;
};

}  // namespace instep

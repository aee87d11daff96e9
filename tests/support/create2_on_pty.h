// A simulated Create 2 on real time, in a thread of the test, behind a port that forgives nothing
// that a robot and its adapter would not.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "drivers/create2/simulator_on_port.h"
#include "runtime/clock.h"
#include "runtime/realtime/thread.h"
#include "temporary_folder.h"

namespace instep {

class Create2OnPty {
 public:
  Create2OnPty() {
    robot_.simulator().place(1000.0, 400.0, 0.0);
    path_ = robot_.port().path();
    begin_ns_ = clock_.now_ns();
    thread_ = std::thread([this] { run(); });
  }
  ~Create2OnPty() {
    is_stopping_ = true;
    thread_.join();
  }
  Create2OnPty(const Create2OnPty&) = delete;
  Create2OnPty& operator=(const Create2OnPty&) = delete;

  // The port's first name, the one that it has now, and the one that always points to it.
  const std::string& path() const { return path_; }
  std::string path_now() {
    const std::lock_guard lock(mutex_);
    return robot_.port().path();
  }
  const std::string& stable_path() const { return robot_.port().stable_path(); }

  bool is_moving() const { return is_moving_; }
  std::int64_t stopped_ns() const { return stopped_ns_; }  // when it was last told to stand still
  std::int64_t limit_violations() const { return limit_violations_; }
  // Its wheels, which need a moment for what they are told; when they last came to rest.
  double wheel_speed_mm_s() const { return wheel_speed_mm_s_; }  // of the faster one
  std::int64_t stood_ns() const { return stood_ns_; }

  // Something happens to the robot or its port.
  void does(const std::function<void(Create2OnPort&)>& what) {
    const std::lock_guard lock(mutex_);
    what(robot_);
  }
  void unplug() {
    does([](Create2OnPort& robot) { robot.simulator().set_plugged(false); });
  }
  void plug() {
    does([](Create2OnPort& robot) { robot.simulator().set_plugged(true); });
  }
  // As a getty, or `stty sane 9600`, does it.
  void reset_settings() {
    does([](Create2OnPort& robot) { robot.port().reset_settings(); });
  }
  void send_as_another_program(std::vector<std::uint8_t> bytes) {
    does([&](Create2OnPort& robot) {
      robot.send_as_another_program(bytes, clock_.now_ns() - begin_ns_);
    });
  }

 private:
  void run() {
    while (!is_stopping_) {
      sleep_until(clock_.now_ns() + 1'000'000);
      const std::lock_guard lock(mutex_);
      robot_.advance(clock_.now_ns() - begin_ns_);
      const Create2Simulator& robot = robot_.simulator();
      const bool is_moving = robot.target_left_mm_s() != 0.0 || robot.target_right_mm_s() != 0.0;
      if (is_moving_ && !is_moving) stopped_ns_ = clock_.now_ns();
      is_moving_ = is_moving;
      const double speed =
          std::max(std::abs(robot.arena().left_mm_s), std::abs(robot.arena().right_mm_s));
      if (wheel_speed_mm_s_ != 0.0 && speed == 0.0) stood_ns_ = clock_.now_ns();
      wheel_speed_mm_s_ = speed;
      limit_violations_ = robot.counters().limit_violations;
    }
  }

  TemporaryFolder folder_;
  Create2OnPort robot_{{.path = folder_ / "ttyUSB0", .is_strict = true, .seed = 1}};
  const MonotonicClock clock_;
  std::string path_;
  std::int64_t begin_ns_ = 0;
  std::mutex mutex_;  // of robot_
  std::atomic<bool> is_stopping_{false};
  std::atomic<bool> is_moving_{false};
  std::atomic<std::int64_t> stopped_ns_{0};
  std::atomic<double> wheel_speed_mm_s_{0.0};
  std::atomic<std::int64_t> stood_ns_{0};
  std::atomic<std::int64_t> limit_violations_{0};
  std::thread thread_;
};

}  // namespace instep

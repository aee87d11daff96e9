// What systemd is told about a run that it started as a service (sd_notify(3)).
#pragma once

#include <atomic>
#include <cstdint>

namespace instep {

// One datagram each on the socket that NOTIFY_SOCKET names; nothing where there is none. Never
// waits, never fails: a run is not worth less for it.
class ServiceNotice {
 public:
  ServiceNotice();
  ~ServiceNotice();
  ServiceNotice(const ServiceNotice&) = delete;
  ServiceNotice& operator=(const ServiceNotice&) = delete;

  // The start may take this long from now on before systemd takes it for dead: kernels for a GPU
  // are compiled for minutes.
  void extend_start(std::int64_t time_ns) const;
  // The run has begun. From now on the watchdog must be fed, or systemd restarts the service.
  void ready(std::int64_t now_ns);
  // Whether it is time to feed the watchdog: thrice within its time (WATCHDOG_USEC), where it wants
  // that at all. Only a loop that has made a tick since the last time may be told of as alive.
  bool is_due(std::int64_t now_ns) const { return now_ns >= next_ns_ && !is_stopping_; }
  void feed(std::int64_t now_ns);
  // No more ticks; only files are completed. Said once, and the watchdog is not fed any more. Any
  // thread; the others are one thread's.
  void stopping();

  // How far apart two meals are at most; INT64_MAX: there is no watchdog.
  std::int64_t period_ns() const { return period_ns_; }

 private:
  void send(const char* text) const;

  int socket_ = -1;
  std::atomic<bool> is_stopping_{false};
  std::int64_t period_ns_ = INT64_MAX;
  std::int64_t next_ns_ = INT64_MAX;
};

}  // namespace instep

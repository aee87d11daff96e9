// What systemd is told about a run that it started as a service (sd_notify(3)).
#pragma once

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

  // The run has begun. From now on update() must be called, or systemd restarts the service.
  void ready(std::int64_t now_ns);
  // Feeds the watchdog, thrice within its time (WATCHDOG_USEC), if it wants that.
  void update(std::int64_t now_ns) {
    if (now_ns >= next_ns_) feed(now_ns);
  }
  // No more ticks; only files are completed.
  void stopping();

 private:
  void feed(std::int64_t now_ns);
  void send(const char* text) const;

  int socket_ = -1;
  std::int64_t period_ns_ = INT64_MAX;
  std::int64_t next_ns_ = INT64_MAX;
};

}  // namespace instep

#include "tools/library/run/real_time.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "tools/library/error.h"
#include "tools/library/run/run_folder.h"

namespace instep {
namespace {

constexpr std::uint32_t kTicksBetweenMax = 8192;  // that the writer may be behind
constexpr std::size_t kOverrunsListedMax = 1000;
constexpr std::string_view kCauseNames[kOverrunCauses] = {"woke_late", "computed_late",
                                                          "learner_late", "old_packet"};
constexpr std::string_view kHoldNames[kHoldCauses] = {"key", "stale_sensors", "link_lost",
                                                      "taken_over"};

}  // namespace

// ---------------------------------------------------------------------------------------------------
// The device

namespace {

// An address where the channel is a port of this machine, or the other way round. A name without a
// slash may always be a host's.
void require_name_of(const Transport& transport, const std::string& name) {
  const bool may_be_host = !transport.is_at_path && name.find('/') == std::string::npos;
  if (transport.fits(name) || may_be_host) return;
  std::string others;
  for (const DriverInfo* driver : drivers_of_device(name)) {
    others += (others.empty() ? "; such is that of " : ", ") + std::string(driver->name) + " (" +
              std::string(driver->summary) + ')';
  }
  throw UsageError(name + ": this robot needs " + std::string(transport.what) + others);
}

}  // namespace

PortAddress channel_address(const DriverChannel& channel, const std::string& name) {
  require_name_of(*channel.transport, name);
  try {
    return channel.transport->address(name, channel.port);
  } catch (const std::length_error& error) {
    throw UsageError(error.what());
  } catch (const std::runtime_error& error) {
    throw IoError(error.what());
  }
}

namespace {

// Of a run that has died: it ends soon.
bool is_held_by_guardian(const Transport& transport, const std::string& name) {
  std::vector<PortUser> users = transport.users(name);
  std::erase_if(users, [](const PortUser& user) {
    return user.how != PortUser::How::kHasItOpen && user.how != PortUser::How::kHasTheLock;
  });
  return !users.empty() && std::all_of(users.begin(), users.end(), [](const PortUser& user) {
    return user.name == kGuardianName;
  });
}

// Until a connection that has begun can be used. Answers an errno value, or 0.
int wait_for_connection(const PortOperations& port, int descriptor) {
  constexpr std::int64_t kPatienceNs = 3'000'000'000;
  constexpr std::int64_t kRoundNs = 2'000'000;
  if (port.connected == nullptr) return 0;
  const MonotonicClock clock;
  const std::int64_t end_ns = clock.now_ns() + kPatienceNs;
  int error = port.connected(descriptor);
  for (; error == EINPROGRESS && clock.now_ns() < end_ns; error = port.connected(descriptor)) {
    sleep_until(clock.now_ns() + kRoundNs);
  }
  return error == EINPROGRESS ? ETIMEDOUT : error;
}

// Answers an errno value, or 0.
int open_channel(LinkChannel& channel) {
  const int descriptor = channel.port.open(&channel.address);
  if (descriptor < 0) return -descriptor;
  channel.descriptor.reset(descriptor);
  const int error = channel.port.claim(descriptor);
  return error != 0 ? error : wait_for_connection(channel.port, descriptor);
}

// Answers an errno value, or 0.
int try_to_open(const DriverInfo& driver, const std::string& name, bool takes_the_right,
                OpenedDevice& opened) {
  const Transport& transport = *driver.channels[0].transport;
  if (takes_the_right && transport.lock != nullptr) {
    const int lock = transport.lock(name);
    if (lock < 0) return -lock;
    opened.lock.reset(lock);
  }
  return open_channel(opened.channels[0]);
}

// The channels beside the first are opened when the session wants them, which may be late: what is
// wrong with one that it cannot do without is said at the start.
void try_other_channels(const DriverInfo& driver, const std::string& device, OpenedDevice& opened) {
  for (int i = 1; i < driver.channel_count; ++i) {
    const DriverChannel& channel = driver.channels[static_cast<std::size_t>(i)];
    if (channel.is_optional) continue;
    const int error = open_channel(opened.channels[static_cast<std::size_t>(i)]);
    if (error == 0) continue;
    const std::string place =
        channel.port != 0 ? " (port " + std::to_string(channel.port) + ')' : "";
    throw IoError(channel.transport->trouble(channel_name(device, i), error) + place);
  }
}

}  // namespace

OpenedDevice open_device(const DriverInfo& driver, const std::string& device, DeviceUse use) {
  constexpr std::int64_t kPatienceNs = Guardian::kStopNsMax + 1'000'000'000;
  constexpr std::int64_t kRetryNs = 50'000'000;
  constexpr std::int64_t kDyingNs = 500'000'000;  // a process that was killed has its files so long
  const MonotonicClock clock;
  const std::int64_t begin_ns = clock.now_ns();
  OpenedDevice opened;
  for (int i = 0; i < driver.channel_count; ++i) {
    const DriverChannel& channel = driver.channels[static_cast<std::size_t>(i)];
    opened.channels.push_back({.address = channel_address(channel, channel_name(device, i)),
                               .port = channel.transport->port,
                               .descriptor = {}});
  }
  const Transport& transport = *driver.channels[0].transport;
  const std::string name = channel_name(device, 0);
  const bool takes_the_right = use == DeviceUse::kDrive || transport.has_one_reader;
  for (;;) {
    const int error = try_to_open(driver, name, takes_the_right, opened);
    if (error == 0) {
      if (takes_the_right) try_other_channels(driver, device, opened);
      return opened;
    }
    opened.channels[0].descriptor.reset();
    opened.lock.reset();
    const std::int64_t waited_ns = clock.now_ns() - begin_ns;
    const bool may_wait =
        error == EBUSY && (waited_ns < kDyingNs || is_held_by_guardian(transport, name));
    if (!may_wait || waited_ns >= kPatienceNs) throw IoError(transport.trouble(name, error));
    sleep_until(clock.now_ns() + kRetryNs);
  }
}

// What may take the robot away from this process, or the guardian from the robot.
static void warn_of_company(const DriverInfo& driver, const std::string& device) {
  for (int i = 0; i < driver.channel_count; ++i) {
    const Transport& transport = *driver.channels[static_cast<std::size_t>(i)].transport;
    for (const std::string& warning : transport.warnings(channel_name(device, i))) {
      std::fprintf(stderr, "instep: warning: %s\n", warning.c_str());
    }
  }
  if (getpid() != 1) return;
  std::fprintf(stderr,
               "instep: warning: this program is process 1 of its container: when it is killed the "
               "kernel ends its guardian, too, and nothing stops the robot. Start the container "
               "with an init (docker run --init), and have `instep stop %s` run from outside "
               "whenever it ends (ExecStopPost= of the service that starts it)\n",
               device.c_str());
}

RealTimeDevice::RealTimeDevice(RealTimeTask task, const RealTimeOptions& options)
    : task_(std::move(task)), options_(options) {
  const DriverInfo& driver = *task_.driver;
  // A dry run's session is given no command: it has nothing to prepare the device for.
  session_ = driver.make_session(options.is_dry_run ? 0 : task_.period_ns);
  stop_ = driver.make_stop();
  OpenedDevice opened = open_device(driver, options.device);
  warn_of_company(driver, options.device);
  LinkEnd end{.stop = stop_.get(), .channel = driver.stop_channel};
  int stop_descriptor = -1;
  if (driver.stop_channel < 0) {
    end.address = channel_address(driver.stop_connection, stop_name(driver, options.device));
    end.port = driver.stop_connection.transport->port;
  } else {
    const LinkChannel& place = opened.channels[static_cast<std::size_t>(driver.stop_channel)];
    end.address = place.address;
    end.port = place.port;
    stop_descriptor = place.descriptor.get();
  }
  // A dry run moves nothing; whoever moves the device meanwhile is not to be stopped.
  guardian_ =
      std::make_unique<Guardian>(stop_descriptor, end.address, end.port,
                                 options.is_dry_run ? nullptr : stop_.get(), opened.lock.get());
  lock_ = std::move(opened.lock);
  link_ =
      std::make_unique<RealtimeLink>(*session_, std::move(opened.channels), guardian_.get(), end);
  if (options.has_record) recording_link_ = std::make_unique<RecordingLink>(*link_);
  RobotLink& loop_link = recording_link_ ? static_cast<RobotLink&>(*recording_link_) : *link_;
  world_ = std::make_unique<RobotWorld>(*task_.robot_task, loop_link, signals_,
                                        RobotWorldConfig{.period_ns = task_.period_ns,
                                                         .observation_dim = task_.observation_dim,
                                                         .is_phase_locked = options.is_phase_locked,
                                                         .is_dry_run = options.is_dry_run,
                                                         .has_state = false});
  shape_ = {task_.observation_dim, task_.action_dim, task_.robot_task->limits().count};
  ticks_ = std::make_unique<TickRing>(shape_.frame_bytes(), kTicksBetweenMax);
  recording_ = std::make_unique<RecordingWorld>(*world_, shape_, *ticks_);
}

std::string RealTimeDevice::standing_trouble() const {
  if (link_->stood().value_or(true)) return "";
  return "--device " + options_.device +
         ": the robot was told to stop, but what it sends does not show that it stands: keep away "
         "from it and cut its power, or plug its cable in and run `instep stop " +
         options_.device + '`';
}

std::unique_ptr<RealTimeDevice> open_device(const TaskInfo& task, const RealTimeOptions& options) {
  if (task.make_robot == nullptr) {
    throw UsageError("--device: task " + std::string(task.name) +
                     " has no robot; it runs on simulated time");
  }
  RealTimeTask real_time{find_driver(task.driver), task.make_robot(), task.observation_dim,
                         task.action_dim, std::llround(task.period_s * 1e9)};
  return std::make_unique<RealTimeDevice>(std::move(real_time), options);
}

void require_core(int core) {
  if (core < 0) return;
  int error = 0;
  start_thread("a thread that tries the core", [&] { error = pin_to_core(core); }).join();
  if (error == 0) return;
  std::ifstream file("/sys/devices/system/cpu/online");
  std::string online;
  file >> online;
  throw UsageError("--core " + std::to_string(core) +
                   ": no thread of this process may run there (" + std::strerror(error) +
                   "); cores that are switched on: " + (online.empty() ? "unknown" : online));
}

RightsTeller::RightsTeller(Voice& voice) : voice_(voice), rights_{.lock_error = lock_memory()} {}

void RightsTeller::tell(std::initializer_list<int> priority_errors) {
  if (has_told_) return;
  for (const int error : priority_errors) {
    if (error == kNotTriedYet) return;
    if (error != 0) rights_.priority_error = error;
  }
  has_told_ = true;
  const std::string warning = rights_warning("", rights_);
  if (!warning.empty()) voice_.say(warning);
}

const char* status_text(RobotStatus status) {
  static_assert(RobotWorldConfig{}.link_loss_max_ns == 600'000'000'000);
  switch (status) {
    case RobotStatus::kRunning:
      return "";
    case RobotStatus::kConnecting:
      return "no answer yet";
    case RobotStatus::kHoming:
      return "homing";
    case RobotStatus::kHeld:
      return "held";
    case RobotStatus::kTakenOver:
      return "held: somebody else stopped the robot; press c to go on";
    case RobotStatus::kLinkLost:
      return "link lost: waiting up to 10 min";
    case RobotStatus::kFaulted:
      return "faulted";
  }
  return "";
}

const char* status_text(const RobotWorld& world, const RealtimeLink& link) {
  const RobotStatus status = world.status();
  const char* const notice = world.notice();
  const char* const hold = link.hold_reason();
  if (status == RobotStatus::kLinkLost && *hold != '\0') return hold;
  const bool is_tasks_own = status == RobotStatus::kHoming || status == RobotStatus::kRunning;
  return is_tasks_own && *notice != '\0' ? notice : status_text(status);
}

void TroubleTeller::tell() {
  constexpr std::int64_t kPauseNs = 1'000'000'000;
  const auto where = [this] { return "--device " + device_.options().device + ": "; };
  const RealtimeLink& link = device_.link();
  if (const std::uint64_t lacks = link.lacks(); lacks != lacks_) {
    lacks_ = lacks;
    if (lacks != 0) voice_.say("instep: warning: " + where() + device_.driver().lacks_text(lacks));
  }
  const char* const error = link.error();
  if (error == error_ || link.now_ns() - error_ns_ < kPauseNs) return;
  error_ = error;
  error_ns_ = link.now_ns();
  if (*error != '\0') voice_.say("instep: " + where() + error);
}

std::string trouble_text(const RealTimeDevice& device, RobotEnd end, const Session& session) {
  const std::string where = "--device " + device.options().device + ": ";
  switch (end) {
    case RobotEnd::kNone:
    case RobotEnd::kStopped:
      return "";
    case RobotEnd::kLinkFailed: {
      if (device.link().has_lost_guardian()) {
        return where +
               "the guardian process, which stops the robot when this program dies, has died or "
               "was halted itself (it did not answer for a second); the robot was stopped: start "
               "again (train goes on with --resume)";
      }
      const std::string error = session.error();
      return where + (error.empty() ? "the robot does not answer; is it switched on and connected?"
                                    : error);
    }
    case RobotEnd::kHomingFailed: {
      const std::string notice = device.world().notice();
      return where + "the robot did not reach its start several times in a row" +
             (notice.empty() ? "" : " (" + notice + ")") +
             "; free it, see that its wheels touch the ground, and start again (train goes on with "
             "--resume)";
    }
  }
  return "";
}

// ---------------------------------------------------------------------------------------------------
// Ticks

TickStore::TickStore(const TickShape& shape, std::uint64_t identity, const std::string& folder)
    : shape_(shape), identity_(identity), folder_(folder) {}

void TickStore::begin(std::int64_t step, std::span<const std::uint8_t> snapshot, bool has_record) {
  parts_.push_back({.step = step, .snapshot = {snapshot.begin(), snapshot.end()}});
  if (!has_record) return;
  const std::string path = new_part_path(folder_, "record", step);
  file_.emplace();
  error_ = file_->open(path, File::Mode::kCreate);
  if (error_ == 0) {
    error_ = append(record_header({shape_, identity_, step, parts_.back().snapshot, {}}));
    if (error_ != 0) std::remove(path.c_str());  // room that others may need
  }
  if (error_ != 0) file_.reset();
}

// Not left to this process's memory, which a kill would take along.
int TickStore::append(std::span<const std::uint8_t> bytes) {
  if (const int error = file_->write_at(bytes, file_bytes_)) return error;
  file_bytes_ += static_cast<std::int64_t>(bytes.size());
  return 0;
}

void TickStore::add_snapshot(std::int64_t step, std::span<const std::uint8_t> snapshot) {
  for (Part& part : parts_) {
    if (part.step == step) part.snapshot.assign(snapshot.begin(), snapshot.end());
  }
}

// Makes room first: a record that begins later is still one, but not one with a gap.
void TickStore::keep(std::span<const std::uint8_t> frame) {
  while (bytes_kept_ + frame.size() > kBytesMax && bytes_kept_ > 0) {
    Part& oldest = parts_.front();
    bytes_kept_ -= oldest.frames.size();
    if (parts_.size() > 1) {
      parts_.pop_front();
    } else {
      oldest.frames = {};
      oldest.is_too_long = true;
    }
  }
  Part& newest = parts_.back();
  if (newest.is_too_long) return;
  newest.frames.insert(newest.frames.end(), frame.begin(), frame.end());
  bytes_kept_ += frame.size();
}

void TickStore::take(TickRing& ring) {
  for (auto frame = ring.front(); !frame.empty(); frame = ring.front()) {
    const TickHead head = tick_head(frame);
    keep(frame);
    if (const int error = file_ ? append(frame) : 0) {
      error_ = error;
      static_cast<void>(file_->truncate(file_bytes_));
      file_.reset();
    }
    ring.pop();
    if ((head.flags & kTickSnapshot) == 0) continue;
    // The last whole part and the one before it reach back by one to two checkpoints.
    parts_.push_back({.step = static_cast<std::int64_t>(head.step)});
    while (parts_.size() > 3 || parts_.front().is_too_long) {
      bytes_kept_ -= parts_.front().frames.size();
      parts_.pop_front();
    }
  }
}

std::string TickStore::dump() const {
  const auto first = std::find_if(parts_.begin(), parts_.end(),
                                  [](const Part& part) { return !part.snapshot.empty(); });
  if (first == parts_.end() || first->is_too_long) {
    return "no fault.rec was written: too many ticks have passed since the last checkpoint; a "
           "smaller checkpoint_every keeps them";
  }
  const std::string path = folder_ + "/fault.rec";
  std::remove(path.c_str());
  File file;
  std::int64_t at = 0;
  int error = file.open(path, File::Mode::kCreate);
  const auto write = [&](std::span<const std::uint8_t> bytes) {
    if (error == 0) error = file.write_at(bytes, at);
    at += static_cast<std::int64_t>(bytes.size());
  };
  write(record_header({shape_, identity_, first->step, first->snapshot, {}}));
  for (auto part = first; part != parts_.end(); ++part) write(part->frames);
  if (error != 0) return system_trouble(path + ": cannot be written", error);
  return "the ticks before the fault are in " + path + "; `instep replay " + path + '`';
}

void OverrunTable::start() {
  steal_at_begin_ns_ = steal_ns_ = steal_time_ns();
}

void OverrunTable::take(TickMonitor& monitor) {
  const std::int64_t steal_ns = steal_time_ns();
  const double steal_ms = static_cast<double>(steal_ns - steal_ns_) * 1e-6;
  steal_ns_ = steal_ns;
  Overrun overrun;
  while (monitor.next_overrun(&overrun)) {
    if (rows_.size() < kOverrunsListedMax) rows_.push_back({overrun, steal_ms});
  }
}

OverrunSummary OverrunTable::summary(const RealtimeCounters& counters) const {
  OverrunSummary summary;
  summary.overrun_ticks = counters.overrun_ticks;
  for (std::size_t i = 0; i < kOverrunCauses; ++i) {
    summary.overruns[std::string(kCauseNames[i])] = counters.overruns[i];
  }
  for (const Row& row : rows_) {
    OverrunRow listed;
    listed.step = row.overrun.step;
    listed.late_us = static_cast<double>(row.overrun.late_ns) * 1e-3;
    listed.packet_age_us = static_cast<double>(row.overrun.packet_age_ns) * 1e-3;
    listed.steal_ms = row.steal_ms;
    for (int i = 0; i < kOverrunCauses; ++i) {
      if ((row.overrun.causes & (1U << i)) != 0) listed.causes.emplace_back(kCauseNames[i]);
    }
    summary.overruns_listed.push_back(std::move(listed));
  }
  summary.overruns_unlisted = counters.overrun_ticks - rows_.size();
  summary.steal_ms = static_cast<double>(steal_ns_ - steal_at_begin_ns_) * 1e-6;
  return summary;
}

// ---------------------------------------------------------------------------------------------------
// The run

// Whoever adds a counter adds a line here and one in summary(): a counter that nobody reads tells
// nobody anything.
static_assert(sizeof(RobotWorldCounters) == (9 + kHoldCauses) * sizeof(std::uint64_t));
static_assert(sizeof(LinkCounters) == 7 * sizeof(std::uint64_t));
static_assert(sizeof(LateLearning) == 3 * sizeof(std::uint64_t));

namespace {

void add_to(RealtimeCounters& sum, const RealtimeCounters& other) {
  sum.wakeup.add(other.wakeup);
  sum.packet_age.add(other.packet_age);
  for (std::size_t i = 0; i < kOverrunCauses; ++i) sum.overruns[i] += other.overruns[i];
  sum.overrun_ticks += other.overrun_ticks;
  sum.ticks += other.ticks;
}

void add_to(RobotWorldCounters& sum, const RobotWorldCounters& other) {
  sum.running_ticks += other.running_ticks;
  sum.homing_ticks += other.homing_ticks;
  sum.held_ticks += other.held_ticks;
  sum.faulted_ticks += other.faulted_ticks;
  for (std::size_t i = 0; i < kHoldCauses; ++i) sum.holds[i] += other.holds[i];
  sum.faults += other.faults;
  sum.missed_periods += other.missed_periods;
  sum.commands_limited_range += other.commands_limited_range;
  sum.commands_limited_rate += other.commands_limited_rate;
  sum.commands_not_finite += other.commands_not_finite;
}

void add_to(LinkCounters& sum, const LinkCounters& other) {
  sum.packets += other.packets;
  sum.bytes_skipped += other.bytes_skipped;
  sum.checksum_errors += other.checksum_errors;
  sum.frames_impossible += other.frames_impossible;
  sum.reconnects += other.reconnects;
  sum.commands_sent += other.commands_sent;
  sum.dead_man_stops += other.dead_man_stops;
}

}  // namespace

void RunCounts::add(const RunCounts& other) {
  loop.latency.add(other.loop.latency);
  add_to(loop.ticks, other.loop.ticks);
  add_to(loop.world, other.loop.world);
  loop.late.ticks += other.loop.late.ticks;
  loop.late.transitions_dropped += other.loop.late.transitions_dropped;
  loop.late.tasks_lost += other.loop.late.tasks_lost;
  loop.episodes_lost += other.loop.episodes_lost;
  loop.record_ticks_lost += other.loop.record_ticks_lost;
  link.latency.packet_to_wire.add(other.link.latency.packet_to_wire);
  link.latency.command_to_wire.add(other.link.latency.command_to_wire);
  add_to(link.session, other.link.session);
  link.packets_lost += other.link.packets_lost;
  link.port_resets += other.link.port_resets;
  link.guardian_stops += other.link.guardian_stops;
  steal_ns += other.steal_ns;
}

RealTimeRun::RealTimeRun(ControlLoop& loop, Agent& agent, RealTimeDevice& device,
                         const RunConfig& config, std::uint64_t identity, const std::string& folder,
                         std::span<std::uint8_t> snapshot, Voice& voice, Hands& hands,
                         RunSink& sink, const HealthRhythm& rhythm)
    : agent_(agent),
      device_(device),
      snapshot_(snapshot),
      voice_(voice),
      hands_(hands),
      sink_(sink),
      folder_(folder),
      trouble_teller_(voice, device),
      rhythm_(rhythm),
      store_(device.shape(), identity, folder),
      loop_(loop, agent, device.world(), &device.recording(), device.signals(),
            {.self = this,
             .updated = [](void* self) { static_cast<RealTimeRun*>(self)->add_update(); },
             .state_taken =
                 [](void* self, std::uint64_t) {
                   auto* run = static_cast<RealTimeRun*>(self);
                   run->open_health_ = run->agent_.peek_health();
                 }},
            snapshot,
            {.period_ns = device.period_ns(),
             .steps = config.steps,
             .snapshot_every = config.settings.checkpoint_every,
             .core = device.options().core,
             .end_hook = {&hands, [](void* self) { static_cast<Hands*>(self)->loop_is_over(); }}}) {
  device.recording().set_agent(agent);
  loop.save_snapshot(snapshot);
  store_.begin(loop.steps(), snapshot, device.options().has_record);
  if (device.recording_link() != nullptr) packet_store_.emplace(folder, loop.steps());
}

RealTimeRun::~RealTimeRun() {
  stop();
}

void RealTimeRun::start() {
  rights_.emplace(voice_);
  overruns_.start();
  device_.link().start();
  loop_.start();
}

// In the learner's thread: the writer may not look at the learner, which is never at rest.
void RealTimeRun::add_update() {
  agent_.gather_health();
  if (agent_.health_ticks() + rhythm_.updates_before < rhythm_.updates_per_sample) return;
  health_.write(agent_.take_health());
  rhythm_.updates_before = 0;
}

// The snapshot's step is read before the rings are emptied: every tick and episode that it counts
// was pushed before it was published. The other way round an episode that ended in between would be
// in the checkpoint and not yet in episodes.csv, and a power cut then would leave them so.
void RealTimeRun::poll() {
  const std::int64_t step = loop_.snapshot_step();
  rights_->tell({device_.link().priority_error(), hands_.priority_error(),
                 loop_.loop_priority_error(), loop_.learner_priority_error()});
  store_.take(device_.ticks());
  if (const int error = store_.take_error()) sink_.lose_record("record", error);
  take_packets();
  write_loss();
  trouble_teller_.tell();
  EpisodeRecord episode;
  while (loop_.next_episode(&episode)) sink_.take_episode(episode);
  overruns_.take(loop_.monitor());
  HealthSample health;
  if (health_.read(&health)) sink_.take_health(steps(), health);
  if (step < 0) return;
  store_.add_snapshot(step, snapshot_);
  measures_ = {{loop_.counts(), device_.link().newest_counts(), overruns_.steal_ns()},
               open_health_};
  sink_.take_checkpoint(step, measures_);
  loop_.release_snapshot();
}

void RealTimeRun::take_packets() {
  if (!packet_store_) return;
  packet_store_->take(device_.recording_link()->packets());
  if (const int error = packet_store_->take_error()) sink_.lose_record("packets", error);
}

// What led to the link's last loss, for whoever looks for its cause.
void RealTimeRun::write_loss() {
  const auto text = device_.driver().loss_text;
  if (text == nullptr || !device_.link().newest_loss(&loss_)) return;
  try {
    write_file(folder_ + "/link_loss.txt", text({loss_.bytes.data(), loss_.size}));
  } catch (const IoError& error) {
    voice_.say(std::string("instep: warning: ") + error.what());
  }
}

void RealTimeRun::stop() {
  device_.signals().stop = true;
  loop_.join();
  device_.link().stop();
}

void RealTimeRun::finish() {
  stop();
  poll();
  measures_ = {{loop_.counts(), device_.link().counts(), overruns_.steal_ns()},
               agent_.peek_health()};
  trouble_ = trouble_text(device_, device_.world().end(), device_.session());
  if (!trouble_.empty()) voice_.say("instep: " + trouble_);
  const std::string standing = device_.standing_trouble();
  if (!standing.empty()) voice_.say("instep: " + standing);
  if (is_faulted()) voice_.say("instep: " + store_.dump());
  if (const std::uint64_t lost = device_.recording().frames_lost(); lost > 0) {
    voice_.say(
        "instep: warning: " + std::to_string(lost) +
        " ticks are missing from the record: the medium was too slow; replay ends before the "
        "first of them");
  }
  if (!packet_store_) return;
  if (const std::uint64_t lost = device_.recording_link()->packets_lost(); lost > 0) {
    voice_.say("instep: warning: " + std::to_string(lost) +
               " packets are missing from `packets`: the medium was too slow");
  }
}

RealTimeSummary RealTimeRun::summary(const RunCounts& counts) const {
  const RealtimeCounters& counters = counts.loop.ticks;
  const RobotWorldCounters& world = counts.loop.world;
  const LinkCounters& link = counts.link.session;
  const LateLearning& late = counts.loop.late;
  RealTimeSummary summary;
  if (!trouble_.empty()) summary.trouble = trouble_;
  // Without what it was waiting for.
  std::string ended_while = status_text(device_.world().status());
  ended_while.erase(std::min(ended_while.find(':'), ended_while.size()));
  if (!ended_while.empty()) summary.ended_while = ended_while;
  summary.wakeup_us = percentiles_of(counters.wakeup);
  summary.packet_age_us = percentiles_of(counters.packet_age);
  summary.packet_to_wire_us = percentiles_of(counts.link.latency.packet_to_wire);
  summary.command_to_wire_us = percentiles_of(counts.link.latency.command_to_wire);
  summary.late_ticks = late.ticks;
  summary.transitions_dropped_late = late.transitions_dropped;
  summary.learner_tasks_lost = late.tasks_lost;
  summary.packets_lost = counts.link.packets_lost;
  summary.record_ticks_lost = counts.loop.record_ticks_lost;
  summary.episodes_lost = counts.loop.episodes_lost;
  for (std::size_t i = 0; i < kHoldCauses; ++i) {
    summary.holds[std::string(kHoldNames[i])] = world.holds[i];
  }
  const auto refuse = [&summary](const char* whom, int error) {
    if (error > 0) summary.rights_refused[whom] = std::strerror(error);
  };
  refuse("io", device_.link().priority_error());
  refuse("hands", hands_.priority_error());
  refuse("loop", loop_.loop_priority_error());
  refuse("learner", loop_.learner_priority_error());
  refuse("memory", rights_->rights().lock_error);
  summary.missed_deadlines = world.missed_periods;
  summary.faults = world.faults;
  summary.running_ticks = world.running_ticks;
  summary.homing_ticks = world.homing_ticks;
  summary.held_ticks = world.held_ticks;
  summary.faulted_ticks = world.faulted_ticks;
  summary.commands_limited_range = world.commands_limited_range;
  summary.commands_limited_rate = world.commands_limited_rate;
  summary.commands_not_finite = world.commands_not_finite;
  summary.packets = link.packets;
  summary.checksum_errors = link.checksum_errors;
  summary.frames_impossible = link.frames_impossible;
  summary.bytes_skipped = link.bytes_skipped;
  summary.reconnects = link.reconnects;
  summary.commands_sent = link.commands_sent;
  summary.dead_man_stops = link.dead_man_stops;
  summary.port_resets = counts.link.port_resets;
  summary.guardian_stops = counts.link.guardian_stops;
  summary.stood = device_.link().stood();
  summary.overruns = overruns_.summary(counters);
  summary.overruns.steal_ms = static_cast<double>(counts.steal_ns) * 1e-6;
  return summary;
}

}  // namespace instep

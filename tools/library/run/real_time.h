// Running on a robot: its port, its guardian, and the threads of one run.
#pragma once

#include <atomic>
#include <deque>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "drivers/registry.h"
#include "runtime/file.h"
#include "runtime/health.h"
#include "runtime/realtime/guardian.h"
#include "runtime/realtime/latest_value.h"
#include "runtime/realtime/realtime_link.h"
#include "runtime/realtime/realtime_loop.h"
#include "runtime/realtime/recording_world.h"
#include "runtime/robot_world.h"
#include "runtime/settings.h"
#include "tasks/registry.h"
#include "tools/library/listen/voice.h"
#include "tools/library/measure/rights.h"
#include "tools/library/report/run_summary.h"
#include "tools/library/run/hands.h"
#include "tools/library/run/packet_store.h"

namespace instep {

struct RealTimeOptions {
  std::string device;  // its port or address
  bool is_dry_run = false;
  bool has_record = false;  // every tick goes to `record` in the run's folder, packets to `packets`
  bool is_phase_locked = true;
  int core = -1;  // that the loop's thread stays on; -1: where the system puts it
};

// Throws UsageError unless a thread of this process may run on that core (-1: none is asked for).
void require_core(int core);

// What one needs of a task to run it on a device; from the registry, or a test's own.
struct RealTimeTask {
  const DriverInfo* driver = nullptr;
  std::unique_ptr<RobotTask> robot_task;
  int observation_dim = 0;
  int action_dim = 0;
  std::int64_t period_ns = 0;
};

// A robot's channels, taken for this process alone. The first one is open, the others are opened by
// the link.
struct OpenedDevice {
  Descriptor lock;  // where the right to the device is not that of a port
  std::vector<LinkChannel> channels;
};

// Throws UsageError where the name is too long or means another kind of device, IoError where there
// is no such host.
PortAddress channel_address(const DriverChannel& channel, const std::string& name);

// Who only reads leaves the right to the device to others, where a device has room for several
// readers, and opens no channel but the first.
enum class DeviceUse { kDrive, kRead };

// Throws IoError: it cannot be opened, with what to do about it. Where the guardian of a run that
// has died still holds it, waits for that to end.
OpenedDevice open_device(const DriverInfo& driver, const std::string& device,
                         DeviceUse use = DeviceUse::kDrive);

// An opened device with everything up to the control loop's world. Making it starts the guardian
// process, so it comes before all threads.
class RealTimeDevice {
 public:
  // Throws IoError: the device cannot be opened, with what to do about it.
  RealTimeDevice(RealTimeTask task, const RealTimeOptions& options);

  RecordingWorld& recording() { return *recording_; }
  RecordingLink* recording_link() { return recording_link_.get(); }  // null: no packet is recorded
  RobotWorld& world() { return *world_; }
  const RobotWorld& world() const { return *world_; }
  RealtimeLink& link() { return *link_; }
  const RealtimeLink& link() const { return *link_; }
  Session& session() { return *session_; }
  RobotTask& robot_task() { return *task_.robot_task; }
  const DriverInfo& driver() const { return *task_.driver; }
  RobotSignals& signals() { return signals_; }
  // Stops the robot, as Ctrl-C does. Any thread.
  void stop() {
    signals_.stop = true;
    link_->set_halt(true);
  }
  TickRing& ticks() { return *ticks_; }
  const TickShape& shape() const { return shape_; }
  const RealTimeOptions& options() const { return options_; }
  std::int64_t period_ns() const { return task_.period_ns; }
  pid_t guardian_process() const { return guardian_->process(); }
  // After the link's stop(): empty where the robot's own frames showed that it stands, or where it
  // was never told to move.
  std::string standing_trouble() const;

 private:
  RealTimeTask task_;
  RealTimeOptions options_;
  TickShape shape_;
  RobotSignals signals_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<DeviceStop> stop_;
  // Let go of when the guardian has ended.
  Descriptor lock_;
  std::unique_ptr<Guardian> guardian_;
  std::unique_ptr<RealtimeLink> link_;
  std::unique_ptr<RecordingLink> recording_link_;
  std::unique_ptr<RobotWorld> world_;
  std::unique_ptr<TickRing> ticks_;
  std::unique_ptr<RecordingWorld> recording_;
};

// Throws UsageError where the task has no robot, IoError where the device cannot be opened.
std::unique_ptr<RealTimeDevice> open_device(const TaskInfo& task, const RealTimeOptions& options);

// Says once, when all threads have begun, which rights were refused. Borrows the voice.
class RightsTeller {
 public:
  // Locks memory; before threads are started.
  explicit RightsTeller(Voice& voice);
  // The errors of all real-time threads, as they are now. Any number of times.
  void tell(std::initializer_list<int> priority_errors);
  const Rights& rights() const { return rights_; }

 private:
  Voice& voice_;
  Rights rights_;
  bool has_told_ = false;
};

// Says what keeps the robot from moving as soon as its session knows, at most a line a second, and
// what the robot lacks. Borrows both.
class TroubleTeller {
 public:
  TroubleTeller(Voice& voice, const RealTimeDevice& device) : voice_(voice), device_(device) {}
  // Any number of times.
  void tell();

 private:
  Voice& voice_;
  const RealTimeDevice& device_;
  const char* error_ = "";
  std::int64_t error_ns_ = 0;
  std::uint64_t lacks_ = 0;
};

// What the loop thread of a run leaves to its writer: the record file, and the ticks since the last
// but one checkpoint, which are written out when something goes wrong. Of so many ticks that they
// pass kBytesMax only those since the last checkpoint are kept, or none until the next.
class TickStore {
 public:
  TickStore(const TickShape& shape, std::uint64_t identity, const std::string& folder);
  // The learner before the first tick. With `has_record` makes the file; see take_error().
  void begin(std::int64_t step, std::span<const std::uint8_t> snapshot, bool has_record);
  // A checkpoint; its tick is marked.
  void add_snapshot(std::int64_t step, std::span<const std::uint8_t> snapshot);
  void take(TickRing& ring);
  // Why the file had to be given up, once; it ends with a whole tick, or is not there. 0: it was
  // not.
  int take_error() { return std::exchange(error_, 0); }
  // Writes `fault.rec`. Answers a line for the user: where it is, or why it is not.
  std::string dump() const;

  // Hours of a Create 2's ticks.
  static constexpr std::size_t kBytesMax = std::size_t{32} << 20;

 private:
  // From one checkpoint to the next.
  struct Part {
    std::int64_t step = -1;
    std::vector<std::uint8_t> snapshot{};  // empty until it has come
    std::vector<std::uint8_t> frames{};
    bool is_too_long = false;  // its frames were given up
  };

  void keep(std::span<const std::uint8_t> frame);
  int append(std::span<const std::uint8_t> bytes);

  TickShape shape_;
  std::uint64_t identity_;
  std::string folder_;
  std::optional<File> file_;  // the record; none: not wanted, or given up
  std::int64_t file_bytes_ = 0;
  int error_ = 0;  // that nobody was told of yet
  std::deque<Part> parts_;
  std::size_t bytes_kept_ = 0;  // of all frames
};

// What the threads of a run have counted. On simulated time that is the loop's latency alone.
struct RunCounts {
  LoopCounts loop;
  LinkCounts link;
  std::int64_t steal_ns = 0;  // taken from this machine

  void add(const RunCounts& other);
};

// What was measured by the moment of a snapshot.
struct SnapshotMeasures {
  RunCounts counts;
  HealthSample health;  // since the last that was told of
};

// Takes what a run on a robot leaves to its writer. Called by the writer's thread.
class RunSink {
 public:
  virtual ~RunSink() = default;

  virtual void take_episode(const EpisodeRecord& episode) = 0;
  // A checkpoint is due: its bytes are in the snapshot.
  virtual void take_checkpoint(std::int64_t step, const SnapshotMeasures& measures) = 0;
  virtual void take_health(std::int64_t step, const HealthSample& sample) = 0;
  // `record` or `packets` could not be written any more; `error` as in errno.
  virtual void lose_record(const char* name, int error) = 0;
};

// How many of the learner's updates make one sample of its health.
struct HealthRhythm {
  std::int64_t updates_per_sample = 1;
  std::int64_t updates_before = 0;  // that an earlier part of the run has gathered for the first
};

// The ticks that were not as they should be, by cause and one by one, each with the time that was
// taken from this machine around it.
class OverrunTable {
 public:
  void start();  // before the first tick
  void take(TickMonitor& monitor);
  // What summaries and profiles have of it.
  OverrunSummary summary(const RealtimeCounters& counters) const;
  std::int64_t steal_ns() const { return steal_ns_ - steal_at_begin_ns_; }

 private:
  struct Row {
    Overrun overrun;
    double steal_ms = 0.0;
  };

  std::vector<Row> rows_;
  std::int64_t steal_ns_ = 0;
  std::int64_t steal_at_begin_ns_ = 0;
};

// One run on a device: starts and ends the threads, and does the writer's work in poll(). Borrows
// everything; the hands outlive it.
class RealTimeRun {
 public:
  RealTimeRun(ControlLoop& loop, Agent& agent, RealTimeDevice& device, const RunConfig& config,
              std::uint64_t identity, const std::string& folder, std::span<std::uint8_t> snapshot,
              Voice& voice, Hands& hands, RunSink& sink, const HealthRhythm& rhythm = {});
  // Stops the robot and ends the threads where finish() was not reached.
  ~RealTimeRun();

  void start();
  bool is_over() const { return loop_.is_over(); }
  std::int64_t steps() const { return loop_.steps(); }
  void poll();
  void finish();

  // After finish().
  bool is_faulted() const { return loop_.is_faulted(); }
  const SnapshotMeasures& measures() const { return measures_; }
  // `counts`: of the whole run.
  RealTimeSummary summary(const RunCounts& counts) const;

 private:
  void add_update();
  void take_packets();
  void write_loss();
  void stop();

  Agent& agent_;
  RealTimeDevice& device_;
  std::span<std::uint8_t> snapshot_;
  Voice& voice_;
  const Hands& hands_;
  RunSink& sink_;
  std::string folder_;
  LinkLoss loss_;
  TroubleTeller trouble_teller_;
  HealthRhythm rhythm_;       // the learner thread's
  HealthSample open_health_;  // likewise, while there is no snapshot
  SnapshotMeasures measures_;
  LatestValue<HealthSample> health_;
  TickStore store_;
  std::optional<PacketStore> packet_store_;
  RealtimeLoop loop_;
  std::optional<RightsTeller> rights_;  // once it has started
  OverrunTable overruns_;
  std::string trouble_;  // why the run could not go on
};

// What keeps the robot from learning, for people; empty when nothing does. A literal.
const char* status_text(RobotStatus status);
// The same with what the task, or the device behind a link that is there, has to say about it.
const char* status_text(const RobotWorld& world, const RealtimeLink& link);

// Why no episode can begin any more, for people; empty when one can. After the link's stop().
std::string trouble_text(const RealTimeDevice& device, RobotEnd end, const Session& session);

}  // namespace instep

// One training run: the loop, and everything it leaves in its folder.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/health.h"
#include "tools/library/listen/listeners.h"
#include "tools/library/listen/summary.h"
#include "tools/library/run/adaptation.h"
#include "tools/library/run/measured.h"
#include "tools/library/run/real_time.h"
#include "tools/library/run/session.h"

namespace instep {

// How a run begins, beside its configuration.
struct RunStart {
  bool is_resumed = false;  // the folder holds the run to go on with
  std::string change{};     // of the world, on the way: see WorldChange; or empty
  std::string init{};  // run folder whose weights and normaliser a new run starts from; or empty
  FileOperations operations = system_file_operations();  // behind checkpoints and episodes.csv
  RealTimeDevice* device = nullptr;                      // a robot to run on; null: simulated time
  std::string command{};                                 // as it was typed, for the summary
  std::vector<Listener*> listeners{};                    // more than every run has; borrowed
  const StopRequest* stop = nullptr;
};

// Opens the run that --init names and makes sure that its learner has the sizes and the algorithm
// of `config`'s. Throws CommandError.
std::unique_ptr<RunSession> open_init(const std::string& init, const RunConfig& config);

// A run in its folder. The constructor writes the first files of a new run, or reads those of a
// resumed one; both throw CommandError.
class TrainingRun {
 public:
  TrainingRun(const RunConfig& config, const std::string& folder, const RunStart& start);

  // Runs to the configured number of steps or until asked to stop, and completes the folder.
  // Answers the summary.
  RunSummary run();

 private:
  void start(const std::string& init);
  void take_weights(const std::string& init);
  bool has_nothing_yet();
  void resume();
  void loop();
  void loop_on_robot(Hands& hands);
  void finish_episode(const EpisodeRecord& episode);
  void judge(const HealthSample& newest, std::int64_t step);
  void checkpoint();
  void write_checkpoint(std::int64_t step);
  void write_last_checkpoint();
  void take_measured();
  void measure();
  void write_measured(const CheckpointKey& key);
  void take_change(const RunStart& start);
  void open_before_change();
  void change_world();
  void open_best();
  void close_best();
  void check(int error, const char* file) const;
  void write_own(const char* file, const std::string& contents) const;
  bool must_end() const { return is_asked(stop_) || !troubles_.why().empty(); }
  std::string advice() const;
  double own_seconds(std::int64_t now_ns) const;
  RunMoment moment(std::int64_t step) const;
  void tell_status(std::int64_t step, const char* robot);
  bool tell_checkpoint(std::int64_t step, std::int64_t episodes);
  void record_picture();
  RunSummary write_results();
  RunSummary summary();

  RunConfig config_;
  std::string folder_;
  std::string command_;
  RealTimeDevice* device_;
  const StopRequest* stop_;
  GpuLosses gpu_before_ = gpu_losses({});  // of other runs of this process
  RunSession session_;
  CheckpointFile checkpoint_;
  CheckpointFile best_;
  std::optional<WorldChange> change_;
  CheckpointFile before_change_;
  EpisodeLog log_;
  Health health_;
  HealthSample open_health_;  // of an earlier part of the run, that no listener was told of
  std::int64_t health_interval_ = 1;
  std::vector<std::uint8_t> snapshot_;
  Voice voice_;
  Troubles troubles_;
  ServiceNotice notice_;
  std::vector<std::unique_ptr<Listener>> own_listeners_;
  std::vector<Listener*> listeners_;  // all, in the order in which they are told
  MonotonicClock clock_;
  std::int64_t first_step_ = 0;
  std::int64_t best_since_step_ = -1;  // of a resumed run: when its best episodes had ended
  std::int64_t begin_ns_ = 0;
  std::int64_t end_ns_ = 0;
  std::unique_ptr<Measured> earlier_;     // in other parts of the run
  SnapshotMeasures own_;                  // in this one
  std::unique_ptr<Measured> whole_;       // in all
  std::optional<MeasuredFile> measured_;  // none: given up
  bool is_faulted_ = false;
  std::optional<RealTimeSummary> real_time_;  // of a run on a robot
};

}  // namespace instep

#include "tools/library/run/training_run.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>

#include "kernels/check.h"
#include "kernels/seal.h"
#include "tools/library/error.h"
#include "tools/library/report/report.h"
#include "tools/library/report/run_record.h"
#include "tools/library/run/adaptation_json.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/settings_io.h"

namespace instep {
namespace {

constexpr std::int64_t kHealthSamples = 500;       // of a whole run
constexpr std::int64_t kHealthIntervalMin = 1000;  // steps

}  // namespace

TrainingRun::TrainingRun(const RunConfig& config, const std::string& folder,
                         const RunStart& start_from)
    : config_(config),
      folder_(folder),
      command_(start_from.command),
      device_(start_from.device),
      stop_(start_from.stop),
      session_(device_ == nullptr ? RunSession(config) : RunSession(config, device_->recording())),
      checkpoint_(config.settings.checkpoint_every, start_from.operations),
      best_(0, start_from.operations),
      before_change_(0, start_from.operations),
      log_(start_from.operations),
      health_interval_(std::max(kHealthIntervalMin, config.steps / kHealthSamples)),
      voice_(STDERR_FILENO),
      troubles_(folder, voice_),
      own_listeners_(
          make_listeners({config_, folder_, voice_, troubles_, log_, notice_, device_ != nullptr})),
      earlier_(std::make_unique<Measured>()),
      whole_(std::make_unique<Measured>()) {
  for (const auto& listener : own_listeners_) listeners_.push_back(listener.get());
  listeners_.insert(listeners_.end(), start_from.listeners.begin(), start_from.listeners.end());
  snapshot_.resize(session_.loop().snapshot_bytes());
  take_change(start_from);
  if (start_from.is_resumed) {
    resume();
  } else {
    start(start_from.init);
  }
  first_step_ = session_.loop().steps();
}

void TrainingRun::check(int error, const char* file) const {
  if (error == 0) return;
  throw IoError(system_trouble(folder_ + '/' + file + ": cannot be written", error) + advice());
}

// One of the files that a run cannot be without.
void TrainingRun::write_own(const char* file, const std::string& contents) const {
  try {
    write_file(folder_ + '/' + file, contents);
  } catch (const IoError& error) {
    throw IoError(error.what() + advice());
  }
}

// What a file that cannot be written means for the run.
std::string TrainingRun::advice() const {
  std::string kept;
  if (checkpoint_.step() >= 0) {
    kept =
        "the last checkpoint, of step " + std::to_string(checkpoint_.step()) + ", still stands: ";
  }
  return "; " + kept + "go on with --resume " + folder_;
}

void TrainingRun::start(const std::string& init) {
  if (!init.empty()) take_weights(init);
  const std::string config = write_config_toml(config_);
  if (init.empty()) write_file(folder_ + "/config.toml", config);
  if (change_ && change_->step == 0) change_world();
  check(checkpoint_.create(folder_ + "/checkpoint", session_.identity(), snapshot_.size()),
        "checkpoint");
  std::filesystem::remove(folder_ + "/episodes.csv");
  check(log_.create(folder_ + "/episodes.csv"), "episodes.csv");
  // A robot's first episode begins with homing, in the loop's own thread.
  if (device_ == nullptr && !session_.loop().start())
    throw DataError("the first action is not finite; nothing was learnt");
  check(sync_folder(folder_), "checkpoint");  // both files' names are as durable as what follows
  measured_.emplace();
  if (const int error = measured_->make(folder_ + '/' + MeasuredFile::kName)) {
    troubles_.leave_out(error, MeasuredFile::kName);
    measured_.reset();
  }
  checkpoint();
  if (!troubles_.why().empty()) throw IoError(troubles_.why() + advice());
  // Only the checkpoint knows these weights: before it stands, --resume must not find a run.
  if (!init.empty()) write_file(folder_ + "/config.toml", config);
}

std::unique_ptr<RunSession> open_init(const std::string& init, const RunConfig& wanted) {
  require_run_folder(init);
  RunConfig config = read_config_toml(init + "/config.toml");
  config.path.clear();  // weights are weights, whatever computed them
  auto other = open_session(init, config);
  RunConfig trial = wanted;
  trial.path.clear();
  if (!RunSession(trial).agent().take_weights(other->agent())) {
    throw UsageError("--init " + init +
                     ": its learner has other sizes or another algorithm than this run's");
  }
  return other;
}

// A new run from another's weights and normaliser; its optimiser, statistics of rewards and
// counters start afresh.
void TrainingRun::take_weights(const std::string& init) {
  const std::unique_ptr<RunSession> other = open_init(init, config_);
  const bool is_taken = session_.agent().take_weights(other->agent());
  INSTEP_CHECK(is_taken);
}

// A run that was killed in its first moments has no checkpoint, and nothing that could be lost.
bool TrainingRun::has_nothing_yet() {
  const CheckpointStatus status = checkpoint_.open(folder_ + "/checkpoint", false);
  const bool is_missing =
      status == CheckpointStatus::kNothingYet ||
      (status == CheckpointStatus::kSystemError && checkpoint_.error() == ENOENT);
  // The results come second: after a crash the last lines of episodes.csv may be torn, and a
  // checkpoint knows which ones count.
  return is_missing && !has_results(folder_);
}

void TrainingRun::resume() {
  if (has_nothing_yet()) {
    std::filesystem::remove(folder_ + "/checkpoint");
    start("");
    return;
  }
  open_checkpoint(checkpoint_, folder_, true);
  if (checkpoint_.identity() == session_.identity() &&
      checkpoint_.snapshot().size() != snapshot_.size()) {
    const bool is_robots = checkpoint_.snapshot().size() == session_.loop().bytes_without_world();
    if (!is_robots && !session_.is_on_robot()) {
      throw UsageError("--resume " + folder_ +
                       ": another version of this program made it, with another simulated robot; "
                       "start a new run from its weights with --init " +
                       folder_);
    }
    throw UsageError("--resume " + folder_ +
                     ": a run on a robot goes on with --time real and --device, one in simulation "
                     "without; --init takes the weights over from one to the other");
  }
  session_.load(checkpoint_, folder_ + "/checkpoint");
  if (config_.steps < checkpoint_.step()) {
    throw UsageError("--steps " + std::to_string(config_.steps) + ": the run has already made " +
                     std::to_string(checkpoint_.step()) + "; --steps is the total");
  }
  // The episode that a robot was in when it was left has been closed as truncated.
  const EpisodeRecord& cut = session_.loop().last_episode();
  const std::int64_t whole_episodes = session_.loop().state().episodes - (cut.episode > 0 ? 1 : 0);
  const int error = log_.open_at(folder_ + "/episodes.csv", checkpoint_.step(), whole_episodes);
  if (error == EBADMSG) {
    throw DataError(folder_ +
                    "/episodes.csv: is damaged or lacks episodes that the checkpoint counts; "
                    "restore it from a copy, or start a new run from these weights with --init " +
                    folder_);
  }
  if (error == ENOENT) {
    throw DataError(folder_ +
                    "/episodes.csv: is missing, and a run goes on only with its episodes; restore "
                    "it from a copy, or start a new run from these weights with --init " +
                    folder_);
  }
  check(error, "episodes.csv");
  take_measured();
  if (cut.episode > 0) {
    check(log_.add(cut, log_.last_seconds()), "episodes.csv");
    check(log_.flush(), "episodes.csv");
  }
  for (const Episode& episode : read_episodes(folder_ + "/episodes.csv")) {
    if (!std::isfinite(episode.return_sum)) continue;
    health_.add_episode(episode.return_sum, static_cast<std::int64_t>(episode.length),
                        static_cast<std::int64_t>(episode.step));
    for (Listener* listener : listeners_) listener->past_episode(episode.return_sum);
    if (health_.take_new_best()) best_since_step_ = static_cast<std::int64_t>(episode.step);
  }
  write_own("config.toml", write_config_toml(config_));
  std::error_code ignored;
  for (const char* stale : {"/summary.json", "/report.html", "/episode.json"}) {
    std::filesystem::remove(folder_ + stale, ignored);
  }
}

// What was measured up to the checkpoint that the run goes on from.
void TrainingRun::take_measured() {
  const std::string path = folder_ + '/' + MeasuredFile::kName;
  const std::int64_t step = checkpoint_.step();
  measured_.emplace();
  const int error = measured_->open(path);
  if (error != 0 || !measured_->read(checkpoint_.key(), *earlier_)) {
    *earlier_ = {.since_step = step, .seconds_before = log_.last_seconds()};
    voice_.say("instep: " + path + ": holds nothing that belongs to the checkpoint of step " +
               std::to_string(step) + "; measured times and counters start anew there");
  }
  if (error != 0) {
    troubles_.leave_out(error, MeasuredFile::kName);
    measured_.reset();
  }
  OpenPoint& point = earlier_->point;
  if (point.step > step || earlier_->since_step == step) point = {.step = step};
  open_health_ = point.health;
  health_.remember(earlier_->health);
}

// Everything that was measured so far, in *whole_.
void TrainingRun::measure() {
  if (device_ == nullptr) {
    own_.counts.loop.latency = session_.loop().latency();
    own_.health = session_.agent().peek_health();
  }
  const RunMoment now = moment(session_.loop().steps());
  Measured& whole = *whole_;
  whole = *earlier_;
  whole.seconds += own_seconds(now.now_ns);
  whole.counts.add(own_.counts);
  for (const Listener* listener : listeners_) listener->save(now, whole);
  whole.point.health = joined(open_health_, own_.health);
  whole.health = health_.memory();
  const GpuLosses gpu = gpu_losses(earlier_->gpu);
  whole.gpu = {gpu.fallbacks - gpu_before_.fallbacks, gpu.updates_lost - gpu_before_.updates_lost,
               gpu.seconds_lost - gpu_before_.seconds_lost};
}

// Before the checkpoint that it belongs to.
void TrainingRun::write_measured(const CheckpointKey& key) {
  measure();
  const int error = measured_ ? measured_->write(key, *whole_) : 0;
  if (error == 0) return;
  troubles_.leave_out(error, MeasuredFile::kName);
  measured_.reset();
}

// Of the loop, in this process.
double TrainingRun::own_seconds(std::int64_t now_ns) const {
  return begin_ns_ == 0 ? 0.0 : static_cast<double>(now_ns - begin_ns_) * 1e-9;
}

// The clock stands still for a run when its loop has ended.
RunMoment TrainingRun::moment(std::int64_t step) const {
  const std::int64_t now_ns = end_ns_ > 0 ? end_ns_ : clock_.now_ns();
  return {step, now_ns, earlier_->seconds_before + earlier_->seconds + own_seconds(now_ns)};
}

bool TrainingRun::tell_checkpoint(std::int64_t step, std::int64_t episodes) {
  const RunMoment now = moment(step);
  bool may_be_written = true;
  for (Listener* listener : listeners_) {
    may_be_written = listener->checkpoint(now, episodes) && may_be_written;
  }
  return may_be_written;
}

void TrainingRun::checkpoint() {
  session_.loop().save_snapshot(snapshot_);
  write_checkpoint(session_.loop().steps());
}

// Listeners first: a checkpoint must never count what their files have not.
void TrainingRun::write_checkpoint(std::int64_t step) {
  if (!tell_checkpoint(step, ControlLoop::episodes_in(snapshot_))) return;
  const CheckpointKey key = checkpoint_.prepare(step, snapshot_);
  write_measured(key);
  const int error = checkpoint_.write(key, snapshot_);
  troubles_.end_run(error, "checkpoint");
  if (error == 0 && measured_) measured_->keep();
  if (health_.take_new_best()) {
    troubles_.end_run(best_.write(step, snapshot_), "best/checkpoint");
  }
}

// What happens to the world is kept beside the run, so that --resume knows it.
void TrainingRun::take_change(const RunStart& start_from) {
  const std::string path = folder_ + '/' + WorldChange::kName;
  if (!start_from.is_resumed && !start_from.change.empty()) {
    change_ = parse_change(start_from.change);
    write_file(path, start_from.change + '\n');
  } else if (std::filesystem::exists(path)) {
    change_ = read_change(path);
  }
  if (change_) check_change(*change_, session_.task());
}

// The run as it was before its world changed: a run folder of its own, as best/ is.
void TrainingRun::open_before_change() {
  const std::string folder = folder_ + '/' + WorldChange::kFolder;
  make_folders(folder);
  write_own("before_change/config.toml", write_config_toml(config_));
  std::filesystem::remove(folder + "/checkpoint");
  check(before_change_.create(folder + "/checkpoint", session_.identity(), snapshot_.size()),
        "before_change/checkpoint");
}

void TrainingRun::change_world() {
  if (change_->step > 0) {
    session_.loop().save_snapshot(snapshot_);
    check(before_change_.write(change_->step, snapshot_), "before_change/checkpoint");
  }
  apply_change(*change_, session_.world());
}

// best/ is a run folder of its own as far as eval and --init go: the configuration and a
// checkpoint. Both are made before the loop, which allocates nothing and opens no file.
void TrainingRun::open_best() {
  const std::string folder = folder_ + "/best";
  const std::string path = folder + "/checkpoint";
  make_folders(folder);
  write_own("best/config.toml", write_config_toml(config_));
  const CheckpointStatus status = best_.open(path, true);
  const bool is_whole =
      status == CheckpointStatus::kOk || status == CheckpointStatus::kOkButNewestDamaged;
  // What an earlier part of this run kept stands until there is better.
  const bool stands = is_whole && best_.identity() == session_.identity() &&
                      best_.step() <= first_step_ && best_.snapshot().size() == snapshot_.size();
  // One of a moment after the checkpoint that the run goes on from is made again.
  const bool is_damaged = status != CheckpointStatus::kSystemError &&
                          status != CheckpointStatus::kNothingYet &&
                          (!is_whole || best_.identity() != session_.identity());
  if (is_damaged) {
    voice_.say("instep: warning: " + path +
               ": is damaged, or of another run, and is replaced: no weights are kept as the best "
               "until there are better ones than before");
  }
  if (!stands) {
    std::filesystem::remove(path);
    check(best_.create(path, session_.identity(), snapshot_.size()), "best/checkpoint");
  }
  // A run that was killed between its last checkpoint and the copy of it here.
  const std::int64_t interval_begin = first_step_ - config_.settings.checkpoint_every;
  if (best_since_step_ > std::max(best_.step(), interval_begin)) {
    check(best_.write(first_step_, checkpoint_.snapshot()), "best/checkpoint");
  }
}

// Leaves no folder where nothing was kept.
void TrainingRun::close_best() {
  std::error_code ignored;
  if (best_.step() < 0) std::filesystem::remove_all(folder_ + "/best", ignored);
}

void TrainingRun::finish_episode(const EpisodeRecord& episode) {
  const RunMoment now = moment(episode.step);
  for (Listener* listener : listeners_) listener->episode(now, episode);
  health_.add_episode(episode.episode_return, episode.length, episode.step);
}

void TrainingRun::judge(const HealthSample& newest, std::int64_t step) {
  const HealthSample sample = joined(open_health_, newest);
  open_health_ = {};
  health_.add_sample(sample, step);
  const RunMoment now = moment(step);
  for (Listener* listener : listeners_) listener->health(now, sample);
}

void TrainingRun::tell_status(std::int64_t step, const char* robot) {
  const RunMoment now = moment(step);
  const RunStatus status = {health_.warnings(), robot};
  for (Listener* listener : listeners_) listener->status(now, status);
}

void TrainingRun::loop() {
  const Seal seal;
  ControlLoop& loop = session_.loop();
  Agent& agent = session_.agent();
  const std::int64_t every = config_.settings.checkpoint_every;
  while (loop.steps() < config_.steps && !must_end()) {
    if (change_ && change_->step > 0 && loop.steps() == change_->step) change_world();
    const ControlLoop::Status status = loop.tick();
    if (status != ControlLoop::Status::kRunning) finish_episode(loop.last_episode());
    if (status == ControlLoop::Status::kFaulted) {
      is_faulted_ = true;
      return;
    }
    agent.gather_health();
    tell_status(loop.steps(), "");
    if (loop.steps() % health_interval_ == 0) judge(agent.take_health(), loop.steps());
    if (loop.steps() % every == 0) checkpoint();
  }
}

// This thread is the writer: it does everything that may wait, while the loop has its own thread.
void TrainingRun::loop_on_robot(Hands& hands) {
  struct Sink final : RunSink {
    explicit Sink(TrainingRun& owner) : of(owner) {}
    void take_episode(const EpisodeRecord& episode) override { of.finish_episode(episode); }
    void take_checkpoint(std::int64_t step, const SnapshotMeasures& measures) override {
      of.own_ = measures;
      of.write_checkpoint(step);
    }
    void take_health(std::int64_t step, const HealthSample& health) override {
      of.judge(health, step);
    }
    void lose_record(const char* name, int error) override { of.troubles_.leave_out(error, name); }
    TrainingRun& of;
  } sink(*this);
  RealTimeRun run(session_.loop(), session_.agent(), *device_, config_,
                  session_.identity().settings_hash, folder_, snapshot_, voice_, hands, sink,
                  {.updates_per_sample = health_interval_, .updates_before = open_health_.ticks});
  run.start();
  constexpr std::int64_t kPollNs = 20'000'000;
  while (!run.is_over()) {
    sleep_until(clock_.now_ns() + kPollNs);
    run.poll();
    if (!troubles_.why().empty()) device_->stop();
    tell_status(run.steps(), status_text(device_->world(), device_->link()));
  }
  run.finish();
  is_faulted_ = run.is_faulted();
  own_ = run.measures();
  measure();
  real_time_ = run.summary(whole_->counts);
}

RunSummary TrainingRun::run() {
  open_best();
  if (change_ && change_->step >= first_step_ && change_->step > 0) open_before_change();
  begin_ns_ = clock_.now_ns();
  const RunMoment begin = moment(first_step_);
  for (Listener* listener : listeners_) listener->begin(begin, *earlier_);
  std::optional<Hands> hands;
  if (device_ != nullptr) {
    hands.emplace(Hands::Body{device_->signals(), device_->link(), device_->world(), voice_,
                              notice_, device_->options().device, stop_});
  }
  hands ? loop_on_robot(*hands) : loop();
  end_ns_ = clock_.now_ns();
  const RunMoment end = moment(session_.loop().steps());
  for (Listener* listener : listeners_) listener->end(end);
  const bool was_seen = device_ == nullptr || device_->link().stood().value_or(true);
  if (hands) hands->is_at(was_seen ? kWritingCheckpoint : kWritingCheckpointUnseen);
  write_last_checkpoint();
  if (hands) hands->is_at(was_seen ? kWritingResults : kWritingResultsUnseen);
  return write_results();
}

// A faulted learner is kept out of the checkpoint: the last good one stands.
void TrainingRun::write_last_checkpoint() {
  const std::int64_t step = session_.loop().steps();
  if (!is_faulted_ && step != checkpoint_.step()) {
    checkpoint();
  } else {
    static_cast<void>(tell_checkpoint(step, 0));
    is_faulted_ ? measure() : write_measured(checkpoint_.key());
  }
  close_best();
}

// What is told about the run. It learnt what it learnt even where there is no room for this, and
// the report can be made again.
RunSummary TrainingRun::write_results() {
  RunSummary result = summary();
  const auto optional = [&](const char* file, const std::function<void()>& write) {
    try {
      write();
    } catch (const CommandError& error) {
      voice_.say(std::string("instep: warning: ") + error.what() +
                 "; the run is complete without it");
      result.left_out.emplace_back(file);
    }
  };
  for (Listener* listener : listeners_) listener->complete(result);
  const bool is_changed = change_ && change_->step > 0 && change_->step < checkpoint_.step();
  if (is_changed && !is_faulted_) {
    voice_.say("comparing with frozen copies, which make as many steps each...");
    const auto adaptation = compare_with_frozen(config_, folder_, *change_, checkpoint_.step());
    optional(WorldChange::kResultName, [&] {
      write_file(folder_ + '/' + WorldChange::kResultName,
                 json_text(to_json(adaptation), 2) + '\n');
    });
  }
  optional(RecordedEpisode::kName, [&] { record_picture(); });
  optional("report.html", [&] {
    const RunRecord record = read_run_record(folder_);
    write_file(folder_ + "/report.html", render_report({&record, 1}));
  });
  if (!troubles_.why().empty()) throw IoError(troubles_.why() + advice());
  return result;
}

// Comes last of all: the policy takes the learner's tapes for its own, and the world is reset.
void TrainingRun::record_picture() {
  if (is_faulted_) return;
  const auto episode = record_episode(session_, config_.seed);
  if (episode) write_file(folder_ + '/' + RecordedEpisode::kName, to_text(*episode));
}

RunSummary TrainingRun::summary() {
  const std::int64_t steps = session_.loop().steps();
  RunFacts facts;
  facts.config = config_;
  facts.ended = is_faulted_ ? "faulted" : steps < config_.steps ? "interrupted" : "done";
  facts.steps = steps;
  facts.episodes = session_.loop().state().episodes;
  facts.measured_since_step = whole_->since_step;
  facts.seconds = whole_->seconds_before + whole_->seconds;
  facts.steps_per_second = whole_->steps_per_second(steps);
  facts.gpu = whole_->gpu;
  facts.agent = &session_.agent();
  facts.latency = &whole_->counts.loop.latency;
  facts.snapshot_bytes = snapshot_.size();
  facts.speed = &whole_->speed;
  facts.folder = folder_;
  facts.command = command_;
  facts.health = health_.memory();
  facts.real_time = real_time_;
  RunSummary result = summarize(facts);
  result.left_out = troubles_.left_out();
  return result;
}

}  // namespace instep

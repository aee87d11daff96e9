#include "tools/instep/train.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "runtime/memory.h"
#include "tools/instep/episode_log.h"
#include "tools/instep/error.h"
#include "tools/instep/names.h"
#include "tools/instep/progress.h"
#include "tools/instep/report.h"
#include "tools/instep/run_folder.h"
#include "tools/instep/run_record.h"
#include "tools/instep/session.h"
#include "tools/instep/settings_io.h"
#include "tools/instep/summary.h"

namespace instep {
namespace {

volatile std::sig_atomic_t stop_requested = 0;

// The first Ctrl-C (or SIGTERM) asks the loop to stop after its tick; a second one kills. Nobody
// reading the progress any more is no reason to stop.
void install_stop_handler() {
  std::signal(SIGPIPE, SIG_IGN);
  struct sigaction action {};
  action.sa_handler = [](int) { stop_requested = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

// ---------------------------------------------------------------------------------------------------
// From options to a configuration

RunConfig new_config(const TrainOptions& options) {
  check_backend(options.backend);
  const TaskInfo& task = require_task(options.task);
  RunConfig config;
  config.task = options.task;
  config.settings.learner = task.settings;
  if (options.algorithm == "iac") config.settings.learner.algorithm = Algorithm::kIac;
  if (!options.config_file.empty()) apply_config_file(config.settings, options.config_file);
  apply_set_options(config.settings, options.set);
  config.steps = options.steps.value_or(task.default_steps);
  config.seed = options.seed.value_or(0);
  config.schedule = options.schedule.value_or(Schedule::kThroughput);
  config.path = choose_executor(options.path, config.settings.learner.arithmetic).path;
  return config;
}

// The configuration of the run in a folder, with what may change on resume: the number of steps,
// and with
// --allow-different-arithmetic how it is computed.
RunConfig resumed_config(const TrainOptions& options) {
  if (!options.set.empty() || !options.config_file.empty() || !options.algorithm.empty() ||
      options.seed || !options.out.empty()) {
    throw UsageError(
        "--resume goes on with the settings the run was started with: leave out --set, --config, "
        "--algo, "
        "--seed and --out");
  }
  check_backend(options.backend);
  require_run_folder(options.resume);
  RunConfig config = read_config_toml(options.resume + "/config.toml");
  if (!options.task.empty() && options.task != config.task) {
    throw UsageError("--resume " + options.resume + ": is a run of task " + config.task + ", not " +
                     options.task);
  }
  if (options.steps) config.steps = *options.steps;
  const Arithmetic arithmetic = config.settings.learner.arithmetic;
  const Schedule schedule = options.schedule.value_or(config.schedule);
  const std::string path = options.path.empty() ? config.path : options.path;
  const bool is_same = schedule == config.schedule && path == config.path &&
                       find_executor(path, arithmetic) != nullptr;
  if (!is_same && !options.allow_different_arithmetic) {
    throw UsageError(
        "--resume " + options.resume + ": the run was made with path " + config.path +
        " and schedule " + std::string(schedule_name(config.schedule)) +
        (find_executor(config.path, arithmetic) == nullptr ? ", which this machine lacks" : "") +
        "; add --allow-different-arithmetic to go on with another one");
  }
  config.schedule = schedule;
  config.path = find_executor(path, arithmetic) != nullptr || !options.path.empty()
                    ? choose_executor(path, arithmetic).path
                    : choose_executor("", arithmetic).path;
  return config;
}

// ---------------------------------------------------------------------------------------------------
// One run

class TrainingRun {
 public:
  // A new run in an empty folder, or the run that the folder holds.
  TrainingRun(const RunConfig& config, const std::string& folder, bool is_resumed);

  // Runs to the configured number of steps or until asked to stop, and completes the folder.
  // Answers the summary.
  nlohmann::json run(bool shows_progress);

 private:
  void start();
  bool has_nothing_yet();
  void resume();
  void loop(Progress& progress);
  void checkpoint();
  void check(int error, const char* file) const;
  double seconds() const;
  nlohmann::json summarize() const;

  RunConfig config_;
  std::string folder_;
  Session session_;
  CheckpointFile checkpoint_;
  EpisodeLog log_;
  std::vector<std::uint8_t> snapshot_;
  SpeedRecord speed_;
  MonotonicClock clock_;
  std::int64_t first_step_ = 0;
  std::int64_t begin_ns_ = 0;
  std::int64_t end_ns_ = 0;
  double earlier_seconds_ = 0.0;
  bool is_faulted_ = false;
};

TrainingRun::TrainingRun(const RunConfig& config, const std::string& folder, bool is_resumed)
    : config_(config),
      folder_(folder),
      session_(config),
      checkpoint_(config.settings.checkpoint_every),
      speed_(config.steps) {
  snapshot_.resize(session_.loop().snapshot_bytes());
  if (is_resumed) {
    resume();
  } else {
    start();
  }
  first_step_ = session_.loop().steps();
}

void TrainingRun::check(int error, const char* file) const {
  if (error == 0) return;
  std::string kept;
  if (checkpoint_.step() >= 0) {
    kept =
        "; the last checkpoint, of step " + std::to_string(checkpoint_.step()) + ", still stands";
  }
  throw IoError(folder_ + '/' + file + ": cannot be written: " + std::strerror(error) + kept +
                ": make room or mend the medium, then go on with --resume " + folder_);
}

void TrainingRun::start() {
  write_file(folder_ + "/config.toml", write_config_toml(config_));
  // The checkpoint first: it takes the folder for this process.
  check(checkpoint_.create(folder_ + "/checkpoint", session_.identity(), snapshot_.size()),
        "checkpoint");
  std::filesystem::remove(folder_ + "/episodes.csv");
  check(log_.create(folder_ + "/episodes.csv"), "episodes.csv");
  if (!session_.loop().start())
    throw DataError("the first action is not finite; nothing was learnt");
  checkpoint();
}

// A run that was killed in its first moments has no checkpoint, and nothing that could be lost.
bool TrainingRun::has_nothing_yet() {
  const std::string episodes = folder_ + "/episodes.csv";
  if (std::filesystem::exists(episodes) && !read_episodes(episodes).empty()) return false;
  const CheckpointStatus status = checkpoint_.open(folder_ + "/checkpoint", true);
  return status == CheckpointStatus::kNothingYet ||
         (status == CheckpointStatus::kSystemError && checkpoint_.error() == ENOENT);
}

void TrainingRun::resume() {
  if (has_nothing_yet()) {
    std::filesystem::remove(folder_ + "/checkpoint");
    start();
    return;
  }
  open_checkpoint(checkpoint_, folder_, true);
  session_.load(checkpoint_, folder_ + "/checkpoint");
  if (config_.steps < checkpoint_.step()) {
    throw UsageError("--steps " + std::to_string(config_.steps) + ": the run has already made " +
                     std::to_string(checkpoint_.step()) + "; --steps is the total");
  }
  const int error =
      log_.open_at(folder_ + "/episodes.csv", checkpoint_.step(), session_.loop().state().episodes);
  if (error == EBADMSG) {
    throw DataError(folder_ +
                    "/episodes.csv: is damaged or lacks episodes that the checkpoint counts");
  }
  check(error, "episodes.csv");
  earlier_seconds_ = log_.last_seconds();
  write_file(folder_ + "/config.toml", write_config_toml(config_));
  std::error_code ignored;
  for (const char* stale : {"/summary.json", "/report.html"}) {
    std::filesystem::remove(folder_ + stale, ignored);
  }
}

double TrainingRun::seconds() const {
  return earlier_seconds_ + static_cast<double>(clock_.now_ns() - begin_ns_) * 1e-9;
}

// Episodes first: a checkpoint must never count an episode that the file has not.
void TrainingRun::checkpoint() {
  check(log_.sync(), "episodes.csv");
  session_.loop().save_snapshot(snapshot_);
  check(checkpoint_.write(session_.loop().steps(), snapshot_), "checkpoint");
}

void TrainingRun::loop(Progress& progress) {
  ControlLoop& loop = session_.loop();
  const std::int64_t every = config_.settings.checkpoint_every;
  while (loop.steps() < config_.steps && stop_requested == 0) {
    const ControlLoop::Status status = loop.tick();
    const std::int64_t now_ns = clock_.now_ns();
    if (status != ControlLoop::Status::kRunning) {
      check(log_.add(loop.last_episode(), seconds()), "episodes.csv");
      progress.add_return(loop.last_episode().episode_return);
    }
    if (status == ControlLoop::Status::kFaulted) {
      is_faulted_ = true;
      return;
    }
    speed_.add(loop.steps(), now_ns);
    progress.update(loop.steps(), now_ns);
    if (loop.steps() % every == 0) checkpoint();
  }
}

nlohmann::json TrainingRun::run(bool shows_progress) {
  install_stop_handler();
  Progress progress(config_.task, config_.seed, config_.steps, first_step_, shows_progress);
  begin_ns_ = clock_.now_ns();
  speed_.start(first_step_, begin_ns_);
  progress.start(begin_ns_);
  seal();
  try {
    loop(progress);
  } catch (...) {
    unseal();
    throw;
  }
  unseal();
  end_ns_ = clock_.now_ns();
  progress.finish(session_.loop().steps(), end_ns_);
  // A faulted learner is kept out of the checkpoint: the last good one stands.
  if (is_faulted_) {
    check(log_.sync(), "episodes.csv");
  } else if (session_.loop().steps() != checkpoint_.step()) {
    checkpoint();
  }
  const nlohmann::json summary = summarize();
  write_file(folder_ + "/summary.json", json_text(summary, 2) + '\n');
  const RunRecord record = read_run_record(folder_);
  write_file(folder_ + "/report.html", render_report({&record, 1}));
  return summary;
}

nlohmann::json TrainingRun::summarize() const {
  // The loop is not const only because taking a snapshot flushes; reading it changes nothing.
  auto& session = const_cast<Session&>(session_);
  const std::int64_t steps = session.loop().steps();
  RunSummary summary;
  summary.config = config_;
  summary.ended = is_faulted_ ? "faulted" : steps < config_.steps ? "interrupted" : "done";
  summary.steps = steps;
  summary.episodes = session.loop().state().episodes;
  summary.steps_per_second = steps > first_step_ && end_ns_ > begin_ns_
                                 ? static_cast<double>(steps - first_step_) * 1e9 /
                                       static_cast<double>(end_ns_ - begin_ns_)
                                 : 0.0;
  summary.learner = &session.agent().learner();
  summary.latency = &session.loop().latency();
  summary.snapshot_bytes = snapshot_.size();
  summary.speed = &speed_;
  summary.folder = folder_;
  return to_json(summary);
}

// ---------------------------------------------------------------------------------------------------
// What is printed

std::string number_text(const nlohmann::json& value, int decimals) {
  if (!value.is_number()) return "none yet";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value.get<double>());
  return text;
}

void print_summary(const nlohmann::json& summary, bool json) {
  const auto folder = summary.at("out").get<std::string>();
  std::printf(
      "%s after %lld steps, %lld episodes, %s steps/s, mean return of the last eighth: %s\n",
      summary.at("ended").get<std::string>().c_str(),
      static_cast<long long>(summary.at("steps").get<std::int64_t>()),
      static_cast<long long>(summary.at("episodes").get<std::int64_t>()),
      number_text(summary.at("steps_per_second"), 0).c_str(),
      number_text(summary.at("mean_return_last_eighth"), 1).c_str());
  std::printf("report: %s/report.html\n", folder.c_str());
  if (json) std::printf("%s\n", json_text(short_summary(summary)).c_str());
  std::fflush(stdout);
}

int exit_code(const nlohmann::json& summary) {
  return summary.at("ended") == "faulted" ? kCheckFailed : kDone;
}

// ---------------------------------------------------------------------------------------------------
// Several seeds

struct SeedRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

SeedRange parse_seeds(const std::string& text) {
  const std::size_t dots = text.find("..");
  SeedRange range;
  const auto parse = [&](std::string_view part) {
    std::uint64_t value = 0;
    const auto result = std::from_chars(part.data(), part.data() + part.size(), value);
    if (part.empty() || result.ec != std::errc() || result.ptr != part.data() + part.size()) {
      throw UsageError("--seeds " + text +
                       ": write two numbers and two dots between them, as in 0..4");
    }
    return value;
  };
  if (dots == std::string::npos) throw UsageError("--seeds " + text + ": write it as in 0..4");
  range.first = parse(std::string_view(text).substr(0, dots));
  range.last = parse(std::string_view(text).substr(dots + 2));
  if (range.last < range.first || range.last - range.first >= 1000) {
    throw UsageError("--seeds " + text + ": must name 1 to 1000 seeds in rising order");
  }
  return range;
}

// One seed in a process of its own: runs share nothing, and one that dies takes no other with it.
pid_t spawn_run(const RunConfig& config, const std::string& folder) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) throw IoError(std::string("cannot start a process: ") + std::strerror(errno));
  if (child > 0) return child;
  int code = kDone;
  try {
    code = exit_code(TrainingRun(config, folder, false).run(true));
  } catch (const CommandError& error) {
    std::fprintf(stderr, "instep: seed %llu: %s\n", static_cast<unsigned long long>(config.seed),
                 error.what());
    code = error.code();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "instep: seed %llu: %s\n", static_cast<unsigned long long>(config.seed),
                 error.what());
    code = kDeviceError;
  }
  std::fflush(nullptr);
  _exit(code);
}

// Waits for one of the running processes; answers its exit code.
int wait_for_one(std::map<pid_t, std::uint64_t>& running) {
  int status = 0;
  pid_t child = -1;
  do {
    child = waitpid(-1, &status, 0);
    if (child < 0 && stop_requested != 0) {
      for (const auto& [process, seed] : running) kill(process, SIGTERM);
    }
  } while (child < 0 && errno == EINTR);
  const std::uint64_t seed = running[child];
  running.erase(child);
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  std::fprintf(stderr, "instep: seed %llu was ended by signal %d\n",
               static_cast<unsigned long long>(seed), WTERMSIG(status));
  return kDeviceError;
}

int train_seeds(const TrainOptions& options) {
  if (!options.resume.empty() || options.seed) {
    throw UsageError("--seeds cannot be combined with --resume or --seed");
  }
  if (options.jobs < 1) throw UsageError("--jobs must be at least 1");
  const SeedRange seeds = parse_seeds(options.seeds);
  RunConfig config = new_config(options);
  config.seed = seeds.first;
  const std::string parent = options.out.empty() ? "" : make_run_folder(options.out, config);
  std::vector<std::string> folders;
  std::map<pid_t, std::uint64_t> running;
  int worst = kDone;
  install_stop_handler();
  for (std::uint64_t seed = seeds.first; stop_requested == 0; ++seed) {
    config.seed = seed;
    const std::string out = parent.empty() ? "" : parent + "/s" + std::to_string(seed);
    folders.push_back(make_run_folder(out, config));
    running[spawn_run(config, folders.back())] = seed;
    if (static_cast<int>(running.size()) >= options.jobs) {
      worst = std::max(worst, wait_for_one(running));
    }
    if (seed == seeds.last) break;
  }
  while (!running.empty()) worst = std::max(worst, wait_for_one(running));

  std::vector<RunRecord> records;
  for (const std::string& folder : folders) {
    RunRecord record = read_run_record(folder);
    if (record.summary.is_object()) records.push_back(std::move(record));
  }
  const nlohmann::json summary = summarize_seeds(records, config, parent);
  for (const auto& run : summary.at("runs")) {
    std::printf("seed %-4llu mean return of the last eighth %10s  %s\n",
                static_cast<unsigned long long>(run.at("seed").get<std::uint64_t>()),
                number_text(run.at("mean_return_last_eighth"), 1).c_str(),
                run.at("out").get<std::string>().c_str());
  }
  std::printf("%s, %zu of %llu seeds: mean %s, 95 %% interval +- %s\n", config.task.c_str(),
              records.size(), static_cast<unsigned long long>(seeds.last - seeds.first + 1),
              number_text(summary.at("mean_return_last_eighth"), 1).c_str(),
              number_text(summary.at("interval95"), 1).c_str());
  if (!parent.empty() && !records.empty()) {
    write_file(parent + "/report.html", render_report(records));
    std::printf("report: %s/report.html\n", parent.c_str());
  }
  if (options.json) std::printf("%s\n", json_text(summary).c_str());
  return worst;
}

}  // namespace

int run_train(const TrainOptions& options) {
  if (options.time == "real") {
    throw UsageError(
        "--time real: this version has no task on a real device; every task runs on simulated "
        "time");
  }
  if (!options.device.empty()) {
    throw UsageError("--device " + options.device +
                     " needs --time real; simulated time has no device");
  }
  if (options.task.empty() && options.resume.empty()) {
    throw UsageError("train needs a task (`instep tasks` lists them) or --resume RUN");
  }
  if (!options.seeds.empty()) return train_seeds(options);
  const bool is_resumed = !options.resume.empty();
  const RunConfig config = is_resumed ? resumed_config(options) : new_config(options);
  const std::string folder = is_resumed ? options.resume : make_run_folder(options.out, config);
  const nlohmann::json summary = TrainingRun(config, folder, is_resumed).run(true);
  print_summary(summary, options.json);
  return exit_code(summary);
}

}  // namespace instep

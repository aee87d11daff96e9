#include "tools/library/check/verify_tasks.h"

#include <cmath>
#include <vector>

#include "tasks/mujoco/mujoco_task.h"
#include "tools/library/error.h"

namespace instep {
namespace {

// Tolerances of e = |ours - truth| / (1 + |truth|), by control steps k since the reset.
constexpr double kResetTolerance = 1e-12;
constexpr double kExactTolerance = 1e-9;
constexpr double kGrownTolerance = 1e-6;
constexpr std::int64_t kExactSteps = 20;
constexpr std::int64_t kGrownSteps = 40;

constexpr std::int64_t kStepsMax = 100'000'000;
constexpr double kPeriodToleranceS = 1e-9;

// Tolerance of a state at step k, or 0 where no claim is made.
double state_tolerance(std::int64_t k, bool is_chaotic) {
  if (k <= kExactSteps) return kExactTolerance;
  if (!is_chaotic) return kExactTolerance;
  return k <= kGrownSteps ? kGrownTolerance : 0.0;
}

double reward_tolerance(std::int64_t k) {
  if (k <= kExactSteps) return kExactTolerance;
  return k <= kGrownSteps ? kGrownTolerance : 0.0;
}

class TaskReplay {
 public:
  TaskReplay(const TensorFile& file, WorstError& worst);
  void run();

 private:
  void check_file();
  void compare(const std::string& name, const double* ours, std::size_t count, std::int64_t row,
               double tolerance, std::int64_t step);
  void begin_episode(std::int64_t episode);
  void compare_step(std::int64_t t, std::int64_t k, const Outcome& outcome);

  const TensorFile& file_;
  WorstError& worst_;
  std::string name_;
  bool is_chaotic_;
  std::int64_t steps_ = 0;
  std::unique_ptr<MujocoTask> task_;
  std::vector<double> observation_;
};

// Episodes restart where they terminate, and nowhere else: [0, one after each terminated step].
std::vector<double> episode_starts(const std::vector<double>& terminated) {
  std::vector<double> starts = {0.0};
  for (std::size_t t = 0; t + 1 < terminated.size(); ++t) {
    if (terminated[t] != 0.0) starts.push_back(static_cast<double>(t + 1));
  }
  return starts;
}

TaskReplay::TaskReplay(const TensorFile& file, WorstError& worst) : file_(file), worst_(worst) {
  double period_s = 0.0;
  try {
    name_ = file.config.at("task").get<std::string>();
    period_s = file.config.at("dt").get<double>();
  } catch (const nlohmann::json::exception& error) {
    throw DataError(std::string("damaged config: ") + error.what());
  }
  steps_ = golden_number(file, "steps", 1, kStepsMax);
  is_chaotic_ = name_ == "HalfCheetah" || name_ == "Ant";
  task_ = make_mujoco_task(name_);
  if (task_ == nullptr) {
    throw DataError(
        "task " + name_ +
        " is unknown, or this build has no MuJoCo (install libmujoco-dev and build again)");
  }
  if (!(std::fabs(period_s - task_->period_s()) < kPeriodToleranceS)) {
    throw DataError("config: dt is not the control period of " + name_ + ", " +
                    std::to_string(task_->period_s()) + " s");
  }
  observation_.resize(static_cast<std::size_t>(task_->observation_dim()));
  check_file();
}

// The tensors, their shapes, and that the episodes begin where they must.
void TaskReplay::check_file() {
  const auto found = file_.tensors.find("terminated");
  if (found == file_.tensors.end()) throw DataError("lacks the tensor terminated");
  const std::vector<double> starts = episode_starts(found->second.values);
  const auto episodes = static_cast<std::int64_t>(starts.size());
  const auto positions = static_cast<std::int64_t>(task_->qpos().size());
  const auto velocities = static_cast<std::int64_t>(task_->qvel().size());
  const std::int64_t observation_dim = task_->observation_dim();
  std::vector<GoldenTensor> wanted;
  const auto want = [&](const char* name, std::vector<std::int64_t> shape,
                        const char* type = "F64") {
    wanted.push_back(
        {.name = name, .shape = std::move(shape), .type = type, .has_tolerance = false});
  };
  want("episode_start", {episodes}, "I64");
  want("reset_qpos", {episodes, positions});
  want("reset_qvel", {episodes, velocities});
  want("reset_obs", {episodes, observation_dim});
  want("action", {steps_, task_->control_dim()});
  want("obs", {steps_, observation_dim});
  want("qpos", {steps_, positions});
  want("qvel", {steps_, velocities});
  want("reward", {steps_});
  want("terminated", {steps_}, "U8");
  check_golden_tensors(file_, wanted);
  if (file_.tensors.at("episode_start").values != starts) {
    throw DataError(
        "tensor episode_start: episodes must begin at 0 and after each terminated step");
  }
}

void TaskReplay::compare(const std::string& name, const double* ours, std::size_t count,
                         std::int64_t row, double tolerance, std::int64_t step) {
  if (tolerance == 0.0) return;
  const double* truth =
      file_.tensors.at(name).values.data() + static_cast<std::size_t>(row) * count;
  for (std::size_t i = 0; i < count; ++i) {
    worst_.compare(ours[i], truth[i], tolerance * (1.0 + std::fabs(truth[i])), name, step);
  }
}

void TaskReplay::begin_episode(std::int64_t episode) {
  const auto row = static_cast<std::size_t>(episode);
  task_->reset_to(file_.tensors.at("reset_qpos").values.data() + row * task_->qpos().size(),
                  file_.tensors.at("reset_qvel").values.data() + row * task_->qvel().size(),
                  observation_.data());
  compare("reset_obs", observation_.data(), observation_.size(), episode, kResetTolerance, episode);
}

void TaskReplay::compare_step(std::int64_t t, std::int64_t k, const Outcome& outcome) {
  const double tolerance = state_tolerance(k, is_chaotic_);
  compare("obs", observation_.data(), observation_.size(), t, tolerance, t);
  compare("qpos", task_->qpos().data(), task_->qpos().size(), t, tolerance, t);
  compare("qvel", task_->qvel().data(), task_->qvel().size(), t, tolerance, t);
  compare("reward", &outcome.reward, 1, t, reward_tolerance(k), t);
  const double terminated = outcome.terminated ? 1.0 : 0.0;
  compare("terminated", &terminated, 1, t, tolerance == 0.0 ? 0.0 : kExactTolerance, t);
}

void TaskReplay::run() {
  const auto& starts = file_.tensors.at("episode_start").values;
  const auto& actions = file_.tensors.at("action").values;
  const auto controls = static_cast<std::size_t>(task_->control_dim());
  std::size_t episode = 0;
  std::int64_t k = 0;
  for (std::int64_t t = 0; t < steps_; ++t) {
    if (episode < starts.size() && starts[episode] == static_cast<double>(t)) {
      begin_episode(static_cast<std::int64_t>(episode++));
      k = 0;
    }
    const double* control = actions.data() + static_cast<std::size_t>(t) * controls;
    const Outcome outcome = task_->apply(control, observation_.data());
    compare_step(t, ++k, outcome);
  }
}

}  // namespace

void replay_task(const TensorFile& file, WorstError& worst) {
  TaskReplay(file, worst).run();
}

}  // namespace instep

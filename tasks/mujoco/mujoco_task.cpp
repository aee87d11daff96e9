#include "tasks/mujoco/mujoco_task.h"

#include <mujoco/mujoco.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "tasks/mujoco/mujoco_spec.h"

namespace instep {
namespace {

constexpr std::array<const MujocoSpec*, 5> kSpecs = {&kHopperSpec, &kHalfCheetahSpec,
                                                     &kWalker2dSpec, &kAntSpec, &kHumanoidSpec};

const MujocoSpec* find_spec(std::string_view gymnasium_name) {
  const auto found = std::find_if(kSpecs.begin(), kSpecs.end(), [&](const MujocoSpec* spec) {
    return spec->gymnasium_name == gymnasium_name;
  });
  return found == kSpecs.end() ? nullptr : *found;
}

struct ModelDelete {
  void operator()(mjModel* model) const { mj_deleteModel(model); }
};
struct DataDelete {
  void operator()(mjData* data) const { mj_deleteData(data); }
};
using ModelPtr = std::unique_ptr<mjModel, ModelDelete>;
using DataPtr = std::unique_ptr<mjData, DataDelete>;

// Where this thread goes on when MuJoCo reports an error, which its functions cannot return.
thread_local std::jmp_buf* error_exit = nullptr;

void leave_on_error(const char* message) {
  if (error_exit != nullptr) {
    std::longjmp(*error_exit, 1);
  }
  std::fprintf(stderr, "MuJoCo: %s\n", message);
  std::abort();
}

// By default MuJoCo writes MUJOCO_LOG.TXT into the working directory and ends the process. The
// handlers belong to the whole process, so those of a program around this library are left in
// place.
void install_handlers() {
  static const bool installed = [] {
    if (mju_user_error == nullptr) {
      mju_user_error = leave_on_error;
    }
    if (mju_user_warning == nullptr) {
      // Warnings are counted in mjData, where stopped_by_bad_number() reads them.
      mju_user_warning = [](const char*) {};
    }
    return true;
  }();
  static_cast<void>(installed);
}

// Calls body(); false when MuJoCo gave up in it. It jumps over MuJoCo's C frames, which hold
// nothing to destroy, and body must hold nothing to destroy either.
template <typename Body>
bool survives(const Body& body) {
  std::jmp_buf here;
  if (setjmp(here) != 0) {
    error_exit = nullptr;
    return false;
  }
  error_exit = &here;
  body();
  error_exit = nullptr;
  return true;
}

ModelPtr load_model(const MujocoSpec& spec) {
  // The virtual file system is 2 MB of names: too much for a stack.
  const auto files = std::make_unique<mjVFS>();
  mj_defaultVFS(files.get());
  const std::size_t bytes = std::strlen(spec.model_xml);
  std::array<char, 1000> message{};
  ModelPtr model;
  if (mj_makeEmptyFileVFS(files.get(), "model.xml", static_cast<int>(bytes)) == 0) {
    std::memcpy(files->filedata[0], spec.model_xml, bytes);
    model.reset(
        mj_loadXML("model.xml", files.get(), message.data(), static_cast<int>(message.size())));
  }
  mj_deleteVFS(files.get());
  if (model == nullptr) {
    throw std::runtime_error("MuJoCo refuses the model of " + std::string(spec.gymnasium_name) +
                             ": " + message.data());
  }
  return model;
}

// MuJoCo resets its state in silence when it meets a NaN or a huge number and counts that here;
// numbers that went bad in the very last simulator step are not counted yet.
bool stopped_by_bad_number(const mjModel& model, const mjData& data) {
  for (const int warning : {mjWARN_BADQPOS, mjWARN_BADQVEL, mjWARN_BADQACC}) {
    if (data.warning[warning].number > 0) {
      return true;
    }
  }
  const auto bad = [](mjtNum x) { return mju_isBad(x) != 0; };
  return std::any_of(data.qpos, data.qpos + model.nq, bad) ||
         std::any_of(data.qvel, data.qvel + model.nv, bad);
}

// Adds in the order of NumPy's sum, so that rewards equal Gymnasium's to the last bit: eight
// partial sums from 8 terms on, in pairs, then what is left over.
double sum_of_squares(const double* x, int count) {
  double sum = 0.0;
  int i = 0;
  if (count >= 8) {
    std::array<double, 8> partial{};
    for (; i + 8 <= count; i += 8) {
      for (int lane = 0; lane < 8; ++lane) {
        partial[static_cast<std::size_t>(lane)] += x[i + lane] * x[i + lane];
      }
    }
    sum = ((partial[0] + partial[1]) + (partial[2] + partial[3])) +
          ((partial[4] + partial[5]) + (partial[6] + partial[7]));
  }
  for (; i < count; ++i) {
    sum += x[i] * x[i];
  }
  return sum;
}

class Simulation final : public MujocoTask {
 public:
  explicit Simulation(const MujocoSpec& spec)
      : spec_(spec), model_(load_model(spec)), data_(mj_makeData(model_.get())) {
    if (data_ == nullptr) {
      throw std::runtime_error("MuJoCo has no memory for " + std::string(spec.gymnasium_name));
    }
    control_.resize(static_cast<std::size_t>(model_->nu));
    reset_qpos_.resize(static_cast<std::size_t>(model_->nq));
    reset_qvel_.resize(static_cast<std::size_t>(model_->nv));
  }

  void reset(const Random& random, std::uint64_t step, double* observation) override {
    random.uniform(step, reset_qpos_.data(), model_->nq);
    // Positions first, then velocities, each at the start of a block of random bits.
    const int first = (model_->nq + 3) / 4 * 4;
    for (int i = 0; i < model_->nq; ++i) {
      double& value = reset_qpos_[static_cast<std::size_t>(i)];
      value = model_->qpos0[i] + spec_.reset_noise * (2.0 * value - 1.0);
    }
    if (spec_.velocity_noise == VelocityNoise::kNormal) {
      random.normal(step, reset_qvel_.data(), model_->nv, first);
    } else {
      random.uniform(step, reset_qvel_.data(), model_->nv, first);
    }
    for (double& value : reset_qvel_) {
      const bool normal = spec_.velocity_noise == VelocityNoise::kNormal;
      value = spec_.reset_noise * (normal ? value : 2.0 * value - 1.0);
    }
    reset_to(reset_qpos_.data(), reset_qvel_.data(), observation);
  }

  void reset_to(const double* qpos, const double* qvel, double* observation) override {
    mj_resetData(model_.get(), data_.get());
    std::copy_n(qpos, model_->nq, data_->qpos);
    std::copy_n(qvel, model_->nv, data_->qvel);
    episode_steps_ = 0;
    failed_ = !survives([this] { mj_forward(model_.get(), data_.get()); }) ||
              stopped_by_bad_number(*model_, *data_);
    if (failed_) {
      observe_failure(observation);
      return;
    }
    position_ = spec_.position(*model_, *data_);
    spec_.observe(*model_, *data_, observation);
  }

  Outcome step(const float* action, double* observation) override {
    for (std::size_t i = 0; i < control_.size(); ++i) {
      // A NaN passes the clip, and apply() reports it.
      control_[i] =
          std::clamp(static_cast<double>(action[i]), -spec_.control_limit, spec_.control_limit);
    }
    return apply(control_.data(), observation);
  }

  Outcome apply(const double* control, double* observation) override {
    ++episode_steps_;
    if (!failed_) {
      simulate(control);
    }
    if (failed_) {
      observe_failure(observation);
      return {.reward = std::numeric_limits<double>::quiet_NaN(), .truncated = true};
    }
    // With the Runge-Kutta integrator everything derived from qpos is one stage old here.
    // Observation and reward are defined with these values, so nothing is recomputed.
    const double position_before = position_;
    position_ = spec_.position(*model_, *data_);
    const double cost = sum_of_squares(control, model_->nu);
    const double velocity = (position_ - position_before) / period_s();
    spec_.observe(*model_, *data_, observation);
    return {
        .reward = spec_.forward_weight * velocity + spec_.alive_bonus - spec_.control_cost * cost,
        .terminated = spec_.terminated(*model_, *data_),
        .truncated = episode_steps_ >= kMujocoStepsMax};
  }

  int observation_dim() const override { return spec_.observation_dim; }
  int control_dim() const override { return model_->nu; }
  double control_limit() const override { return spec_.control_limit; }
  double period_s() const override { return model_->opt.timestep * spec_.frame_skip; }
  std::span<const double> qpos() const override {
    return {data_->qpos, static_cast<std::size_t>(model_->nq)};
  }
  std::span<const double> qvel() const override {
    return {data_->qvel, static_cast<std::size_t>(model_->nv)};
  }

  void get_limbs(std::vector<Limb>& limbs) const override {
    limbs.clear();
    for (int i = 0; i < model_->ngeom; ++i) {
      const int type = model_->geom_type[i];
      if (type != mjGEOM_CAPSULE && type != mjGEOM_SPHERE) {
        continue;  // the floor
      }
      // A capsule lies along the third axis of its frame; its matrix is stored row by row.
      const mjtNum half_length = type == mjGEOM_CAPSULE ? model_->geom_size[3 * i + 1] : 0.0;
      Limb limb;
      limb.radius = model_->geom_size[3 * i];
      for (int axis = 0; axis < 3; ++axis) {
        const mjtNum middle = data_->geom_xpos[3 * i + axis];
        const mjtNum reach = half_length * data_->geom_xmat[9 * i + 3 * axis + 2];
        limb.from[axis] = middle - reach;
        limb.to[axis] = middle + reach;
      }
      limbs.push_back(limb);
    }
  }

  std::size_t state_bytes() const override {
    return sizeof(double) * (kStateScalars + simulator_state_count());
  }

  void save_state(std::span<std::uint8_t> out) const override {
    const std::array<double, kStateScalars> scalars = {
        data_->time, position_, static_cast<double>(episode_steps_), failed_ ? 1.0 : 0.0};
    std::uint8_t* to = out.data();
    const auto put = [&to](const double* from, int count) {
      const std::size_t bytes = sizeof(double) * static_cast<std::size_t>(count);
      if (bytes > 0) {
        std::memcpy(to, from, bytes);
      }
      to += bytes;
    };
    put(scalars.data(), kStateScalars);
    put(data_->qpos, model_->nq);
    put(data_->qvel, model_->nv);
    put(data_->act, model_->na);
    put(data_->qacc_warmstart, model_->nv);
  }

  bool load_state(std::span<const std::uint8_t> in) override {
    if (in.size() != state_bytes()) {
      return false;
    }
    for (std::size_t at = 0; at < in.size(); at += sizeof(double)) {
      double value = 0.0;
      std::memcpy(&value, in.data() + at, sizeof(double));
      if (!std::isfinite(value)) {
        return false;
      }
    }
    std::array<double, kStateScalars> scalars{};
    std::memcpy(scalars.data(), in.data(), sizeof(scalars));
    const auto [time, position, steps, failed] = scalars;
    if (time < 0.0 || steps < 0.0 || steps > 1e9 || steps != std::floor(steps) ||
        (failed != 0.0 && failed != 1.0)) {
      return false;
    }
    mj_resetData(model_.get(), data_.get());
    data_->time = time;
    position_ = position;
    episode_steps_ = static_cast<int>(steps);
    failed_ = failed == 1.0;
    const std::uint8_t* from = in.data() + sizeof(scalars);
    const auto take = [&from](double* to, int count) {
      const std::size_t bytes = sizeof(double) * static_cast<std::size_t>(count);
      if (bytes > 0) {
        std::memcpy(to, from, bytes);
      }
      from += bytes;
    };
    take(data_->qpos, model_->nq);
    take(data_->qvel, model_->nv);
    take(data_->act, model_->na);
    take(data_->qacc_warmstart, model_->nv);
    return true;
  }

 private:
  static constexpr int kStateScalars = 4;  // time, position, steps of the episode, failed

  std::size_t simulator_state_count() const {
    return static_cast<std::size_t>(model_->nq + 2 * model_->nv + model_->na);
  }

  // Sets failed_ when the simulator could not go on; then it is left at rest, so that its state is
  // finite and can be saved.
  void simulate(const double* control) {
    // MuJoCo takes an infinite control for its largest one, and a NaN for none at all.
    const bool finite = std::all_of(control, control + model_->nu,
                                    [](double value) { return std::isfinite(value); });
    const bool survived = finite && survives([this, control] {
                            std::copy_n(control, model_->nu, data_->ctrl);
                            for (int i = 0; i < spec_.frame_skip; ++i) {
                              mj_step(model_.get(), data_.get());
                            }
                            mj_rnePostConstraint(model_.get(), data_.get());
                          });
    failed_ = !survived || stopped_by_bad_number(*model_, *data_);
    if (failed_) {
      mj_resetData(model_.get(), data_.get());
      position_ = 0.0;
    }
  }

  void observe_failure(double* observation) const {
    std::fill_n(observation, spec_.observation_dim, std::numeric_limits<double>::quiet_NaN());
  }

  const MujocoSpec& spec_;
  const ModelPtr model_;
  const DataPtr data_;
  std::vector<double> control_;     // [control_dim]
  std::vector<double> reset_qpos_;  // [nq]
  std::vector<double> reset_qvel_;  // [nv]
  double position_ = 0.0;           // spec_.position() after the last step
  int episode_steps_ = 0;
  bool failed_ = false;
};

}  // namespace

std::unique_ptr<MujocoTask> make_mujoco_task(std::string_view gymnasium_name) {
  const MujocoSpec* spec = find_spec(gymnasium_name);
  if (spec == nullptr) {
    return nullptr;
  }
  install_handlers();
  return std::make_unique<Simulation>(*spec);
}

std::string_view mujoco_model_xml(std::string_view gymnasium_name) {
  const MujocoSpec* spec = find_spec(gymnasium_name);
  return spec == nullptr ? std::string_view() : std::string_view(spec->model_xml);
}

}  // namespace instep

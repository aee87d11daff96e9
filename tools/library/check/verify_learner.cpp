#include "tools/library/check/verify_learner.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>

#include "kernels/adam.h"
#include "kernels/decayed_maximum.h"
#include "runtime/algorithms/actor_critic/agent.h"
#include "tools/library/error.h"

namespace instep {
namespace {

constexpr std::int64_t kStepsMax = 100'000'000;
constexpr std::uint64_t kSizeMax = 1'000'000;

}  // namespace

void WorstError::compare(double ours, double truth, double tolerance, const std::string& tensor,
                         std::int64_t step) {
  ++count_;
  ++counts_[tensor];
  const double error = std::fabs(ours - truth);
  double ratio = error == 0.0 ? 0.0 : error / tolerance;
  if (!std::isfinite(ratio) || !(tolerance >= 0.0)) ratio = std::numeric_limits<double>::infinity();
  if (ratio > ratio_) {
    ratio_ = ratio;
    tensor_ = tensor;
    step_ = step;
  }
}

std::int64_t WorstError::count(const std::string& tensor) const {
  const auto found = counts_.find(tensor);
  return found == counts_.end() ? 0 : found->second;
}

void require_compared(const std::vector<GoldenTensor>& tensors, const TensorFile& file,
                      const WorstError& worst) {
  for (const GoldenTensor& tensor : tensors) {
    if (tensor.use == GoldenUse::kInput || !tensor.is_compared) continue;
    const auto demanded = static_cast<std::int64_t>(file.tensors.at(tensor.name).values.size());
    if (worst.count(tensor.name) == demanded) continue;
    throw DataError("tensor " + tensor.name + ": " + std::to_string(worst.count(tensor.name)) +
                    " of its " + std::to_string(demanded) + " numbers were compared");
  }
}

namespace {

// One network's arrays by the names of the golden files.
struct NamedArray {
  std::string name;
  int rows;
  int columns;  // 1 for biases
  // Index of entry (i, j) among the network's floats.
  std::function<std::size_t(int, int)> index;
};

std::vector<NamedArray> named_arrays(const NetworkLayout& network, int hidden, int heads) {
  const auto bias = [](std::size_t start) {
    return [start](int i, int) { return start + static_cast<std::size_t>(i); };
  };
  const auto hidden_weights = [](std::size_t start, int inputs) {
    return [start, inputs](int i, int j) { return start + hidden_weight_index(inputs, i, j); };
  };
  const auto head = [&network](int first_row) {
    return [start = network.w_head, width = network.width, first_row](int i, int j) {
      return start + static_cast<std::size_t>((first_row + i) * width + j);
    };
  };
  std::vector<NamedArray> arrays = {
      {"w1", hidden, network.inputs, hidden_weights(network.w1, network.inputs)},
      {"b1", hidden, 1, bias(network.b1)},
      {"w2", hidden, hidden, hidden_weights(network.w2, hidden)},
      {"b2", hidden, 1, bias(network.b2)}};
  if (heads == 1) {
    arrays.push_back({"w_o", 1, hidden, head(0)});
    arrays.push_back({"b_o", 1, 1, bias(network.b_head)});
  } else {
    const int m = network.rows / 2;
    const auto rows = static_cast<std::size_t>(m);
    arrays.push_back({"w_mu", m, hidden, head(0)});
    arrays.push_back({"b_mu", m, 1, bias(network.b_head)});
    arrays.push_back({"w_l", m, hidden, head(m)});
    arrays.push_back({"b_l", m, 1, bias(network.b_head + rows)});
  }
  return arrays;
}

// The replay of one file.
class Replay {
 public:
  Replay(const TensorFile& file, Schedule schedule, const Executor& executor, WorstError& worst);
  std::vector<std::uint8_t> run();

 private:
  std::size_t size(int count) const { return static_cast<std::size_t>(count); }
  void load_initial_weights();
  void check_file();
  const double* observation(const std::string& name, std::int64_t row) const;
  static void fill_noise(void* self, Stream stream, std::uint64_t step, float* out, int count);

  double tolerance(const std::string& name, std::int64_t step) const;
  void begin_episode(const std::string& name, std::int64_t row);
  void compare_array(const std::string& name, const float* ours, int count, std::int64_t step);
  void compare_scalar(const std::string& name, double ours, std::int64_t step);
  void compare_step(std::int64_t t);
  void compare_first_gradient();
  void compare_gradient(const std::string& prefix, const NetworkLayout& network,
                        const TapeLayout& tape, const float* data, float scale, int heads);
  void compare_network(const std::string& prefix, const NetworkLayout& network, int heads,
                       const float* ours, std::int64_t step);
  void compare_weights(const std::string& prefix, std::int64_t step, bool has_prepared);
  void compare_final();

  const TensorFile& file_;
  WorstError& worst_;
  std::int64_t steps_ = 0;
  std::vector<std::int64_t> checkpoints_;  // updates after which weights are compared
  std::vector<GoldenTensor> tensors_;      // that the file holds
  ActorCriticConfig config_;
  std::unique_ptr<ActorCriticAgent> agent_;
  // Tapes of the transition that was learnt from last: where update() left them.
  const float* actor_tape_ = nullptr;
  const float* critic_tape_ = nullptr;
  const float* target_tape_ = nullptr;  // with the target's action
};

// A size; out of range, and so refused later, where the number is not a whole one.
int whole(const nlohmann::json& number) {
  const bool is_size = number.is_number_unsigned() && number.get<std::uint64_t>() <= kSizeMax;
  return is_size ? number.get<int>() : -1;
}

Algorithm read_algorithm(const std::string& name) {
  if (name == "avg") return Algorithm::kAvg;
  if (name == "iac") return Algorithm::kIac;
  if (name == "rac") return Algorithm::kRac;
  throw DataError("config: unknown algo " + name);
}

ActorCriticConfig read_config(const nlohmann::json& c, Schedule schedule,
                              const Executor& executor) {
  ActorCriticConfig config;
  try {
    config.shape = {whole(c.at("n")), whole(c.at("m")), whole(c.at("hidden"))};
    const auto algorithm = c.at("algo").get<std::string>();
    LearnerSettings& settings = config.settings;
    settings.algorithm = read_algorithm(algorithm);
    settings.hidden = config.shape.hidden_dim;
    settings.discount = c.at("gamma").get<double>();
    settings.entropy_coef = c.at("alpha").get<double>();
    settings.actor_lr = c.at("actor_lr").get<double>();
    settings.critic_lr = c.at("critic_lr").get<double>();
    settings.observation_norm = c.at("obs_norm").get<bool>();
    if (settings.algorithm == Algorithm::kRac) {
      settings.trace_decay = c.at("trace_decay").get<double>();
      settings.maximum_decay = c.at("maximum_decay").get<double>();
    } else {
      settings.beta1 = c.at("beta1").get<double>();
      settings.beta2 = c.value("beta2", 0.999);
      settings.adam_eps = c.value("adam_eps", 1e-8);
      settings.feature_norm = c.at("pnorm").get<bool>();
      settings.td_error_scaling = c.at("td_scale").get<bool>();
    }
    settings.leaky_slope = c.value("leaky_slope", 0.01F);
    settings.log_variance_min = c.value("log_std_min", -20.0F);
    settings.log_variance_max = c.value("log_std_max", 2.0F);
    settings.arithmetic = executor.arithmetic;
  } catch (const nlohmann::json::exception& error) {
    throw DataError(std::string("damaged config: ") + error.what());
  }
  if (!is_valid(config.shape)) throw DataError("config: n, m or hidden is out of range");
  config.schedule = schedule;
  config.executor = &executor;
  return config;
}

// The counts of updates after which the file has weights.
std::vector<std::int64_t> read_checkpoints(const nlohmann::json& config, std::int64_t steps) {
  const auto found = config.find("checkpoints");
  if (found == config.end() || !found->is_array()) {
    throw DataError("config: checkpoints must be a list of counts of updates");
  }
  std::vector<std::int64_t> checkpoints;
  for (const auto& count : *found) {
    const bool is_count = count.is_number_unsigned() && count.get<std::uint64_t>() >= 1 &&
                          count.get<std::uint64_t>() <= static_cast<std::uint64_t>(steps);
    if (!is_count) throw DataError("config: checkpoints must be counts from 1 to steps");
    checkpoints.push_back(count.get<std::int64_t>());
  }
  std::sort(checkpoints.begin(), checkpoints.end());
  if (std::adjacent_find(checkpoints.begin(), checkpoints.end()) != checkpoints.end()) {
    throw DataError("config: checkpoints names one count twice");
  }
  return checkpoints;
}

// How many episodes end: as often an observation after a reset is needed.
std::int64_t count_ends(const TensorFile& file, std::int64_t steps) {
  const auto& terminated = file.at("in/terminated", static_cast<std::size_t>(steps)).values;
  const auto& truncated = file.at("in/truncated", static_cast<std::size_t>(steps)).values;
  std::int64_t ends = 0;
  for (std::size_t i = 0; i < terminated.size(); ++i) {
    for (const double flag : {terminated[i], truncated[i]}) {
      if (flag != 0.0 && flag != 1.0) {
        throw DataError("in/terminated and in/truncated must be 0 or 1");
      }
    }
    if (terminated[i] != 0.0 || truncated[i] != 0.0) ++ends;
  }
  return ends;
}

Replay::Replay(const TensorFile& file, Schedule schedule, const Executor& executor,
               WorstError& worst)
    : file_(file), worst_(worst), config_(read_config(file.config, schedule, executor)) {
  check_file();
  agent_ = std::make_unique<ActorCriticAgent>(config_);
  agent_->set_noise_source({this, fill_noise});
  load_initial_weights();
}

// Everything that may be wrong with the file itself.
void Replay::check_file() {
  steps_ = golden_number(file_, "steps", 1, kStepsMax);
  checkpoints_ = read_checkpoints(file_.config, steps_);
  const LearnerSettings& settings = config_.settings;
  tensors_ = golden_tensors({.shape = config_.shape,
                             .algorithm = settings.algorithm,
                             .observation_norm = settings.observation_norm,
                             .has_first_moments = settings.beta1 > 0.0,
                             .has_trace = settings.trace_decay > 0.0,
                             .steps = steps_,
                             .checkpoints = checkpoints_});
  const std::int64_t resets = count_ends(file_, steps_);
  if (resets > 0) {
    tensors_.push_back({.name = "in/reset_obs",
                        .shape = {resets, config_.shape.observation_dim},
                        .use = GoldenUse::kInput});
  }
  check_golden_tensors(file_, tensors_);
}

void Replay::load_initial_weights() {
  const Learner& learner = agent_->learner();
  const Layout& layout = learner.layout;
  const int hidden = layout.shape.hidden_dim;
  const auto load = [&](const std::string& prefix, const NetworkLayout& network, int heads,
                        float* weights) {
    std::fill_n(weights, network.floats, 0.0F);
    for (const NamedArray& array : named_arrays(network, hidden, heads)) {
      const Tensor& tensor = file_.tensors.at(prefix + array.name);
      for (int i = 0; i < array.rows; ++i) {
        for (int j = 0; j < array.columns; ++j) {
          weights[array.index(i, j)] =
              static_cast<float>(tensor.values[size(i * array.columns + j)]);
        }
      }
    }
  };
  for (const std::size_t weights : layout.actor_weights) {
    load("init/actor/", layout.actor, 2, learner.floats(weights));
  }
  load("init/critic/", layout.critic, 1, learner.floats(layout.critic_weights));
}

void Replay::fill_noise(void* self, Stream stream, std::uint64_t step, float* out, int count) {
  const auto& replay = *static_cast<const Replay*>(self);
  std::fill_n(out, count, 0.0F);
  if (step >= static_cast<std::uint64_t>(replay.steps_)) return;  // an action nobody compares
  if (stream == Stream::kNextAction && replay.config_.settings.algorithm == Algorithm::kIac) return;
  const Tensor& draws =
      replay.file_.tensors.at(stream == Stream::kExploration ? "in/eps" : "in/eps_next");
  for (int i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(step) * static_cast<std::size_t>(count);
    out[i] = static_cast<float>(draws.values[at + static_cast<std::size_t>(i)]);
  }
}

const double* Replay::observation(const std::string& name, std::int64_t row) const {
  return file_.tensors.at(name).values.data() + row * config_.shape.observation_dim;
}

double Replay::tolerance(const std::string& name, std::int64_t step) const {
  const auto& values = file_.tensors.at("tol/" + name).values;
  return values[values.size() == 1 ? 0 : static_cast<std::size_t>(step)];
}

void Replay::compare_array(const std::string& name, const float* ours, int count, std::int64_t t) {
  const std::size_t columns = size(count);
  const Tensor& truth = file_.tensors.at(name);
  for (std::size_t i = 0; i < columns; ++i) {
    worst_.compare(static_cast<double>(ours[i]),
                   truth.values[static_cast<std::size_t>(t) * columns + i], tolerance(name, t),
                   name, t);
  }
}

void Replay::compare_scalar(const std::string& name, double ours, std::int64_t t) {
  worst_.compare(ours, file_.tensors.at(name).values[static_cast<std::size_t>(t)],
                 tolerance(name, t), name, t);
}

// Everything reported for update t.
void Replay::compare_step(std::int64_t t) {
  const Learner& learner = agent_->learner();
  const Layout& layout = learner.layout;
  const LearnerState& state = learner.state();
  const TapeLayout& tape = layout.actor_tape;
  const float* actor = actor_tape_;
  const int n = layout.shape.observation_dim;
  const int m = layout.shape.action_dim;
  compare_array("out/x", actor + tape.input, n, t);
  compare_array("out/mu", actor + tape.head, m, t);
  compare_array("out/log_std", actor + tape.log_variance, m, t);
  compare_array("out/pre", actor + tape.action_pre, m, t);
  compare_array("out/action", actor + tape.action, m, t);
  compare_array("out/logp", actor + tape.scalars + kLogProb, 1, t);
  compare_array("out/entropy", actor + tape.scalars + kEntropy, 1, t);
  compare_array("out/actor_loss", actor + tape.scalars + kActorLoss, 1, t);
  compare_array("out/q", critic_tape_ + layout.critic_tape.head, 1, t);
  compare_scalar("out/r_stat", state.reward_stat, t);
  compare_scalar("out/G", state.return_before_clear, t);
  compare_scalar("out/sigma", state.td_error_scale, t);
  compare_scalar("out/q_next", static_cast<double>(state.q_next), t);
  compare_scalar("out/delta", static_cast<double>(state.td_error), t);
  compare_scalar("out/critic_loss", static_cast<double>(state.critic_loss), t);
  if (has_q_critic(config_.settings.algorithm)) {
    const float* next = target_tape_;
    compare_array("out/next_action", next + tape.action, m, t);
    compare_array("out/next_logp", next + tape.scalars + kLogProb, 1, t);
    compare_array("out/dq_da", critic_tape_ + layout.critic_tape.d_action, m, t);
  }
}

// The learner never stores a gradient, only its factors; here they are multiplied out.
void Replay::compare_gradient(const std::string& prefix, const NetworkLayout& network,
                              const TapeLayout& tape, const float* data, float scale, int heads) {
  const int hidden = config_.shape.hidden_dim;
  for (const NamedArray& array : named_arrays(network, hidden, heads)) {
    const auto found = file_.tensors.find(prefix + array.name);
    if (found == file_.tensors.end()) continue;
    const bool is_head = array.name.size() > 2;  // w_mu, b_o, ...; hidden layers are w1, b2, ...
    const std::size_t first_row = array.name.ends_with("_l") ? size(array.rows) : 0;
    const bool is_second = array.name.ends_with("2");
    const std::size_t d = is_head     ? tape.d_head + first_row
                          : is_second ? tape.d_hidden2
                                      : tape.d_hidden1;
    const std::size_t x = is_head ? tape.feature : is_second ? tape.hidden1 : tape.input;
    for (int i = 0; i < array.rows; ++i) {
      for (int j = 0; j < array.columns; ++j) {
        const float input = array.name[0] == 'b' ? 1.0F : data[x + size(j)];
        worst_.compare(static_cast<double>(scale * data[d + size(i)] * input),
                       found->second.values[size(i * array.columns + j)],
                       tolerance(prefix + array.name, 0), prefix + array.name, 0);
      }
    }
  }
}

void Replay::compare_first_gradient() {
  const Layout& layout = agent_->learner().layout;
  const LearnerState& state = agent_->learner().state();
  const auto divisor =
      static_cast<float>(config_.settings.td_error_scaling ? state.td_error_scale : 1.0);
  const float d_output = config_.settings.algorithm == Algorithm::kRac
                             ? -state.td_error
                             : -2.0F * state.td_error / divisor;
  compare_gradient("grad1/actor/", layout.actor, layout.actor_tape, actor_tape_, 1.0F, 2);
  compare_gradient("grad1/critic/", layout.critic, layout.critic_tape, critic_tape_, d_output, 1);
}

void Replay::compare_network(const std::string& prefix, const NetworkLayout& network, int heads,
                             const float* ours, std::int64_t step) {
  for (const NamedArray& array : named_arrays(network, config_.shape.hidden_dim, heads)) {
    const std::string name = prefix + array.name;
    if (!file_.tensors.contains(name)) continue;
    const Tensor& tensor = file_.tensors.at(name);
    const double allowed = tolerance(name, 0);
    for (int i = 0; i < array.rows; ++i) {
      for (int j = 0; j < array.columns; ++j) {
        worst_.compare(static_cast<double>(ours[array.index(i, j)]),
                       tensor.values[size(i * array.columns + j)], allowed, name, step);
      }
    }
  }
}

// Weights after `step` updates. Once the next transition is prepared, actor_acted still names them;
// the newest ones may already be a step further.
void Replay::compare_weights(const std::string& prefix, std::int64_t step, bool has_prepared) {
  const Learner& learner = agent_->learner();
  const Layout& layout = learner.layout;
  const LearnerState& state = learner.state();
  const std::uint32_t buffer = has_prepared ? state.actor_acted : state.actor_newest;
  compare_network(prefix + "actor/", layout.actor, 2, learner.floats(layout.actor_weights[buffer]),
                  step);
  compare_network(prefix + "critic/", layout.critic, 1, learner.floats(layout.critic_weights),
                  step);
}

void Replay::compare_final() {
  const Learner& learner = agent_->learner();
  const Layout& layout = learner.layout;
  const LearnerState& state = learner.state();
  compare_weights("final/", steps_, false);
  compare_network("final/actor_v/", layout.actor, 2,
                  learner.floats(layout.actor_optimizer[kSecondMoment]), steps_);
  compare_network("final/critic_v/", layout.critic, 1,
                  learner.floats(layout.critic_optimizer[kSecondMoment]), steps_);
  if (layout.algorithm == Algorithm::kRac) {
    if (layout.critic_arrays > kTrace) {
      compare_network("final/critic_e/", layout.critic, 1,
                      learner.floats(layout.critic_optimizer[kTrace]), steps_);
    }
  } else if (layout.actor_arrays > kFirstMoment) {
    compare_network("final/actor_m/", layout.actor, 2,
                    learner.floats(layout.actor_optimizer[kFirstMoment]), steps_);
    compare_network("final/critic_m/", layout.critic, 1,
                    learner.floats(layout.critic_optimizer[kFirstMoment]), steps_);
  }
  const auto compare = [&](const std::string& name, const std::vector<double>& ours) {
    const Tensor& tensor = file_.at(name, ours.size());
    for (std::size_t i = 0; i < ours.size(); ++i) {
      worst_.compare(ours[i], tensor.values[i], tolerance(name, 0), name, steps_);
    }
  };
  std::vector<double> scale;
  for (const Moments* moments : {&state.reward_moments, &state.discount_moments,
                                 &state.return_moments, &state.return_square_moments}) {
    scale.insert(scale.end(), {moments->count, moments->mean, moments->sum_squares});
  }
  compare("final/scale", scale);
  compare("final/G", {state.running_return});
  if (config_.settings.observation_norm) {
    const double* mean = learner.doubles(layout.normalizer_mean);
    const double* variance = learner.doubles(layout.normalizer_variance);
    const int n = layout.shape.observation_dim;
    compare("final/norm_mean", {mean, mean + n});
    compare("final/norm_var", {variance, variance + n});
    compare("final/norm_count", {state.normalizer_count});
  }
}

void Replay::begin_episode(const std::string& name, std::int64_t row) {
  if (agent_->begin_episode(observation(name, row)) != nullptr) return;
  throw DataError("row " + std::to_string(row) + " of " + name +
                  ", or the action there, is not finite");
}

std::vector<std::uint8_t> Replay::run() {
  const auto& rewards = file_.tensors.at("in/reward").values;
  const auto& terminated = file_.tensors.at("in/terminated").values;
  const auto& truncated = file_.tensors.at("in/truncated").values;
  const Learner& learner = agent_->learner();
  std::int64_t resets = 0;
  begin_episode("in/obs0", 0);
  agent_->update();
  for (std::int64_t t = 0; t < steps_; ++t) {
    const auto at = static_cast<std::size_t>(t);
    const bool is_terminated = terminated[at] != 0.0;
    const bool is_truncated = truncated[at] != 0.0;
    const bool is_last = t + 1 == steps_;
    const double* next = observation("in/next_obs", t);
    actor_tape_ = learner.open_actor_tape();
    critic_tape_ = learner.open_critic_tape();
    if (is_last) {
      agent_->close(next, rewards[at], is_terminated, is_truncated);
    } else {
      agent_->sense(next, rewards[at], is_terminated, is_truncated);
      agent_->update();
    }
    if (agent_->was_dropped()) throw DataError("step " + std::to_string(t) + " is not finite");
    agent_->fetch();
    // RAC's target takes the action that is executed next, where there is one.
    const bool has_executed = config_.settings.algorithm == Algorithm::kRac && !is_last &&
                              !is_terminated && !is_truncated;
    target_tape_ =
        has_executed ? learner.open_actor_tape() : learner.floats(learner.layout.actor_tapes[2]);
    compare_step(t);
    if (t == 0) compare_first_gradient();
    const bool has_prepared = !is_last && !is_terminated && !is_truncated;
    if (std::binary_search(checkpoints_.begin(), checkpoints_.end(), t + 1)) {
      compare_weights("ckpt/" + std::to_string(t + 1) + "/", t + 1, has_prepared);
    }
    if (is_terminated || is_truncated) {
      // The normaliser takes every reset observation, that after the last transition included.
      begin_episode("in/reset_obs", resets++);
      if (!is_last) agent_->update();
    }
  }
  agent_->flush();
  compare_final();
  require_compared(tensors_, file_, worst_);
  return {learner.block, learner.block + learner.layout.bytes};
}

}  // namespace

std::vector<std::uint8_t> replay_learner(const TensorFile& file, Schedule schedule,
                                         const Executor& executor, WorstError& worst) {
  return Replay(file, schedule, executor, worst).run();
}

}  // namespace instep

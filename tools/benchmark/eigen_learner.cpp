#include "tools/benchmark/eigen_learner.h"

#include <Eigen/Core>
#include <cmath>
#include <functional>

#include "kernels/philox.h"

namespace instep {
namespace {

using Matrix = Eigen::MatrixXf;
using Vector = Eigen::VectorXf;

// One array of weights with its dense gradient and Adam's second moment. A bias has one column.
struct Parameter {
  Matrix value;
  Matrix gradient;
  Matrix second;

  Parameter(int rows, int columns)
      : value(Matrix::Zero(rows, columns)),
        gradient(Matrix::Zero(rows, columns)),
        second(Matrix::Zero(rows, columns)) {}
};

struct Linear {
  Parameter weight;
  Parameter bias;

  Linear(int inputs, int outputs, std::uint64_t seed) : weight(outputs, inputs), bias(outputs, 1) {
    const Random random{seed, static_cast<std::uint32_t>(Stream::kInitialWeights)};
    random.normal(0, weight.value.data(), inputs * outputs);
    weight.value /= std::sqrt(static_cast<float>(inputs));
  }
  void forward(const Vector& x, Vector& y) const {
    y.noalias() = weight.value * x;
    y += bias.value;
  }
  void set_gradient(const Vector& d, const Vector& x) {
    weight.gradient.noalias() = d * x.transpose();
    bias.gradient = d;
  }
};

// What a forward pass through the two hidden layers leaves for the backward pass.
struct Tape {
  Vector input, hidden1, hidden2, feature;
  float length = 1.0F;
};

// Two hidden layers with LeakyReLU, the second one's output scaled to length 1.
struct Body {
  Linear first;
  Linear second;
  float slope;
  bool feature_norm;
  Vector d_hidden1, d_hidden2;  // gradients before the nonlinearity, left by backward()

  void leaky_relu(Vector& h) const { h = (h.array() > 0.0F).select(h, slope * h); }
  void leaky_relu_backward(const Vector& h, Vector& d) const {
    d = (h.array() > 0.0F).select(d, slope * d);
  }
  void forward(Tape& tape) const {
    first.forward(tape.input, tape.hidden1);
    leaky_relu(tape.hidden1);
    second.forward(tape.hidden1, tape.hidden2);
    leaky_relu(tape.hidden2);
    tape.length = feature_norm ? tape.hidden2.norm() : 1.0F;
    tape.feature = tape.hidden2 / tape.length;
  }
  void backward(const Tape& tape, const Vector& d_feature) {
    d_hidden2 = d_feature;
    if (feature_norm) {
      d_hidden2 -= tape.feature * tape.feature.dot(d_feature);
      d_hidden2 /= tape.length;
    }
    leaky_relu_backward(tape.hidden2, d_hidden2);
    d_hidden1.noalias() = second.weight.value.transpose() * d_hidden2;
    leaky_relu_backward(tape.hidden1, d_hidden1);
  }
  // The gradient of `scale` times what backward() differentiated.
  void set_gradient(const Tape& tape, float scale) {
    second.set_gradient(scale * d_hidden2, tape.hidden1);
    first.set_gradient(scale * d_hidden1, tape.input);
  }
};

// Adam without a first moment, which beta1 = 0 does not need; bias corrections folded into two
// scalars.
class Adam {
 public:
  Adam(double lr, double beta2, double eps) : lr_(lr), beta2_(beta2), eps_(eps) {}

  void begin_step() { power_ *= beta2_; }
  void step(Linear& linear) const {
    step(linear.weight);
    step(linear.bias);
  }

 private:
  void step(Parameter& parameter) const {
    const double root = std::sqrt(1.0 - power_);
    const auto beta2 = static_cast<float>(beta2_);
    const auto rest = static_cast<float>(1.0 - beta2_);
    const auto lr = static_cast<float>(lr_ * root);
    const auto eps = static_cast<float>(eps_ * root);
    const auto g = parameter.gradient.array();
    parameter.second.array() = beta2 * parameter.second.array() + rest * g.square();
    parameter.value.array() -= lr * g / (parameter.second.array().sqrt() + eps);
  }

  double lr_;
  double beta2_;
  double eps_;
  double power_ = 1.0;  // beta2^updates
};

// Welford's count, mean and sum of squared deviations.
struct Statistics {
  double count = 0.0;
  double mean = 0.0;
  double sum_squares = 0.0;

  void push(double x) {
    count += 1.0;
    const double delta = x - mean;
    mean += delta / count;
    sum_squares += delta * (x - mean);
  }
  double variance() const { return count > 0.0 ? sum_squares / count : 0.0; }
};

// A squashed Gaussian draw of the actor.
struct Sample {
  Tape tape;
  Vector mean, raw_log_variance, log_variance, std_dev, noise, pre, action;
  double log_prob = 0.0;
  double entropy = 0.0;
};

template <typename Derived>
std::vector<double> row_major(const Eigen::DenseBase<Derived>& matrix) {
  std::vector<double> values;
  for (Eigen::Index i = 0; i < matrix.rows(); ++i) {
    for (Eigen::Index j = 0; j < matrix.cols(); ++j) {
      values.push_back(static_cast<double>(matrix(i, j)));
    }
  }
  return values;
}

}  // namespace

struct EigenLearner::Arrays {
  Arrays(const Shape& shape, const LearnerSettings& chosen)
      : settings(chosen),
        n(shape.observation_dim),
        m(shape.action_dim),
        actor{Linear(n, shape.hidden_dim, 1),
              Linear(shape.hidden_dim, shape.hidden_dim, 2),
              chosen.leaky_slope,
              chosen.feature_norm,
              {},
              {}},
        mean_head(shape.hidden_dim, m, 3),
        log_variance_head(shape.hidden_dim, m, 4),
        critic{Linear(n + m, shape.hidden_dim, 5),
               Linear(shape.hidden_dim, shape.hidden_dim, 6),
               chosen.leaky_slope,
               chosen.feature_norm,
               {},
               {}},
        value_head(shape.hidden_dim, 1, 7),
        actor_adam(chosen.actor_lr, chosen.beta2, chosen.adam_eps),
        critic_adam(chosen.critic_lr, chosen.beta2, chosen.adam_eps),
        norm_mean(Eigen::ArrayXd::Zero(n)),
        norm_variance(Eigen::ArrayXd::Ones(n)) {}

  Vector observe(const double* observation);
  void sample(Sample& draw, const float* noise) const;
  float q_value(Tape& tape, const Vector& observation, const Vector& action) const;
  double update_td_error_scale(bool terminated);
  void update_critic(float scale);
  void update_actor();
  void for_each_array(
      const std::function<void(const std::string&, const std::string&, Parameter&)>&);

  LearnerSettings settings;
  int n;
  int m;
  Body actor;
  Linear mean_head, log_variance_head;
  Body critic;
  Linear value_head;
  Adam actor_adam, critic_adam;

  Eigen::ArrayXd norm_mean, norm_variance;
  double norm_count = 1e-4;
  Statistics reward_statistics, discount_statistics, return_statistics, return_square_statistics;
  double running_return = 0.0;

  // The open transition, its successor, and what the update makes of them.
  Vector observation;
  Sample open, next;
  Tape critic_tape, next_critic_tape;
  Vector d_action;
  Vector d_mean, d_log_variance;
  double reward_stat = 0.0;
  double return_before_clear = 0.0;
  double td_error_scale = 1.0;
  float q = 0.0F;
  float q_next = 0.0F;
  float td_error = 0.0F;
  float actor_loss = 0.0F;
};

Vector EigenLearner::Arrays::observe(const double* raw) {
  const Eigen::Map<const Eigen::ArrayXd> sample(raw, n);
  if (!settings.observation_norm) return sample.cast<float>().matrix();
  const double total = norm_count + 1.0;
  const Eigen::ArrayXd delta = sample - norm_mean;
  norm_mean += delta / total;
  norm_variance = (norm_variance * norm_count + delta.square() * (norm_count / total)) / total;
  norm_count = total;
  return ((sample - norm_mean) / (norm_variance + 1e-8).sqrt()).cast<float>().matrix();
}

// What the reference calls log_std is the log of the variance: it is handed on as a covariance.
void EigenLearner::Arrays::sample(Sample& draw, const float* noise) const {
  constexpr double kLog2 = 0.69314718055994530942;
  constexpr double kLog2Pi = 1.83787706640934548356;
  actor.forward(draw.tape);
  mean_head.forward(draw.tape.feature, draw.mean);
  log_variance_head.forward(draw.tape.feature, draw.raw_log_variance);
  draw.log_variance =
      draw.raw_log_variance.cwiseMax(settings.log_variance_min).cwiseMin(settings.log_variance_max);
  draw.std_dev = (0.5F * draw.log_variance).array().exp();
  draw.noise = Eigen::Map<const Vector>(noise, m);
  draw.pre = draw.mean + draw.std_dev.cwiseProduct(draw.noise);
  draw.action = draw.pre.array().tanh();
  draw.log_prob = -0.5 * kLog2Pi * m;
  draw.entropy = 0.5 * (1.0 + kLog2Pi) * m;
  for (int i = 0; i < m; ++i) {
    const auto e = static_cast<double>(draw.noise[i]);
    const auto u = static_cast<double>(draw.pre[i]);
    const auto l = static_cast<double>(draw.log_variance[i]);
    const double softplus =
        u > 0.0 ? std::log1p(std::exp(-2.0 * u)) : -2.0 * u + std::log1p(std::exp(2.0 * u));
    draw.log_prob += -0.5 * (e * e + l) - 2.0 * (kLog2 - u - softplus);
    draw.entropy += 0.5 * l;
  }
}

float EigenLearner::Arrays::q_value(Tape& tape, const Vector& at, const Vector& action) const {
  tape.input.resize(n + m);
  tape.input << at, action;
  critic.forward(tape);
  return value_head.weight.value.row(0).dot(tape.feature) + value_head.bias.value(0, 0);
}

double EigenLearner::Arrays::update_td_error_scale(bool terminated) {
  reward_statistics.push(reward_stat);
  discount_statistics.push(terminated ? 0.0 : settings.discount);
  running_return += reward_stat;
  return_before_clear = running_return;
  if (terminated) {
    return_statistics.push(running_return);
    return_square_statistics.push(running_return * running_return);
    running_return = 0.0;
  }
  const double variance = std::max(
      reward_statistics.variance() + discount_statistics.variance() * return_square_statistics.mean,
      1e-4);
  const bool is_start = variance <= 0.01 && return_statistics.count == 0.0;
  td_error_scale = is_start ? 1.0 : std::sqrt(variance);
  return settings.td_error_scaling ? td_error_scale : 1.0;
}

void EigenLearner::Arrays::update_critic(float scale) {
  critic.set_gradient(critic_tape, scale);
  value_head.set_gradient(Vector::Constant(1, scale), critic_tape.feature);
  critic_adam.begin_step();
  for (Linear* linear : {&critic.first, &critic.second, &value_head}) critic_adam.step(*linear);
}

// Gradient of entropy_coef * log pi(A|s) - Q(s, A) through the reparametrised action.
void EigenLearner::Arrays::update_actor() {
  const auto entropy_coef = static_cast<float>(settings.entropy_coef);
  const auto action = open.action.array();
  d_mean = 2.0F * entropy_coef * action - d_action.array() * (1.0F - action.square());
  d_log_variance =
      0.5F * d_mean.array() * open.noise.array() * open.std_dev.array() - 0.5F * entropy_coef;
  for (int i = 0; i < m; ++i) {
    if (open.raw_log_variance[i] != open.log_variance[i]) d_log_variance[i] = 0.0F;
  }
  Vector d_feature = mean_head.weight.value.transpose() * d_mean;
  d_feature.noalias() += log_variance_head.weight.value.transpose() * d_log_variance;
  actor.backward(open.tape, d_feature);
  actor.set_gradient(open.tape, 1.0F);
  mean_head.set_gradient(d_mean, open.tape.feature);
  log_variance_head.set_gradient(d_log_variance, open.tape.feature);
  actor_adam.begin_step();
  for (Linear* linear : {&actor.first, &actor.second, &mean_head, &log_variance_head}) {
    actor_adam.step(*linear);
  }
}

void EigenLearner::Arrays::for_each_array(
    const std::function<void(const std::string&, const std::string&, Parameter&)>& visit) {
  const auto linear = [&](const char* network, Linear& layer, const char* weight,
                          const char* bias) {
    visit(network, weight, layer.weight);
    visit(network, bias, layer.bias);
  };
  linear("actor", actor.first, "w1", "b1");
  linear("actor", actor.second, "w2", "b2");
  linear("actor", mean_head, "w_mu", "b_mu");
  linear("actor", log_variance_head, "w_l", "b_l");
  linear("critic", critic.first, "w1", "b1");
  linear("critic", critic.second, "w2", "b2");
  linear("critic", value_head, "w_o", "b_o");
}

EigenLearner::EigenLearner(const Shape& shape, const LearnerSettings& settings)
    : arrays_(std::make_unique<Arrays>(shape, settings)) {}

EigenLearner::~EigenLearner() = default;

void EigenLearner::begin_episode(const double* observation) {
  arrays_->observation = arrays_->observe(observation);
}

const float* EigenLearner::act(const float* noise) {
  Arrays& a = *arrays_;
  a.open.tape.input = a.observation;
  a.sample(a.open, noise);
  return a.open.action.data();
}

void EigenLearner::update(const double* next_observation, double reward, bool terminated,
                          const float* next_noise) {
  Arrays& a = *arrays_;
  const LearnerSettings& settings = a.settings;
  a.next.tape.input = a.observe(next_observation);
  a.sample(a.next, next_noise);
  a.q = a.q_value(a.critic_tape, a.observation, a.open.action);
  a.q_next = a.q_value(a.next_critic_tape, a.next.tape.input, a.next.action);

  a.reward_stat = reward - settings.entropy_coef * a.open.log_prob;
  const auto divisor = static_cast<float>(a.update_td_error_scale(terminated));
  const float bootstrap = terminated ? 0.0F : static_cast<float>(settings.discount);
  const auto soft_value = a.q_next - static_cast<float>(settings.entropy_coef * a.next.log_prob);
  a.td_error = (static_cast<float>(reward) + bootstrap * soft_value - a.q) / divisor;
  a.actor_loss = static_cast<float>(settings.entropy_coef * a.open.log_prob) - a.q;

  // One backward pass through Q(s, a) serves both: the actor needs dQ/da, the critic dQ/dw times a
  // scalar.
  a.critic.backward(a.critic_tape, a.value_head.weight.value.row(0).transpose());
  a.d_action.noalias() =
      a.critic.first.weight.value.rightCols(a.m).transpose() * a.critic.d_hidden1;
  a.update_actor();
  a.update_critic(-2.0F * a.td_error / divisor);
  a.observation = a.next.tape.input;
}

void EigenLearner::set_weights(const NamedValues& weights) {
  arrays_->for_each_array(
      [&](const std::string& network, const std::string& name, Parameter& array) {
        const std::vector<double>& values = weights.at(network + "/" + name);
        for (Eigen::Index i = 0; i < array.value.rows(); ++i) {
          for (Eigen::Index j = 0; j < array.value.cols(); ++j) {
            const auto at = static_cast<std::size_t>(i * array.value.cols() + j);
            array.value(i, j) = static_cast<float>(values.at(at));
          }
        }
      });
}

NamedValues EigenLearner::outputs() const {
  const Arrays& a = *arrays_;
  const auto number = [](auto x) { return std::vector<double>{static_cast<double>(x)}; };
  return {{"x", row_major(a.open.tape.input)},
          {"mu", row_major(a.open.mean)},
          {"log_std", row_major(a.open.log_variance)},
          {"pre", row_major(a.open.pre)},
          {"action", row_major(a.open.action)},
          {"logp", number(a.open.log_prob)},
          {"entropy", number(a.open.entropy)},
          {"r_stat", number(a.reward_stat)},
          {"G", number(a.return_before_clear)},
          {"sigma", number(a.td_error_scale)},
          {"q", number(a.q)},
          {"q_next", number(a.q_next)},
          {"delta", number(a.td_error)},
          {"critic_loss", number(a.td_error * a.td_error)},
          {"actor_loss", number(a.actor_loss)},
          {"next_action", row_major(a.next.action)},
          {"next_logp", number(a.next.log_prob)},
          {"dq_da", row_major(a.d_action)}};
}

NamedValues EigenLearner::state() const {
  Arrays& a = *arrays_;
  NamedValues values;
  a.for_each_array([&](const std::string& network, const std::string& name, Parameter& array) {
    values[network + "/" + name] = row_major(array.value);
    values[network + "_v/" + name] = row_major(array.second);
  });
  for (const Statistics* statistics : {&a.reward_statistics, &a.discount_statistics,
                                       &a.return_statistics, &a.return_square_statistics}) {
    values["scale"].insert(values["scale"].end(),
                           {statistics->count, statistics->mean, statistics->sum_squares});
  }
  values["G"] = {a.running_return};
  if (a.settings.observation_norm) {
    values["norm_mean"] = row_major(a.norm_mean);
    values["norm_var"] = row_major(a.norm_variance);
    values["norm_count"] = {a.norm_count};
  }
  return values;
}

}  // namespace instep

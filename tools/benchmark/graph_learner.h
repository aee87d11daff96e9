// AVG's update as one would write it for a GPU with cuBLAS: matrix products by the library, what
// lies between them by small kernels, and the whole as two CUDA graphs, one that draws an action
// and one that learns from what followed. It is what the fused CUDA kernels are measured against,
// and shares no code with them.
//
// Queue is what takes the calls in order: CublasQueue on a GPU, in tests the host.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

#include "kernels/philox.h"
#include "kernels/settings.h"
#include "tools/benchmark/graph_kernels.h"
#include "tools/benchmark/named_values.h"
#include "tools/library/error.h"

namespace instep {

template <typename Queue>
class GraphLearner {
 public:
  // Starts from random weights of a linear layer's usual size. AVG with beta1 = 0 and every
  // normalisation only: throws DataError for others.
  GraphLearner(Queue& queue, const Shape& shape, const LearnerSettings& settings);

  // Opens an episode with a raw observation [observation_dim].
  void begin_episode(const double* observation);
  // Draws an action [action_dim] at the newest observation by standard normal noise [action_dim];
  // valid until the next call.
  const float* act(const float* noise);
  // Learns from the action drawn last: what followed it, and noise [action_dim] for the target's
  // action.
  void update(const double* next_observation, double reward, bool terminated,
              const float* next_noise);

  // A step as act() and update() make it, from what the host sent last; does not wait for its end.
  void replay_step() {
    queue_.replay(act_graph_);
    queue_.replay(update_graph_);
  }

  // By the names of the golden files, as EigenLearner's.
  void set_weights(const NamedValues& weights);
  NamedValues outputs();
  NamedValues state();

 private:
  // Flat arrays of weights, gradients and second moments in one order; a layer's gradient before
  // its nonlinearity is its bias's gradient, so it stands there from the start.
  struct Network {
    int inputs = 0;
    int rows = 0;
    std::size_t w1 = 0, b1 = 0, w2 = 0, b2 = 0, w_head = 0, b_head = 0, floats = 0;
    float* weights = nullptr;
    float* gradient = nullptr;
    float* second = nullptr;
  };
  struct Tape {
    float* input = nullptr;    // [observation_dim + action_dim]
    float* hidden1 = nullptr;  // [hidden]
    float* hidden2 = nullptr;
    float* feature = nullptr;  // [hidden + 1]: its inverse length at the end
    float* head = nullptr;     // [rows], without biases
  };

  Network make_network(int inputs, int rows, std::uint64_t seed);
  Tape make_tape(float* input, int rows);
  void launch(graph::Kernel kernel, int count, float* out, const float* in,
              const float* in2 = nullptr, float* out2 = nullptr, int which = 0);
  void forward(const Network& network, const Tape& tape);
  void backward(const Network& network, const Tape& tape, const float* d_feature);
  void set_gradient(const Network& network, const Tape& tape);
  void record_act();
  void record_update();
  void normalize(const double* observation);
  void send_input();
  std::vector<double> fetch(const float* from, std::size_t count);
  template <typename Visit>
  void for_each_array(const Visit& visit);

  Queue& queue_;
  int n_;
  int m_;
  int hidden_;
  Network actor_;
  Network critic_;
  Tape open_actor_;
  Tape next_actor_;
  Tape open_critic_;
  Tape next_critic_;
  float* d_feature_;
  float* d_action_;
  graph::Scalars* scalars_;
  graph::Input* input_;  // on the host
  float* action_;        // on the host
  int act_graph_ = 0;
  int update_graph_ = 0;
  std::vector<double> norm_mean_;
  std::vector<double> norm_variance_;
  double norm_count_ = 1e-4;
};

template <typename Queue>
GraphLearner<Queue>::GraphLearner(Queue& queue, const Shape& shape, const LearnerSettings& settings)
    : queue_(queue),
      n_(shape.observation_dim),
      m_(shape.action_dim),
      hidden_(shape.hidden_dim),
      norm_mean_(static_cast<std::size_t>(n_)),
      norm_variance_(static_cast<std::size_t>(n_), 1.0) {
  if (settings.algorithm != Algorithm::kAvg || settings.beta1 != 0.0 ||
      !settings.observation_norm || !settings.feature_norm || !settings.td_error_scaling) {
    throw DataError("the cuBLAS peer knows AVG with beta1 = 0 and every normalisation only");
  }
  actor_ = make_network(n_, 2 * m_, 1);
  critic_ = make_network(n_ + m_, 1, 2);
  const auto inputs = static_cast<std::size_t>(n_ + m_);
  float* open = queue_.template take<float>(inputs);
  float* next = queue_.template take<float>(inputs);
  open_actor_ = make_tape(open, actor_.rows);
  next_actor_ = make_tape(next, actor_.rows);
  open_critic_ = make_tape(open, critic_.rows);
  next_critic_ = make_tape(next, critic_.rows);
  d_feature_ = queue_.template take<float>(static_cast<std::size_t>(hidden_));
  d_action_ = queue_.template take<float>(static_cast<std::size_t>(m_));
  scalars_ = queue_.template take<graph::Scalars>(1);
  input_ = queue_.template take_host<graph::Input>(1);
  action_ = queue_.template take_host<float>(kActionDimMax);
  graph::Scalars scalars{};
  scalars.observation_dim = n_;
  scalars.action_dim = m_;
  scalars.discount = settings.discount;
  scalars.entropy_coef = settings.entropy_coef;
  scalars.actor_lr = settings.actor_lr;
  scalars.critic_lr = settings.critic_lr;
  scalars.beta2 = settings.beta2;
  scalars.adam_eps = settings.adam_eps;
  scalars.beta2_power = 1.0;
  queue_.upload(scalars_, &scalars, sizeof scalars);
  queue_.wait();
  act_graph_ = queue_.record([this] { record_act(); });
  update_graph_ = queue_.record([this] { record_update(); });
}

template <typename Queue>
auto GraphLearner<Queue>::make_network(int inputs, int rows, std::uint64_t seed) -> Network {
  Network network;
  network.inputs = inputs;
  network.rows = rows;
  std::size_t at = 0;
  const auto take = [&](std::size_t& offset, int count) {
    offset = at;
    at += static_cast<std::size_t>(count);
  };
  take(network.w1, hidden_ * inputs);
  take(network.b1, hidden_);
  take(network.w2, hidden_ * hidden_);
  take(network.b2, hidden_);
  take(network.w_head, rows * hidden_);
  take(network.b_head, rows);
  network.floats = at;
  for (float** array : {&network.weights, &network.gradient, &network.second}) {
    *array = queue_.template take<float>(at);
  }
  std::vector<float> weights(at);
  const Random random{seed, static_cast<std::uint32_t>(Stream::kInitialWeights)};
  const auto draw = [&](std::size_t offset, std::uint64_t step, int layer_inputs, int outputs) {
    float* out = weights.data() + offset;
    random.normal(step, out, layer_inputs * outputs);
    for (int i = 0; i < layer_inputs * outputs; ++i) {
      out[i] /= std::sqrt(static_cast<float>(layer_inputs));
    }
  };
  draw(network.w1, 0, inputs, hidden_);
  draw(network.w2, 1, hidden_, hidden_);
  draw(network.w_head, 2, hidden_, rows);
  queue_.upload(network.weights, weights.data(), at * sizeof(float));
  queue_.wait();
  return network;
}

template <typename Queue>
auto GraphLearner<Queue>::make_tape(float* input, int rows) -> Tape {
  const auto hidden = static_cast<std::size_t>(hidden_);
  Tape tape;
  tape.input = input;
  tape.hidden1 = queue_.template take<float>(hidden);
  tape.hidden2 = queue_.template take<float>(hidden);
  tape.feature = queue_.template take<float>(hidden + 1);
  tape.head = queue_.template take<float>(static_cast<std::size_t>(rows));
  return tape;
}

template <typename Queue>
void GraphLearner<Queue>::launch(graph::Kernel kernel, int count, float* out, const float* in,
                                 const float* in2, float* out2, int which) {
  // What adds over the whole of a vector is one block's; the rest has a thread for each number.
  const bool is_elementwise = kernel == graph::kCopy || kernel == graph::kLeaky ||
                              kernel == graph::kMask || kernel == graph::kScale ||
                              kernel == graph::kAdam;
  const int blocks = is_elementwise ? (count + graph::kThreads - 1) / graph::kThreads : 1;
  queue_.launch(blocks, {kernel, count, which, out, out2, in, in2, scalars_});
}

template <typename Queue>
void GraphLearner<Queue>::forward(const Network& network, const Tape& tape) {
  const float* w = network.weights;
  queue_.multiply(w + network.w1, hidden_, network.inputs, tape.input, tape.hidden1);
  launch(graph::kLeaky, hidden_, tape.hidden1, w + network.b1);
  queue_.multiply(w + network.w2, hidden_, hidden_, tape.hidden1, tape.hidden2);
  launch(graph::kNormalize, hidden_, tape.hidden2, w + network.b2, nullptr, tape.feature);
  queue_.multiply(w + network.w_head, network.rows, hidden_, tape.feature, tape.head);
}

template <typename Queue>
void GraphLearner<Queue>::backward(const Network& network, const Tape& tape,
                                   const float* d_feature) {
  float* d1 = network.gradient + network.b1;
  float* d2 = network.gradient + network.b2;
  launch(graph::kJacobian, hidden_, d2, d_feature, tape.feature);
  queue_.multiply_transposed(network.weights + network.w2, hidden_, hidden_, hidden_, d2, d1);
  launch(graph::kMask, hidden_, d1, tape.hidden1);
}

template <typename Queue>
void GraphLearner<Queue>::set_gradient(const Network& network, const Tape& tape) {
  float* g = network.gradient;
  queue_.outer(hidden_, network.inputs, g + network.b1, tape.input, g + network.w1);
  queue_.outer(hidden_, hidden_, g + network.b2, tape.hidden1, g + network.w2);
  queue_.outer(network.rows, hidden_, g + network.b_head, tape.feature, g + network.w_head);
}

template <typename Queue>
void GraphLearner<Queue>::record_act() {
  send_input();
  launch(graph::kCopy, n_, open_actor_.input, next_actor_.input);
  forward(actor_, open_actor_);
  launch(graph::kSample, 0, open_actor_.input + n_, open_actor_.head,
         actor_.weights + actor_.b_head);
  queue_.download(action_, open_actor_.input + n_, static_cast<std::size_t>(m_) * sizeof(float));
}

template <typename Queue>
void GraphLearner<Queue>::record_update() {
  send_input();
  launch(graph::kCopy, n_, next_actor_.input, scalars_->input.observation);
  forward(actor_, next_actor_);
  launch(graph::kSample, 0, next_actor_.input + n_, next_actor_.head,
         actor_.weights + actor_.b_head, nullptr, 1);
  forward(critic_, open_critic_);
  forward(critic_, next_critic_);
  launch(graph::kTdError, 0, critic_.weights + critic_.b_head, open_critic_.head, next_critic_.head,
         critic_.gradient + critic_.b_head);

  // One way back through Q(s, a) serves both: the actor needs dQ/da, the critic dQ/dw times its
  // slope.
  float* g = critic_.gradient;
  backward(critic_, open_critic_, critic_.weights + critic_.w_head);
  queue_.multiply_transposed(critic_.weights + critic_.w1 + n_, hidden_, m_, critic_.inputs,
                             g + critic_.b1, d_action_);
  launch(graph::kActorHead, 0, actor_.gradient + actor_.b_head, d_action_);
  queue_.multiply_transposed(actor_.weights + actor_.w_head, actor_.rows, hidden_, hidden_,
                             actor_.gradient + actor_.b_head, d_feature_);
  backward(actor_, open_actor_, d_feature_);
  set_gradient(actor_, open_actor_);
  launch(graph::kScale, hidden_, g + critic_.b1, nullptr);
  launch(graph::kScale, hidden_, g + critic_.b2, nullptr);
  set_gradient(critic_, open_critic_);
  launch(graph::kAdam, static_cast<int>(actor_.floats), actor_.weights, actor_.gradient, nullptr,
         actor_.second, 0);
  launch(graph::kAdam, static_cast<int>(critic_.floats), critic_.weights, critic_.gradient, nullptr,
         critic_.second, 1);
}

template <typename Queue>
void GraphLearner<Queue>::send_input() {
  queue_.upload(&scalars_->input, input_, sizeof *input_);
}

// Gymnasium's NormalizeObservation, on the host.
template <typename Queue>
void GraphLearner<Queue>::normalize(const double* observation) {
  const double total = norm_count_ + 1.0;
  for (std::size_t i = 0; i < norm_mean_.size(); ++i) {
    const double delta = observation[i] - norm_mean_[i];
    norm_mean_[i] += delta / total;
    norm_variance_[i] =
        (norm_variance_[i] * norm_count_ + delta * delta * norm_count_ / total) / total;
    input_->observation[i] =
        static_cast<float>((observation[i] - norm_mean_[i]) / std::sqrt(norm_variance_[i] + 1e-8));
  }
  norm_count_ = total;
}

template <typename Queue>
void GraphLearner<Queue>::begin_episode(const double* observation) {
  normalize(observation);
  queue_.upload(next_actor_.input, input_->observation, norm_mean_.size() * sizeof(float));
  queue_.wait();
}

template <typename Queue>
const float* GraphLearner<Queue>::act(const float* noise) {
  std::copy_n(noise, m_, input_->noise);
  queue_.replay(act_graph_);
  queue_.wait();
  return action_;
}

template <typename Queue>
void GraphLearner<Queue>::update(const double* next_observation, double reward, bool terminated,
                                 const float* next_noise) {
  normalize(next_observation);
  std::copy_n(next_noise, m_, input_->next_noise);
  input_->reward = reward;
  input_->terminated = terminated ? 1 : 0;
  queue_.replay(update_graph_);
  queue_.wait();
}

// Calls visit(network's name, array's name, network, offset, count) for each array.
template <typename Queue>
template <typename Visit>
void GraphLearner<Queue>::for_each_array(const Visit& visit) {
  for (const bool is_actor : {true, false}) {
    const Network& net = is_actor ? actor_ : critic_;
    const char* name = is_actor ? "actor" : "critic";
    const auto size = [](int count) { return static_cast<std::size_t>(count); };
    visit(name, "w1", net, net.w1, size(hidden_ * net.inputs));
    visit(name, "b1", net, net.b1, size(hidden_));
    visit(name, "w2", net, net.w2, size(hidden_ * hidden_));
    visit(name, "b2", net, net.b2, size(hidden_));
    if (!is_actor) {
      visit(name, "w_o", net, net.w_head, size(hidden_));
      visit(name, "b_o", net, net.b_head, size(1));
      continue;
    }
    const std::size_t half = size(m_ * hidden_);
    visit(name, "w_mu", net, net.w_head, half);
    visit(name, "b_mu", net, net.b_head, size(m_));
    visit(name, "w_l", net, net.w_head + half, half);
    visit(name, "b_l", net, net.b_head + size(m_), size(m_));
  }
}

template <typename Queue>
void GraphLearner<Queue>::set_weights(const NamedValues& weights) {
  for_each_array([&](const std::string& network, const std::string& name, const Network& net,
                     std::size_t offset, std::size_t count) {
    const std::vector<double>& values = weights.at(network + "/" + name);
    std::vector<float> floats(count);
    std::transform(values.begin(), values.end(), floats.begin(),
                   [](double x) { return static_cast<float>(x); });
    queue_.upload(net.weights + offset, floats.data(), count * sizeof(float));
    queue_.wait();
  });
}

template <typename Queue>
std::vector<double> GraphLearner<Queue>::fetch(const float* from, std::size_t count) {
  std::vector<float> floats(count);
  queue_.download(floats.data(), from, count * sizeof(float));
  queue_.wait();
  return {floats.begin(), floats.end()};
}

template <typename Queue>
NamedValues GraphLearner<Queue>::outputs() {
  graph::Scalars s;
  queue_.download(&s, scalars_, sizeof s);
  queue_.wait();
  const auto number = [](auto x) { return std::vector<double>{static_cast<double>(x)}; };
  const auto array = [&](const float* values) { return std::vector<double>(values, values + m_); };
  return {{"x", fetch(open_actor_.input, static_cast<std::size_t>(n_))},
          {"mu", array(s.open.mean)},
          {"log_std", array(s.open.log_variance)},
          {"pre", array(s.open.pre)},
          {"action", array(s.open.action)},
          {"logp", number(s.open.log_prob)},
          {"entropy", number(s.open.entropy)},
          {"r_stat", number(s.reward_stat)},
          {"G", number(s.return_before_clear)},
          {"sigma", number(s.td_error_scale)},
          {"q", number(s.q)},
          {"q_next", number(s.q_next)},
          {"delta", number(s.td_error)},
          {"critic_loss", number(s.td_error * s.td_error)},
          {"actor_loss", number(s.actor_loss)},
          {"next_action", array(s.next.action)},
          {"next_logp", number(s.next.log_prob)},
          {"dq_da", fetch(d_action_, static_cast<std::size_t>(m_))}};
}

template <typename Queue>
NamedValues GraphLearner<Queue>::state() {
  NamedValues values;
  for_each_array([&](const std::string& network, const std::string& name, const Network& net,
                     std::size_t offset, std::size_t count) {
    values[network + "/" + name] = fetch(net.weights + offset, count);
    values[network + "_v/" + name] = fetch(net.second + offset, count);
  });
  graph::Scalars s;
  queue_.download(&s, scalars_, sizeof s);
  queue_.wait();
  for (const graph::Moments* moments : {&s.reward, &s.discounts, &s.returns, &s.return_squares}) {
    auto& all = values["scale"];
    all.insert(all.end(), {moments->count, moments->mean, moments->sum_squares});
  }
  values["G"] = {s.running_return};
  values["norm_mean"] = norm_mean_;
  values["norm_var"] = norm_variance_;
  values["norm_count"] = {norm_count_};
  return values;
}

}  // namespace instep

#include "tools/library/check/golden_tensors.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <set>

#include "tools/library/error.h"

namespace instep {
namespace {

constexpr std::int64_t kSmallLayerWeights = 1024;
// The tolerances of tests/golden reach 0.06 % of the largest number; one that allows more than this
// would let a wrong learner pass.
constexpr double kToleranceMax = 0.01;
constexpr double kToleranceFloor = 1e-9;  // for numbers that are all but zero
constexpr std::size_t kNamesMax = 5;      // in a message

// The arrays of one network: `heads` rows of outputs from `inputs` numbers.
struct GoldenArray {
  std::string name;
  std::vector<std::int64_t> shape;
};

std::vector<GoldenArray> network_arrays(std::int64_t inputs, std::int64_t hidden,
                                        std::int64_t heads, bool is_actor) {
  std::vector<GoldenArray> arrays = {
      {"w1", {hidden, inputs}}, {"b1", {hidden}}, {"w2", {hidden, hidden}}, {"b2", {hidden}}};
  if (is_actor) {
    arrays.insert(
        arrays.end(),
        {{"w_mu", {heads, hidden}}, {"b_mu", {heads}}, {"w_l", {heads, hidden}}, {"b_l", {heads}}});
  } else {
    arrays.insert(arrays.end(), {{"w_o", {heads, hidden}}, {"b_o", {heads}}});
  }
  return arrays;
}

// Collects the tensors of a learner's file.
class GoldenSet {
 public:
  explicit GoldenSet(const GoldenLearner& learner);
  std::vector<GoldenTensor> take() { return std::move(tensors_); }

 private:
  void add_inputs();
  void add_steps();
  void add_networks(const std::string& prefix, const GoldenTensor& like);
  void add_final_networks(const std::string& suffix, const GoldenTensor& like);
  void add_final();

  const GoldenLearner& learner_;
  bool is_second_layer_large_;
  std::vector<GoldenTensor> tensors_;
};

GoldenSet::GoldenSet(const GoldenLearner& learner) : learner_(learner) {
  const std::int64_t hidden = learner.shape.hidden_dim;
  is_second_layer_large_ = hidden * hidden > kSmallLayerWeights;
  add_inputs();
  add_networks("init/", {.use = GoldenUse::kInput, .type = "F32"});
  add_steps();
  const bool is_large =
      is_second_layer_large_ || hidden * learner.shape.observation_dim > kSmallLayerWeights;
  if (!is_large) add_networks("grad1/", {});
  for (const std::int64_t checkpoint : learner.checkpoints) {
    add_networks("ckpt/" + std::to_string(checkpoint) + '/', {});
  }
  add_final();
}

void GoldenSet::add_inputs() {
  const std::int64_t steps = learner_.steps;
  const std::int64_t observation_dim = learner_.shape.observation_dim;
  const std::int64_t action_dim = learner_.shape.action_dim;
  const auto add = [&](const char* name, std::vector<std::int64_t> shape,
                       const char* type = "F64") {
    tensors_.push_back(
        {.name = name, .shape = std::move(shape), .use = GoldenUse::kInput, .type = type});
  };
  add("in/obs0", {observation_dim});
  add("in/next_obs", {steps, observation_dim});
  add("in/reward", {steps});
  add("in/terminated", {steps}, "U8");
  add("in/truncated", {steps}, "U8");
  add("in/eps", {steps, action_dim});
  add("in/eps_next", {steps, action_dim});
}

void GoldenSet::add_steps() {
  const auto add = [&](const char* name, std::int64_t columns) {
    tensors_.push_back({.name = std::string("out/") + name,
                        .shape = {learner_.steps, columns},
                        .use = GoldenUse::kPerStep});
  };
  add("x", learner_.shape.observation_dim);
  for (const char* name : {"mu", "log_std", "pre", "action"}) add(name, learner_.shape.action_dim);
  for (const char* name : {"logp", "entropy", "actor_loss", "q", "r_stat", "G", "sigma", "q_next",
                           "delta", "critic_loss"}) {
    add(name, 1);
  }
  if (!has_q_critic(learner_.algorithm)) return;
  for (const char* name : {"next_action", "dq_da"}) add(name, learner_.shape.action_dim);
  add("next_logp", 1);
}

// Both networks' arrays under PREFIXactor/ and PREFIXcritic/, each like `like`.
void GoldenSet::add_networks(const std::string& prefix, const GoldenTensor& like) {
  const Shape& shape = learner_.shape;
  const bool sees_action = has_q_critic(learner_.algorithm);
  for (const bool is_actor : {true, false}) {
    const int inputs = shape.observation_dim + (!is_actor && sees_action ? shape.action_dim : 0);
    for (const GoldenArray& array :
         network_arrays(inputs, shape.hidden_dim, is_actor ? shape.action_dim : 1, is_actor)) {
      GoldenTensor tensor = like;
      tensor.name = prefix + (is_actor ? "actor" : "critic") + '/' + array.name;
      tensor.shape = array.shape;
      tensors_.push_back(tensor);
    }
  }
}

// final/actorSUFFIX/ and final/criticSUFFIX/.
void GoldenSet::add_final_networks(const std::string& suffix, const GoldenTensor& like) {
  const std::size_t first = tensors_.size();
  add_networks("final/", like);
  for (std::size_t i = first; i < tensors_.size(); ++i) {
    GoldenTensor& tensor = tensors_[i];
    tensor.name.insert(tensor.name.rfind('/'), suffix);
    const std::int64_t count = std::accumulate(tensor.shape.begin(), tensor.shape.end(),
                                               std::int64_t{1}, std::multiplies<>());
    if (is_second_layer_large_ && count > kSmallLayerWeights) tensor.type = "F32";
  }
  if (suffix.empty() || !is_second_layer_large_) return;
  std::erase_if(tensors_,
                [&](const GoldenTensor& tensor) { return tensor.name.ends_with(suffix + "/w2"); });
}

void GoldenSet::add_final() {
  add_final_networks("", {});
  add_final_networks("_v", {});
  if (learner_.algorithm != Algorithm::kRac) {
    // With a beta1 of 0 the first moment is the last gradient, which no learner keeps.
    add_final_networks("_m", {.is_compared = learner_.has_first_moments});
  } else if (learner_.has_trace) {
    add_final_networks("_e", {});
    std::erase_if(tensors_, [](const GoldenTensor& tensor) {
      return tensor.name.starts_with("final/actor_e/");
    });
  }
  const auto add = [&](const char* name, std::vector<std::int64_t> shape) {
    tensors_.push_back({.name = name, .shape = std::move(shape)});
  };
  add("final/G", {1});
  add("final/scale", {4, 3});
  if (!learner_.observation_norm) return;
  add("final/norm_mean", {learner_.shape.observation_dim});
  add("final/norm_var", {learner_.shape.observation_dim});
  add("final/norm_count", {1});
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return '[' + text + ']';
}

void check_form(const std::string& name, const Tensor& tensor, const std::string& type,
                const std::vector<std::int64_t>& shape) {
  if (tensor.type == type && tensor.shape == shape) return;
  throw DataError("tensor " + name + " has the type and shape " + tensor.type + ' ' +
                  shape_text(tensor.shape) + "; the configuration implies " + type + ' ' +
                  shape_text(shape));
}

// Answers the largest absolute value.
double check_finite(const std::string& name, const Tensor& tensor) {
  double largest = 0.0;
  for (std::size_t i = 0; i < tensor.values.size(); ++i) {
    if (!std::isfinite(tensor.values[i])) {
      throw DataError("tensor " + name + ": number " + std::to_string(i) + " is not finite");
    }
    largest = std::max(largest, std::fabs(tensor.values[i]));
  }
  return largest;
}

void check_tolerance(const TensorFile& file, const GoldenTensor& tensor, double largest) {
  const std::string name = "tol/" + tensor.name;
  const Tensor& tolerance = file.tensors.at(name);
  check_form(name, tolerance, "F64", {tensor.use == GoldenUse::kPerStep ? tensor.shape[0] : 1});
  for (const double value : tolerance.values) {
    if (!(value > 0.0)) throw DataError("tensor " + name + ": a tolerance must be above 0");
    if (value <= kToleranceMax * largest + kToleranceFloor) continue;
    throw DataError("tensor " + name + " allows a difference of " + std::to_string(value) +
                    ", more than 1 % of the largest number (" + std::to_string(largest) +
                    "): nothing would be shown");
  }
}

// "lacks 3 tensors ...: a, b, c"
[[noreturn]] void throw_names(const std::string& what, const std::vector<std::string>& names) {
  std::string text = what + ": ";
  for (std::size_t i = 0; i < std::min(names.size(), kNamesMax); ++i) {
    text += (i > 0 ? ", " : "") + names[i];
  }
  if (names.size() > kNamesMax) {
    text += " and " + std::to_string(names.size() - kNamesMax) + " more";
  }
  throw DataError(text);
}

bool has_tolerance(const GoldenTensor& tensor) {
  return tensor.use != GoldenUse::kInput && tensor.has_tolerance;
}

// Throws when the file lacks one that it must hold, or holds one that nothing would compare.
void check_names(const TensorFile& file, const std::vector<GoldenTensor>& tensors) {
  std::vector<std::string> missing;
  std::set<std::string> known;
  for (const GoldenTensor& tensor : tensors) {
    std::vector<std::string> names = {tensor.name};
    if (has_tolerance(tensor)) names.push_back("tol/" + tensor.name);
    for (const std::string& name : names) {
      known.insert(name);
      if (!file.tensors.contains(name)) missing.push_back(name);
    }
  }
  if (!missing.empty()) {
    throw_names("lacks " + std::to_string(missing.size()) +
                    " of the tensors that its configuration implies",
                missing);
  }
  std::vector<std::string> unknown;
  for (const auto& [name, tensor] : file.tensors) {
    if (!known.contains(name)) unknown.push_back(name);
  }
  if (unknown.empty()) return;
  throw_names("holds " + std::to_string(unknown.size()) +
                  " tensors that its configuration does not imply: nothing would compare them",
              unknown);
}

}  // namespace

std::vector<GoldenTensor> golden_tensors(const GoldenLearner& learner) {
  return GoldenSet(learner).take();
}

void check_golden_tensors(const TensorFile& file, const std::vector<GoldenTensor>& tensors) {
  check_names(file, tensors);
  for (const GoldenTensor& tensor : tensors) {
    const Tensor& found = file.tensors.at(tensor.name);
    check_form(tensor.name, found, tensor.type, tensor.shape);
    const double largest = check_finite(tensor.name, found);
    if (has_tolerance(tensor)) check_tolerance(file, tensor, largest);
  }
  if (file.unnamed_bytes == 0) return;
  throw DataError("bytes that belong to none of its tensors: " +
                  std::to_string(file.unnamed_bytes) + "; nothing would compare them");
}

std::int64_t golden_number(const TensorFile& file, const char* key, std::int64_t low,
                           std::int64_t high) {
  const auto found = file.config.find(key);
  const bool is_whole = found != file.config.end() && found->is_number_integer();
  const bool fits =
      is_whole && (!found->is_number_unsigned() || found->get<std::uint64_t>() <= INT64_MAX);
  const std::int64_t value = fits ? found->get<std::int64_t>() : low - 1;
  if (value >= low && value <= high) return value;
  throw DataError(std::string("config: ") + key + " must be a whole number from " +
                  std::to_string(low) + " to " + std::to_string(high));
}

}  // namespace instep

// The benchmark's C++ peers against the golden files.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/settings.h"
#include "kernels/shape.h"
#include "tools/benchmark/named_values.h"
#include "tools/library/check/safetensors.h"
#include "tools/library/check/verify_learner.h"
#include "tools/library/error.h"

namespace instep {

inline LearnerSettings golden_settings(const nlohmann::json& config) {
  LearnerSettings settings;
  if (config.at("algo") != "avg" || config.at("beta1") != 0.0) {
    throw DataError("the benchmark's peers know AVG with beta1 = 0 only");
  }
  settings.hidden = config.at("hidden");
  settings.discount = config.at("gamma");
  settings.entropy_coef = config.at("alpha");
  settings.actor_lr = config.at("actor_lr");
  settings.critic_lr = config.at("critic_lr");
  settings.observation_norm = config.at("obs_norm");
  settings.feature_norm = config.at("pnorm");
  settings.td_error_scaling = config.at("td_scale");
  return settings;
}

inline const double* golden_row(const TensorFile& file, const std::string& name, std::size_t index,
                                std::size_t columns) {
  const std::vector<double>& values = file.tensors.at(name).values;
  if (values.size() < (index + 1) * columns) throw DataError("tensor " + name + " is too short");
  return values.data() + index * columns;
}

// Compares each array that the file has under `prefix`; the file's row `step` where it holds many.
inline void compare_golden(const TensorFile& file, const std::string& prefix,
                           const NamedValues& ours, std::size_t step, WorstError& worst) {
  for (const auto& [name, values] : ours) {
    const std::string tensor = prefix + name;
    if (!file.tensors.contains(tensor)) continue;
    const bool is_series = prefix == "out/";
    const double* truth = golden_row(file, tensor, is_series ? step : 0, values.size());
    const double tolerance = *golden_row(file, "tol/" + tensor, is_series ? step : 0, 1);
    for (std::size_t i = 0; i < values.size(); ++i) {
      worst.compare(values[i], truth[i], tolerance, tensor, static_cast<std::int64_t>(step));
    }
  }
}

// Replays an AVG golden file with beta1 = 0 through the learner that make(shape, settings) answers
// a pointer to, and compares every output of every update and the state at the end. Throws
// DataError for a file that is not of this kind.
template <typename Make>
void replay_peer(const TensorFile& file, const Make& make, WorstError& worst) {
  const Shape shape{file.config.at("n"), file.config.at("m"), file.config.at("hidden")};
  const auto made = make(shape, golden_settings(file.config));
  auto& learner = *made;
  NamedValues weights;
  for (const auto& [name, tensor] : file.tensors) {
    if (name.starts_with("init/")) weights[name.substr(5)] = tensor.values;
  }
  learner.set_weights(weights);

  const auto n = static_cast<std::size_t>(shape.observation_dim);
  const auto m = static_cast<std::size_t>(shape.action_dim);
  const auto noise = [&](const std::string& name, std::size_t step) {
    const double* draws = golden_row(file, name, step, m);
    std::vector<float> floats(m);
    std::transform(draws, draws + m, floats.begin(),
                   [](double x) { return static_cast<float>(x); });
    return floats;
  };
  const auto steps = file.config.at("steps").get<std::size_t>();
  std::size_t resets = 0;
  learner.begin_episode(golden_row(file, "in/obs0", 0, n));
  for (std::size_t t = 0; t < steps; ++t) {
    const bool terminated = *golden_row(file, "in/terminated", t, 1) != 0.0;
    const bool truncated = *golden_row(file, "in/truncated", t, 1) != 0.0;
    learner.act(noise("in/eps", t).data());
    learner.update(golden_row(file, "in/next_obs", t, n), *golden_row(file, "in/reward", t, 1),
                   terminated, noise("in/eps_next", t).data());
    compare_golden(file, "out/", learner.outputs(), t, worst);
    if (terminated || truncated)
      learner.begin_episode(golden_row(file, "in/reset_obs", resets++, n));
  }
  compare_golden(file, "final/", learner.state(), steps, worst);
}

}  // namespace instep

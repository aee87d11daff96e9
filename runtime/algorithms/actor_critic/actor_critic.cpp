#include "runtime/algorithms/actor_critic/actor_critic.h"

#include <array>
#include <type_traits>

#include "kernels/check.h"
#include "kernels/decayed_maximum.h"
#include "runtime/algorithms/actor_critic/apart_agent.h"
#include "runtime/cuda/cuda_learner.h"
#include "runtime/cuda/emulated_device.h"

namespace instep {
namespace {

// A key and the member that it sets.
struct LearnerKey {
  Setting setting;
  void (*put)(LearnerSettings& settings, double value) = nullptr;
};

template <auto member>
void put(LearnerSettings& settings, double value) {
  auto& place = settings.*member;
  place = static_cast<std::remove_reference_t<decltype(place)>>(value);
}

// Its initial value is the member's.
template <auto member>
constexpr LearnerKey key(Setting setting) {
  setting.initial = static_cast<double>(LearnerSettings{}.*member);
  return {setting, put<member>};
}

// In the order of the enumeration.
constexpr std::array<std::string_view, 2> kTruncationReturnWords = {"carry", "push"};

// Of every learner here.
constexpr LearnerKey kDiscount =
    key<&LearnerSettings::discount>({.name = "discount",
                                     .max = 1.0,
                                     .unit = "per step",
                                     .help = "weight of the next step's value (gamma)"});
constexpr LearnerKey kHidden = key<&LearnerSettings::hidden>({.name = "hidden",
                                                              .kind = SettingKind::kInteger,
                                                              .min = 4.0,
                                                              .max = kHiddenDimMax,
                                                              .multiple_of = 4,
                                                              .unit = "units",
                                                              .help = "size of each hidden layer"});
constexpr LearnerKey kObservationNorm = key<&LearnerSettings::observation_norm>(
    boolean_setting("observation_norm", true, "normalise observations"));
constexpr LearnerKey kObservationNormHorizon = key<&LearnerSettings::observation_norm_horizon>(
    {.name = "observation_norm_horizon",
     .kind = SettingKind::kInteger,
     .min = 2.0,
     .max = 1e12,
     .or_zero = true,
     .unit = "steps",
     .help = "how far back observation statistics reach; 0: the whole life"});

constexpr std::array kKeys = {
    kDiscount,
    key<&LearnerSettings::entropy_coef>({.name = "entropy_coef",
                                         .max = 100.0,
                                         .unit = "reward per nat",
                                         .help = "reward for acting at random (eta)"}),
    key<&LearnerSettings::actor_lr>({.name = "actor_lr",
                                     .max = 1.0,
                                     .above_min = true,
                                     .help = "step size of the actor's Adam"}),
    key<&LearnerSettings::critic_lr>({.name = "critic_lr",
                                      .max = 1.0,
                                      .above_min = true,
                                      .help = "step size of the critic's Adam"}),
    key<&LearnerSettings::beta1>({.name = "beta1",
                                  .max = 1.0,
                                  .below_max = true,
                                  .unit = "per update",
                                  .help = "decay of Adam's first moment; 0 stores none"}),
    key<&LearnerSettings::beta2>({.name = "beta2",
                                  .max = 1.0,
                                  .below_max = true,
                                  .unit = "per update",
                                  .help = "decay of Adam's second moment"}),
    // Adam divides by it in single precision, where anything much smaller would be 0.
    key<&LearnerSettings::adam_eps>({.name = "adam_eps",
                                     .min = 1e-30,
                                     .max = 1.0,
                                     .help = "added to the root of Adam's second moment"}),
    kHidden,
    kObservationNorm,
    key<&LearnerSettings::feature_norm>(
        boolean_setting("feature_norm", true, "scale the last hidden layer to length 1")),
    key<&LearnerSettings::td_error_scaling>(
        boolean_setting("td_error_scaling", true, "divide the TD error by its scale")),
    key<&LearnerSettings::truncation_return>(
        choice_setting("truncation_return", kTruncationReturnWords,
                       "what a time limit does to the running return that scales the TD error")),
    kObservationNormHorizon,
};

// RAC's own, with the initial values of its one setting.
constexpr std::array kRacKeys = {
    kDiscount,
    key<&LearnerSettings::entropy_coef>({.name = "entropy_coef",
                                         .max = 100.0,
                                         .unit = "reward scales per nat",
                                         .help = "reward for acting at random (eta)"}),
    key<&LearnerSettings::actor_lr>({.name = "actor_lr",
                                     .max = 1.0,
                                     .above_min = true,
                                     .help = "largest step of an actor's weight"}),
    key<&LearnerSettings::critic_lr>({.name = "critic_lr",
                                      .max = 1.0,
                                      .above_min = true,
                                      .help = "largest step of a critic's weight"}),
    key<&LearnerSettings::trace_decay>({.name = "trace_decay",
                                        .max = 0.999,
                                        .unit = "per step",
                                        .help = "decay of the critic's trace (lambda); 0: none"}),
    key<&LearnerSettings::maximum_decay>(
        {.name = "maximum_decay",
         .max = 1.0,
         .above_min = true,
         .below_max = true,
         .unit = "per update",
         .help = "decay of the largest gradient that a weight's step is divided by"}),
    kHidden,
    kObservationNorm,
    kObservationNormHorizon,
};

using Table = std::array<Setting, kKeys.size()>;

constexpr Table avg_settings() {
  Table table;
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = kKeys[i].setting;
  return table;
}

// IAC's published example (the reference's README: hyper-parameter seed 294, Hopper). None are
// published for other tasks.
constexpr Table iac_settings() {
  Table table = avg_settings();
  for (Setting& setting : table) {
    if (setting.name == "discount") setting.initial = 0.97;
    if (setting.name == "entropy_coef") setting.initial = 0.8;
    if (setting.name == "actor_lr") setting.initial = 2.2e-5;
    if (setting.name == "critic_lr") setting.initial = 3.9e-4;
    if (setting.name == "beta1") setting.initial = 0.9;
  }
  return table;
}

// One for every task (docs/one_setting.md).
constexpr std::array<Setting, kRacKeys.size()> rac_settings() {
  std::array<Setting, kRacKeys.size()> table;
  for (std::size_t i = 0; i < table.size(); ++i) {
    table[i] = kRacKeys[i].setting;
    if (table[i].name == "entropy_coef") table[i].initial = 0.005;
    if (table[i].name == "actor_lr") table[i].initial = 3e-4;
    if (table[i].name == "critic_lr") table[i].initial = 6e-4;
  }
  return table;
}

constexpr Table kAvgSettings = avg_settings();
constexpr Table kIacSettings = iac_settings();
constexpr auto kRacSettings = rac_settings();

// Constants of LearnerSettings that users may not set.
constexpr std::string_view kConstants =
    "leaky_slope=0.01\nlog_variance_min=-20\nlog_variance_max=2\n";
static_assert(LearnerSettings{}.leaky_slope == 0.01F &&
              LearnerSettings{}.log_variance_min == -20.0F &&
              LearnerSettings{}.log_variance_max == 2.0F);

constexpr std::string_view kRacConstants =
    "leaky_slope=0.01\nlog_variance_min=-20\nlog_variance_max=2\nlayer_norm_eps=1e-5\n"
    "maximum_eps=1e-8\nhead_gain=0.05\n";
static_assert(kLayerNormEps == 1e-5F && kMaximumEps == 1e-8);

constexpr std::string_view kBackends[] = {"cpu", "cuda-emulated", "cuda"};

std::span<const Executor* const> executors_of(std::string_view backend, Arithmetic arithmetic,
                                              std::string& problem) {
  if (backend == "cuda") return cuda_executors(arithmetic, problem);
  if (backend == "cuda-emulated") return emulated_executors(arithmetic);
  return backend == "cpu" ? executors(arithmetic) : std::span<const Executor* const>();
}

std::vector<std::string_view> paths(std::string_view backend, Arithmetic arithmetic,
                                    std::string& problem) {
  std::vector<std::string_view> names;
  for (const Executor* executor : executors_of(backend, arithmetic, problem)) {
    names.push_back(executor->path);
  }
  return names;
}

std::vector<std::string_view> rac_paths(std::string_view backend, Arithmetic arithmetic,
                                        std::string& problem) {
  if (backend == "cpu") return paths(backend, arithmetic, problem);
  problem = "rac runs on the CPU alone";
  return {};
}

template <Algorithm algorithm>
std::unique_ptr<Agent> make(const AgentConfig& config) {
  ActorCriticConfig own;
  own.settings = learner_settings(algorithm, config.settings, config.arithmetic);
  own.shape = {config.observation_dim, config.action_dim, own.settings.hidden};
  own.schedule = config.schedule;
  own.executor = find_executor_anywhere(config.path, config.arithmetic);
  own.seed = config.seed;
  own.phases = config.phases;
  if (config.learns_apart) return std::make_unique<ApartAgent>(own);
  return std::make_unique<ActorCriticAgent>(own);
}

}  // namespace

constinit const AlgorithmInfo kAvgInfo = {
    .name = "avg",
    .summary = "Action Value Gradient: a Q critic, its gradient by the action",
    .number = 0,
    .settings = kAvgSettings,
    .constants = kConstants,
    .can_learn_apart = true,
    .has_schedules = true,
    .paths = paths,
    .make = make<Algorithm::kAvg>};

constinit const AlgorithmInfo kIacInfo = {
    .name = "iac",
    .summary = "Incremental Actor-Critic: a V critic, the score function",
    .number = 1,
    .settings = kIacSettings,
    .constants = kConstants,
    .why_not_apart = ": its next action waits for the update",
    .paths = paths,
    .make = make<Algorithm::kIac>};

constinit const AlgorithmInfo kRacInfo = {
    .name = "rac",
    .summary = "Reparametrised Actor-Critic: as AVG, by steps that no task must be tuned for",
    .number = 5,
    .settings = kRacSettings,
    .constants = kRacConstants,
    .can_learn_apart = true,
    .has_schedules = true,
    .paths = rac_paths,
    .make = make<Algorithm::kRac>};

LearnerSettings learner_settings(Algorithm algorithm, const SettingValues& values,
                                 Arithmetic arithmetic) {
  LearnerSettings settings;
  settings.algorithm = algorithm;
  settings.arithmetic = arithmetic;
  const std::span<const LearnerKey> keys =
      algorithm == Algorithm::kRac ? std::span<const LearnerKey>(kRacKeys) : kKeys;
  for (const LearnerKey& each : keys) each.put(settings, values.at(each.setting.name));
  return settings;
}

const Executor* find_executor_anywhere(std::string_view path, Arithmetic arithmetic) {
  if (path.empty()) return executors(arithmetic).front();
  std::string ignored;
  for (const std::string_view backend : kBackends) {
    for (const Executor* executor : executors_of(backend, arithmetic, ignored)) {
      if (executor->path == path) return executor;
    }
  }
  return nullptr;
}

}  // namespace instep

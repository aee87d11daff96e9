#include "runtime/settings.h"

#include <array>

#include "kernels/check.h"
#include "runtime/hash.h"

namespace instep {
namespace {

constexpr std::array<std::string_view, 2> kArithmeticWords = {"fast", "portable"};

constexpr std::array kCommon = {
    choice_setting("arithmetic", kArithmeticWords,
                   "portable: the same bits on every processor, at some cost in speed"),
    Setting{.name = "checkpoint_every",
            .kind = SettingKind::kInteger,
            .initial = 10'000.0,
            .min = 1.0,
            .max = 1e9,
            .decides_bits = false,
            .unit = "steps",
            .help = "how often the run is saved"},
};

// What other programs call a setting, and what it is called here, or may be.
struct OtherName {
  std::string_view other;
  std::string_view names[2];
};
constexpr std::array kOtherNames = {
    OtherName{"gamma", {"discount"}},
    OtherName{"lr", {"actor_lr", "critic_lr"}},
    OtherName{"learning_rate", {"lr", "actor_lr"}},
    OtherName{"step_size", {"lr", "actor_lr"}},
    OtherName{"alpha", {"entropy_coef"}},
    OtherName{"eta", {"entropy_coef"}},
    OtherName{"ent_coef", {"entropy_coef"}},
    OtherName{"temperature", {"entropy_coef"}},
    OtherName{"batch_size", {"batch"}},
    OtherName{"buffer_size", {"buffer"}},
    OtherName{"replay_size", {"buffer"}},
    OtherName{"hidden_dim", {"hidden"}},
    OtherName{"hidden_size", {"hidden"}},
    OtherName{"width", {"hidden"}},
    OtherName{"net_arch", {"hidden"}},
    OtherName{"betas", {"beta1", "beta2"}},
    OtherName{"eps", {"adam_eps"}},
    OtherName{"epsilon", {"adam_eps"}},
    OtherName{"tau", {"target_share"}},
    OtherName{"policy_freq", {"actor_every"}},
    OtherName{"save_freq", {"checkpoint_every"}},
};

bool is_common(std::string_view key) {
  return find_setting(kCommon, key) != nullptr;
}

}  // namespace

std::span<const Setting> common_settings() {
  return kCommon;
}

const Setting* find_setting(const AlgorithmInfo& algorithm, std::string_view key) {
  const Setting* const own = find_setting(algorithm.settings, key);
  return own != nullptr ? own : find_setting(kCommon, key);
}

std::vector<const Setting*> all_settings(const AlgorithmInfo& algorithm) {
  std::vector<const Setting*> all;
  for (const Setting& setting : algorithm.settings) all.push_back(&setting);
  for (const Setting& setting : kCommon) all.push_back(&setting);
  return all;
}

double value_of(const RunSettings& settings, std::string_view key) {
  if (key == "arithmetic") return static_cast<double>(settings.arithmetic);
  if (key == "checkpoint_every") return static_cast<double>(settings.checkpoint_every);
  return settings.values.at(key);
}

void put_value(RunSettings& settings, std::string_view key, double value) {
  if (!is_common(key)) return settings.values.set(key, value);
  INSTEP_CHECK(is_allowed(*find_setting(kCommon, key), value));
  if (key == "arithmetic") settings.arithmetic = static_cast<Arithmetic>(value);
  if (key == "checkpoint_every") settings.checkpoint_every = static_cast<std::int64_t>(value);
}

std::string set_value(RunSettings& settings, std::string_view key, std::string_view text) {
  const Setting* const setting = find_setting(*settings.algorithm, key);
  if (setting == nullptr) return unknown_key_text(*settings.algorithm, key);
  double value = 0.0;
  const std::string_view problem = read_value(*setting, text, value);
  if (!problem.empty()) {
    const std::string shown = text.empty() ? "" : " = " + printable(text);
    return std::string(key) + shown + " " + std::string(problem) + ": must be " +
           allowed_values(*setting);
  }
  put_value(settings, key, value);
  return "";
}

std::string format_value(const RunSettings& settings, std::string_view key) {
  const Setting* const setting = find_setting(*settings.algorithm, key);
  INSTEP_CHECK(setting != nullptr);
  return value_text(*setting, value_of(settings, key));
}

std::string meant_keys(const AlgorithmInfo& algorithm, std::string_view key) {
  std::string meant;
  for (const OtherName& each : kOtherNames) {
    if (each.other != key) continue;
    for (const std::string_view name : each.names) {
      if (name.empty() || find_setting(algorithm, name) == nullptr) continue;
      meant += (meant.empty() ? "'" : " or '") + std::string(name) + "'";
    }
  }
  return meant;
}

std::string unknown_key_text(const AlgorithmInfo& algorithm, std::string_view key) {
  const std::string unknown = "unknown key '" + printable(key) + "'";
  const std::string meant = meant_keys(algorithm, key);
  if (!meant.empty()) return unknown + "; did you mean " + meant + "?";
  std::vector<std::string_view> names;
  for (const Setting* setting : all_settings(algorithm)) names.push_back(setting->name);
  std::string owners;
  for (const AlgorithmInfo* other : all_algorithms()) {
    if (find_setting(other->settings, key) == nullptr && meant_keys(*other, key).empty()) continue;
    owners += (owners.empty() ? "" : ", ") + std::string(other->name);
  }
  if (!owners.empty()) {
    return unknown + " of " + std::string(algorithm.name) + "; it is a setting of " + owners +
           ", and `instep settings --algo " + std::string(algorithm.name) + "` lists its own";
  }
  return unknown +
         did_you_mean(key, names,
                      "; `instep settings --algo " + std::string(algorithm.name) + "` lists them");
}

std::uint64_t settings_hash(const RunSettings& settings) {
  // Texts rather than bytes: they do not depend on the order and padding of the structs.
  const AlgorithmInfo& algorithm = *settings.algorithm;
  std::string text = "algorithm=" + std::to_string(algorithm.number) + "\n";
  text += algorithm.constants;
  for (const Setting* setting : all_settings(algorithm)) {
    if (!setting->decides_bits) continue;
    text += std::string(setting->name) + "=" + format_value(settings, setting->name) + "\n";
  }
  return hash_text(text);
}

}  // namespace instep

// Keys that SAC and TD3 share.
#pragma once

#include <array>

#include "runtime/algorithms/batch/replay_agent.h"
#include "runtime/setting.h"

namespace instep {

inline constexpr std::int64_t kBufferMax = 100'000'000;

// With the initial values of `defaults`.
constexpr auto replay_settings(const ReplayConfig& defaults) {
  return std::array{
      Setting{.name = "discount",
              .initial = defaults.discount,
              .max = 1.0,
              .unit = "per step",
              .help = "weight of the next step's value (gamma)"},
      Setting{.name = "actor_lr",
              .initial = defaults.actor_lr,
              .max = 1.0,
              .above_min = true,
              .help = "step size of the actor's Adam"},
      Setting{.name = "critic_lr",
              .initial = defaults.critic_lr,
              .max = 1.0,
              .above_min = true,
              .help = "step size of the critics' Adam"},
      Setting{.name = "buffer",
              .kind = SettingKind::kInteger,
              .initial = static_cast<double>(defaults.buffer),
              .min = 1.0,
              .max = static_cast<double>(kBufferMax),
              .unit = "transitions",
              .help = "size of the replay buffer; the oldest are overwritten"},
      Setting{.name = "batch",
              .kind = SettingKind::kInteger,
              .initial = static_cast<double>(defaults.batch),
              .min = 1.0,
              .max = 16384.0,
              .unit = "transitions",
              .help = "drawn from the buffer for each update"},
      Setting{.name = "learning_starts",
              .kind = SettingKind::kInteger,
              .initial = static_cast<double>(defaults.learning_starts),
              .max = 1e9,
              .unit = "steps",
              .help = "actions are random, and nothing is learnt, before that step"},
      Setting{.name = "target_share",
              .initial = defaults.target_share,
              .max = 1.0,
              .above_min = true,
              .unit = "per update",
              .help = "of new weights that enters the targets (tau)"},
      Setting{.name = "actor_every",
              .kind = SettingKind::kInteger,
              .initial = static_cast<double>(defaults.actor_every),
              .min = 1.0,
              .max = 1000.0,
              .unit = "critic updates",
              .help = "how seldom the actor learns"},
      Setting{.name = "hidden",
              .kind = SettingKind::kInteger,
              .initial = static_cast<double>(defaults.hidden),
              .min = 4.0,
              .max = 1024.0,
              .multiple_of = 4,
              .unit = "units",
              .help = "size of each hidden layer"},
  };
}

// What values of such a table say.
inline ReplayConfig replay_config(const SettingValues& values) {
  ReplayConfig own;
  own.hidden = static_cast<int>(values.at("hidden"));
  own.batch = static_cast<int>(values.at("batch"));
  own.buffer = static_cast<std::int64_t>(values.at("buffer"));
  own.learning_starts = static_cast<std::int64_t>(values.at("learning_starts"));
  own.actor_every = static_cast<int>(values.at("actor_every"));
  own.discount = values.at("discount");
  own.target_share = values.at("target_share");
  own.actor_lr = values.at("actor_lr");
  own.critic_lr = values.at("critic_lr");
  return own;
}

}  // namespace instep

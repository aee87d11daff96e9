// profile --rate: how punctual this machine is, with the whole real path and a learner at work.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "runtime/settings.h"

namespace instep {

struct RateOptions {
  double rate_hz = 0.0;
  double seconds = 10.0;
};

// Runs the learner of `config` against a device behind a pseudo-terminal that sends `rate_hz`
// packets a second, in windows that alternate with windows in which the same thread, on the same
// core, does nothing but sleep: what a latency test of the bare system shows. Prints what it found
// and answers it. Throws CommandError.
nlohmann::json profile_in_real_time(const RunConfig& config, const RateOptions& options);

}  // namespace instep

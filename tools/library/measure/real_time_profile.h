// profile --rate: how punctual this machine is, with the whole real path and a learner at work.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "runtime/settings.h"

namespace instep {

struct RateOptions {
  double rate_hz = 0.0;
  double seconds = 10.0;
  int core = -1;  // that the loop stays on; -1: where it happens to begin
};

// Runs the learner of `config` against a device behind a pseudo-terminal that sends `rate_hz`
// packets a second, in windows that alternate with windows in which the same thread, on the same
// core, does nothing but sleep: what a latency test of the bare system shows. Prints what it found
// and answers it; of whole windows alone where a stop was asked for, an empty object where there
// was none. Throws CommandError.
nlohmann::json profile_in_real_time(const RunConfig& config, const RateOptions& options);

}  // namespace instep

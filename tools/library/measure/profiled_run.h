// What a profile is of.
#pragma once

#include "runtime/settings.h"
#include "tools/library/measure/profile.h"
#include "tools/library/run/backend.h"

namespace instep {

struct ProfiledRun {
  RunConfig config;
  BackendChoice choice;
};

// A task with its defaults, or what a run was started with, and what computes it. Throws
// CommandError, also where the options contradict each other.
ProfiledRun profiled_run(const ProfileOptions& options);

}  // namespace instep

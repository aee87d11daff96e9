// An executor whose phases are timed.
#pragma once

#include <vector>

#include "kernels/learner.h"
#include "runtime/agent.h"

namespace instep {

// The same executor, which records how long each of its phases takes in `phases`, whose entries it
// makes. Of one learner at a time: an Executor is a table of plain functions, which have no other
// place for what the timed one needs.
Executor timed_executor(const Executor& executor, const Learner& learner,
                        std::vector<Phase>& phases);

}  // namespace instep

// Where learning starts.
#pragma once

#include <cstdint>

#include "kernels/learner.h"

namespace instep {

// Overwrites all weights with the reference's start: every matrix orthogonal with gain 1 (the mean
// and the log-variance head each by itself), every bias zero. The same bits on every machine for
// one seed. Allocates scratch memory; call before seal().
void initialize_weights(const Learner& learner, std::uint64_t seed);

}  // namespace instep

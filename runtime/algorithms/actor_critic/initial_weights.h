// Where learning starts.
#pragma once

#include <cstdint>

#include "kernels/learner.h"

namespace instep {

// Overwrites all weights with the reference's start: every matrix orthogonal with gain 1 (the mean
// and the log-variance head each by itself), every bias zero. The same bits on every machine for
// one seed. Allocates scratch memory; not in a sealed thread.
void initialize_weights(const Learner& learner, std::uint64_t seed);

// Overwrites the weights and the observation statistics of `to` with those of `from`, which has the
// same shape and algorithm. Everything else of `to` stays.
void copy_weights(const Learner& from, const Learner& to);

}  // namespace instep

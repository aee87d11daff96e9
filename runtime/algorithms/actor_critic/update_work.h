// What an update of AVG or RAC must at least do.
#pragma once

#include <cstddef>
#include <optional>

#include "kernels/learner.h"
#include "runtime/agent.h"

namespace instep {

// Bytes of weights and of the step's arrays that one update must move, and where. A, C: weights of
// the actor and the critic, H: of a hidden layer's square matrix, 4 bytes each, padding included.
struct Traffic {
  std::size_t act = 0;      // act first: the actor is read. Throughput: it is updated, too
  std::size_t learn = 0;    // critic at (s', a') read, then critic updated; act first: actor(old)
  std::size_t prepare = 0;  // both backward passes; act first: the critic's forward and the update
};

// Of AVG without a first moment, and of RAC, which has no actor(old).
Traffic traffic(const Layout& layout, Schedule schedule);

// The fewest passes that give the exact update, in the order that they must have, as each needs the
// one before, over arrays of the size of weights and second moments:
//   read w, read v, write w, write v     over A      actor: update and both forwards in one pass
//   read w                               over C      critic at (s', a')
//   read w, read v, write w, write v     over C      critic: update and forward in one pass
//   read w                               over 2 H    both backward passes through the second layer
// which is traffic(layout, kThroughput). Each number read is used in a single multiply-add. AVG's:
// nothing for the others, with a first moment, or where the executor has no such loops.
std::optional<LeastWork> update_work(const Learner& learner, const Executor& executor);

}  // namespace instep

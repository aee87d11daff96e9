// The learner of an agent that is known to be an actor-critic.
#pragma once

#include "runtime/algorithms/actor_critic/agent.h"

namespace instep {

inline const Learner& learner_of(const Agent& agent) {
  return dynamic_cast<const ActorCriticAgent&>(agent).learner();
}

}  // namespace instep

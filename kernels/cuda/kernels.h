// The two kernels, for any team. A kernel serves one agent or several: each has a team of its own
// and its own entry of every array of the parameters.
#pragma once

#include "kernels/cuda/team_learner.h"

namespace instep::cuda {

// Copies to the block's shared memory what every phase reads.
template <typename Team>
INSTEP_DEVICE void begin(const Team& team, const Parameters& parameters) {
  auto& shared = team.shared();
  const auto* from = reinterpret_cast<const std::uint32_t*>(parameters.learners + team.agent());
  auto* to = reinterpret_cast<std::uint32_t*>(&shared.learner);
  constexpr int kWords = sizeof(DeviceLearner) / sizeof(std::uint32_t);
  for (int i = team.thread(); i < kWords; i += team.threads()) to[i] = from[i];
  if (team.thread() == 0) {
    shared.request = parameters.requests + team.agent();
    shared.reply = parameters.replies + team.agent();
    shared.meeting = parameters.meetings + team.agent();
    shared.sequence = parameters.sequence;
    shared.lease_end_ns = team.now_ns() + parameters.lease_ms * std::uint64_t{1000000};
  }
  team.template block_barrier<kBegun>();
}

// One request of each agent, as often as the parameters say.
template <typename Team>
INSTEP_DEVICE void run_launched(const Team& team, const Parameters& parameters) {
  begin(team, parameters);
  TeamLearner<Team> learner(team);
  learner.load();
  for (std::uint32_t i = 0; i < parameters.repeats; ++i) {
    if (i > 0) team.template team_barrier<kRepeated>();
    learner.run(team.shared().request->operations);
  }
  if (team.block() == 0) learner.reply(*team.shared().reply);
  learner.store();
}

// Requests as they come, until the lease is over or the host says so. The last signal says that the
// blocks of memory are whole.
template <typename Team>
INSTEP_DEVICE void run_resident(const Team& team, const Parameters& parameters) {
  begin(team, parameters);
  TeamLearner<Team> learner(team);
  learner.load();
  auto& shared = team.shared();
  for (;;) {
    const std::uint32_t operations = learner.take_request();
    if (operations == kLeave) break;
    learner.run(operations);
    if (team.block() == 0) learner.reply(*shared.reply);
    team.template block_barrier<kReplied>();
    if (team.thread() == 0) {
      ++shared.sequence;
      if (team.block() == 0) team.signal(&shared.reply->sequence, shared.sequence);
    }
  }
  learner.store();
  team.template team_barrier<kStored>();
  if (team.block() == 0 && team.thread() == 0) team.signal(&shared.reply->has_left, 1);
}

}  // namespace instep::cuda

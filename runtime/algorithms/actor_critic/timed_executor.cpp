#include "runtime/algorithms/actor_critic/timed_executor.h"

#include "runtime/algorithms/actor_critic/update_work.h"
#include "runtime/clock.h"

namespace instep {
namespace {

enum PhaseIndex : std::size_t { kObserve, kAct, kLearn, kPrepare };

struct Timed {
  const Executor* executor = nullptr;
  std::vector<Phase>* phases = nullptr;
};
Timed timed;

template <typename Work>
void time_phase(PhaseIndex index, const Work& work) {
  const MonotonicClock clock;
  const std::int64_t begin_ns = clock.now_ns();
  work();
  (*timed.phases)[index].latency.record(clock.now_ns() - begin_ns);
}

}  // namespace

Executor timed_executor(const Executor& executor, const Learner& learner,
                        std::vector<Phase>& phases) {
  timed = {&executor, &phases};
  const Traffic bytes = traffic(learner.layout, learner.schedule);
  phases = {{.name = "observe", .latency = {}},
            {.name = "act", .latency = {}, .bytes = bytes.act},
            {.name = "learn", .latency = {}, .bytes = bytes.learn},
            {.name = "prepare", .latency = {}, .bytes = bytes.prepare}};
  Executor result = executor;
  result.observe = [](const Learner& l, const double* observation) {
    time_phase(kObserve, [&] { timed.executor->observe(l, observation); });
  };
  result.act = [](const Learner& l, const float* noise) {
    time_phase(kAct, [&] { timed.executor->act(l, noise); });
  };
  result.learn = [](const Learner& l, double reward, bool terminated, bool truncated,
                    const float* noise) {
    time_phase(kLearn, [&] { timed.executor->learn(l, reward, terminated, truncated, noise); });
  };
  result.prepare = [](const Learner& l) {
    time_phase(kPrepare, [&] { timed.executor->prepare(l); });
  };
  return result;
}

}  // namespace instep

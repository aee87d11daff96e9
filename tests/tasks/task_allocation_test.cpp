// A control step takes no memory. malloc itself is counted, because MuJoCo is C. A sanitizer brings
// its own malloc, so there this test is left out.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <vector>

#include "available_tasks.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define INSTEP_COUNT_MALLOC 1
#else
#define INSTEP_COUNT_MALLOC 0
#endif

#if INSTEP_COUNT_MALLOC
namespace {
std::atomic<long> allocation_count{0};
}

extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);

void* malloc(std::size_t bytes) {
  ++allocation_count;
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  ++allocation_count;
  return __libc_calloc(count, bytes);
}
void* realloc(void* memory, std::size_t bytes) {
  ++allocation_count;
  return __libc_realloc(memory, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  ++allocation_count;
  return __libc_memalign(alignment, bytes);
}
}
#endif

namespace instep {
namespace {

class TaskAllocation : public testing::TestWithParam<const TaskInfo*> {};

TEST_P(TaskAllocation, IsNoneAfterConstruction) {
#if INSTEP_COUNT_MALLOC
  const TaskInfo& task = *GetParam();
  const long before_construction = allocation_count;
  const auto world = task.make();
  ASSERT_GT(allocation_count, before_construction) << "the counter does not count";

  std::vector<double> observation(static_cast<std::size_t>(task.observation_dim));
  std::vector<std::vector<float>> actions(
      64, std::vector<float>(static_cast<std::size_t>(task.action_dim)));
  for (std::size_t i = 0; i < actions.size(); ++i) {
    random_action(2, i, &actions[i]);
  }
  std::vector<std::uint8_t> state(world->state_bytes());
  const Random random = reset_random(2);

  const long before = allocation_count;
  world->reset(random, 0, observation.data());
  for (std::size_t step = 0; step < 2000; ++step) {
    const Outcome outcome = world->step(actions[step % actions.size()].data(), observation.data());
    if (outcome.terminated || outcome.truncated) {
      world->reset(random, step, observation.data());
    }
    if (step % 500 == 0) {
      world->save_state(state);
      ASSERT_TRUE(world->load_state(state));
    }
  }
  EXPECT_EQ(allocation_count, before);
#else
  GTEST_SKIP() << "malloc belongs to the sanitizer or the C library cannot be counted";
#endif
}

INSTANTIATE_TEST_SUITE_P(Tasks, TaskAllocation, testing::ValuesIn(available_tasks()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace instep

#include "kernels/learner.h"

#include <array>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include "kernels/adam.h"
#include "kernels/decayed_maximum.h"

namespace instep {

namespace {

// A learner's state is saved and restored as bytes, on every machine alike: every member stands
// where its size allows it to, and nothing lies between them.
static_assert(std::is_trivially_copyable_v<LearnerState> && alignof(LearnerState) == 8);
static_assert(sizeof(Moments) == 3 * sizeof(double));
static_assert(sizeof(LearnerState) == 9 * 8 + 2 * 8 + 4 * sizeof(Moments) + 8 * 4 + 3 * 8 + 4 * 4);
static_assert(offsetof(LearnerState, normalizer_count) % sizeof(double) == 0);

// Sizes that inner loops, tapes and caches rely on.
static_assert(kOutputBlock % 16 == 0 && kHiddenDimMax % kOutputBlock == 0);
static_assert(kObservationDimMax % 16 == 0 && kActionDimMax % 16 == 0);
static_assert(padded(1) == kOutputBlock && padded(kHiddenDimMax) == kHiddenDimMax);

// Every offset is a whole number of cache lines, and the largest block can be indexed by 32 bits.
constexpr bool has_whole_lines(const Layout& layout) {
  bool is_whole = layout.critic_weights % 64 == 0 && layout.normalizer_mean % 64 == 0 &&
                  layout.normalizer_variance % 64 == 0 && layout.scratch % 64 == 0 &&
                  layout.bytes % 64 == 0;
  for (const std::size_t offset : layout.actor_weights) is_whole = is_whole && offset % 64 == 0;
  for (const std::size_t offset : layout.actor_tapes) is_whole = is_whole && offset % 64 == 0;
  for (const std::size_t offset : layout.critic_tapes) is_whole = is_whole && offset % 64 == 0;
  return is_whole;
}
constexpr Layout kLargest = make_layout({kObservationDimMax, kActionDimMax, kHiddenDimMax},
                                        Algorithm::kAvg, kOptimizerArraysMax);
constexpr Layout kSmallest = make_layout({1, 1, 4}, Algorithm::kIac, 1);
static_assert(has_whole_lines(kLargest) && has_whole_lines(kSmallest));
static_assert(kLargest.bytes < std::size_t{1} << 31);

}  // namespace

Layout learner_layout(const Shape& shape, const LearnerSettings& settings) {
  if (settings.algorithm == Algorithm::kRac) {
    return make_layout(shape, settings.algorithm, 1, maximum_critic_arrays(settings));
  }
  return make_layout(shape, settings.algorithm, adam_arrays(settings));
}

void clear(const Learner& learner) {
  std::memset(learner.block, 0, learner.layout.bytes);
  learner.state() = LearnerState{};
  double* variance = learner.doubles(learner.layout.normalizer_variance);
  for (int i = 0; i < learner.layout.shape.observation_dim; ++i) variance[i] = 1.0;
}

#define INSTEP_DECLARE_PATH(path)    \
  namespace path##_fast {            \
    extern const Executor kExecutor; \
  }                                  \
  namespace path##_portable {        \
    extern const Executor kExecutor; \
  }
INSTEP_DECLARE_PATH(scalar)
#if defined(INSTEP_X86_PATHS)
INSTEP_DECLARE_PATH(avx2)
INSTEP_DECLARE_PATH(avx512)
#elif defined(INSTEP_NEON_PATH)
INSTEP_DECLARE_PATH(neon)
#endif

namespace {

struct ExecutorList {
  std::array<const Executor*, 3> items{};
  std::size_t count = 0;
  void add(const Executor& executor) { items[count++] = &executor; }
};

ExecutorList list_executors(Arithmetic arithmetic) {
  const bool portable = arithmetic == Arithmetic::kPortable;
  ExecutorList list;
#if defined(INSTEP_X86_PATHS)
  if (__builtin_cpu_supports("avx512f")) {
    list.add(portable ? avx512_portable::kExecutor : avx512_fast::kExecutor);
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    list.add(portable ? avx2_portable::kExecutor : avx2_fast::kExecutor);
  }
#elif defined(INSTEP_NEON_PATH)
  list.add(portable ? neon_portable::kExecutor : neon_fast::kExecutor);
#endif
  list.add(portable ? scalar_portable::kExecutor : scalar_fast::kExecutor);
  return list;
}

}  // namespace

std::span<const Executor* const> executors(Arithmetic arithmetic) {
  static const std::array<ExecutorList, 2> lists = {list_executors(Arithmetic::kFast),
                                                    list_executors(Arithmetic::kPortable)};
  const ExecutorList& list = lists[static_cast<std::size_t>(arithmetic)];
  return {list.items.data(), list.count};
}

const Executor* find_executor(std::string_view path, Arithmetic arithmetic) {
  for (const Executor* executor : executors(arithmetic)) {
    if (executor->path == path) return executor;
  }
  return nullptr;
}

}  // namespace instep

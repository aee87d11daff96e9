#include "kernels/learner.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernels/check.h"

namespace instep {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "instep: internal error: %s does not hold (%s:%d)\n", condition, file, line);
  std::abort();
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

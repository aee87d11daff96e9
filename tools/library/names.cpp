#include "tools/library/names.h"

#include <span>

#include "runtime/cuda/cuda_learner.h"
#include "runtime/cuda/emulated_device.h"
#include "tools/library/error.h"

namespace instep {
namespace {

// In the order in which a path is looked for.
constexpr std::string_view kBackends[] = {"cpu", "cuda-emulated", "cuda"};

std::span<const Executor* const> executors_of(std::string_view backend, Arithmetic arithmetic) {
  std::string problem;
  if (backend == "cuda") return cuda_executors(arithmetic, problem);
  return backend == "cpu" ? executors(arithmetic) : emulated_executors(arithmetic);
}

const Executor* find_path(std::span<const Executor* const> list, std::string_view path) {
  for (const Executor* executor : list) {
    if (executor->path == path) return executor;
  }
  return nullptr;
}

}  // namespace

std::string_view schedule_name(Schedule schedule) {
  return schedule == Schedule::kActFirst ? "act_first" : "throughput";
}

std::string_view algorithm_name(Algorithm algorithm) {
  return algorithm == Algorithm::kAvg ? "avg" : "iac";
}

BackendChoice choose_backend(std::string_view backend, std::string_view path,
                             Arithmetic arithmetic) {
  std::string known;
  for (const std::string_view candidate : kBackends) {
    if (backend != candidate && !(backend == "auto" && (candidate == "cpu" || !path.empty()))) {
      continue;
    }
    const auto list = executors_of(candidate, arithmetic);
    if (candidate == "cuda" && list.empty() && backend == "cuda") {
      std::string problem;
      cuda_executors(arithmetic, problem);
      throw IoError("--backend cuda: " + problem + "; --backend cpu needs no GPU");
    }
    if (path.empty()) return {candidate, list.front()};
    if (const Executor* executor = find_path(list, path)) return {candidate, executor};
    for (const Executor* executor : list) known += " " + std::string(executor->path);
  }
  if (known.empty()) {
    throw UsageError("--backend " + std::string(backend) +
                     ": this version has the backends auto, cpu, cuda and cuda-emulated");
  }
  throw UsageError("this machine has no path '" + std::string(path) + "'; it has:" + known);
}

const Executor& choose_executor(std::string_view path, Arithmetic arithmetic) {
  return *choose_backend("auto", path, arithmetic).executor;
}

const Executor* find_any_executor(std::string_view path, Arithmetic arithmetic) {
  for (const std::string_view backend : kBackends) {
    if (const Executor* executor = find_path(executors_of(backend, arithmetic), path)) {
      return executor;
    }
  }
  return nullptr;
}

}  // namespace instep

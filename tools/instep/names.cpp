#include "tools/instep/names.h"

#include "tools/instep/error.h"

namespace instep {

std::string_view schedule_name(Schedule schedule) {
  return schedule == Schedule::kActFirst ? "act_first" : "throughput";
}

std::string_view algorithm_name(Algorithm algorithm) {
  return algorithm == Algorithm::kAvg ? "avg" : "iac";
}

void check_backend(std::string_view backend) {
  if (backend == "auto" || backend == "cpu") return;
  throw UsageError("--backend " + std::string(backend) +
                   ": this version has the backends auto and cpu");
}

const Executor& choose_executor(std::string_view path, Arithmetic arithmetic) {
  if (path.empty()) return *executors(arithmetic).front();
  if (const Executor* executor = find_executor(path, arithmetic)) return *executor;
  std::string known;
  for (const Executor* executor : executors(arithmetic)) known += " " + std::string(executor->path);
  throw UsageError("this machine has no path '" + std::string(path) + "'; it has:" + known);
}

}  // namespace instep

#include "tools/library/run/backend.h"

#include <algorithm>
#include <string>
#include <vector>

#include "tools/library/error.h"

namespace instep {
namespace {

// In the order in which a path is looked for.
constexpr std::string_view kBackends[] = {"cpu", "cuda-emulated", "cuda"};

bool has_name(const std::vector<std::string_view>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

}  // namespace

BackendChoice choose_backend(std::string_view backend, std::string_view path,
                             const RunSettings& settings) {
  std::string known;
  for (const std::string_view candidate : kBackends) {
    if (backend != candidate && !(backend == "auto" && (candidate == "cpu" || !path.empty()))) {
      continue;
    }
    std::string problem;
    const auto list = settings.algorithm->paths(candidate, settings.arithmetic, problem);
    if (list.empty() && backend == candidate) {
      throw IoError("--backend " + std::string(backend) + ": " + problem +
                    "; --backend cpu needs no GPU");
    }
    if (path.empty()) return {candidate, list.front()};
    const auto found = std::find(list.begin(), list.end(), path);
    if (found != list.end()) return {candidate, *found};
    for (const std::string_view name : list) known += " " + std::string(name);
  }
  if (known.empty()) {
    throw UsageError("--backend " + std::string(backend) +
                     ": this version has the backends auto, cpu, cuda and cuda-emulated");
  }
  throw UsageError("this machine has no path '" + std::string(path) + "'; it has:" + known);
}

bool has_path(std::string_view path, const RunSettings& settings) {
  std::string ignored;
  return std::any_of(std::begin(kBackends), std::end(kBackends), [&](std::string_view backend) {
    return has_name(settings.algorithm->paths(backend, settings.arithmetic, ignored), path);
  });
}

}  // namespace instep

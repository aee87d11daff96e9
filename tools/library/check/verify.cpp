#include "tools/library/check/verify.h"

#include <filesystem>
#include <utility>

#include "runtime/algorithms/actor_critic/actor_critic.h"
#include "tools/library/check/verify_learner.h"
#include "tools/library/check/verify_tasks.h"
#include "tools/library/error.h"
#include "tools/library/names.h"
#include "tools/library/run/backend.h"

namespace instep {
namespace {

void finish(VerifyResult& result, const WorstError& worst) {
  if (worst.count() == 0) throw DataError("holds nothing that could be compared");
  result.worst = worst.ratio();
  result.tensor = worst.tensor();
  result.step = worst.step();
  result.compared = worst.count();
  result.pass = worst.ratio() <= 1.0;
}

// Golden files of learners are AVG's, IAC's and RAC's, which have the same executors on the CPU.
BackendChoice choose_executor(const VerifyOptions& options) {
  RunSettings settings;
  settings.choose(kAvgInfo);
  settings.arithmetic = options.arithmetic;
  return choose_backend(options.backend, options.path, settings);
}

void verify_learner_file(const TensorFile& file, const VerifyOptions& options, VerifyResult result,
                         std::vector<VerifyResult>& results) {
  const BackendChoice choice = choose_executor(options);
  const Executor& executor = *find_executor_anywhere(choice.path, options.arithmetic);
  result.backend = std::string(choice.backend);
  result.kind = file.config.value("algo", "avg");
  result.path = std::string(executor.path);
  if (result.kind == "rac" && choice.backend != "cpu") {
    throw DataError("a golden file of rac, which runs on the CPU alone: use --backend cpu");
  }
  std::vector<Schedule> schedules = {Schedule::kActFirst, Schedule::kThroughput};
  if (options.schedule) schedules = {*options.schedule};
  if (result.kind == "iac") schedules = {Schedule::kActFirst};
  std::vector<std::uint8_t> first_block;
  for (const Schedule schedule : schedules) {
    result.schedule = schedule_name(schedule);
    WorstError worst;
    const std::vector<std::uint8_t> block = replay_learner(file, schedule, executor, worst);
    finish(result, worst);
    if (first_block.empty()) first_block = block;
    if (block != first_block) {
      result.pass = false;
      result.problem = "the schedules differ in the learner's final bytes";
    }
    results.push_back(result);
  }
}

}  // namespace

std::vector<VerifyResult> verify_file(const std::string& file, const VerifyOptions& options) {
  VerifyResult result;
  result.file = file;
  std::vector<VerifyResult> results;
  try {
    const TensorFile tensors = read_safetensors(file);
    if (tensors.format == "avg-golden-1") {
      verify_learner_file(tensors, options, result, results);
    } else if (tensors.format == "mujoco-golden-1") {
      result.kind = "mujoco";
      WorstError worst;
      replay_task(tensors, worst);
      finish(result, worst);
      results.push_back(result);
    } else {
      throw DataError("format '" + tensors.format +
                      "' is neither avg-golden-1 nor mujoco-golden-1");
    }
  } catch (const DataError& error) {
    result.problem = error.what();
  } catch (const nlohmann::json::exception& error) {
    result.problem = std::string("damaged config: ") + error.what();
  }
  if (result.problem.empty()) return results;
  const std::string prefix = file + ": ";  // said already where the result is shown
  if (result.problem.starts_with(prefix)) result.problem.erase(0, prefix.size());
  results.push_back(result);
  return results;
}

std::vector<VerifyResult> verify(const VerifyOptions& options, const VerifyTold& told) {
  choose_executor(options);
  for (const std::string& file : options.files) {
    if (std::error_code error; !std::filesystem::exists(file, error)) {
      throw UsageError(file + ": no such file; give a golden file");
    }
  }
  std::vector<VerifyResult> results;
  for (const std::string& file : options.files) {
    for (VerifyResult& result : verify_file(file, options)) {
      if (told) told(result);
      results.push_back(std::move(result));
    }
  }
  return results;
}

}  // namespace instep

// Runs from a program of one's own: two settings side by side, evaluated, and one report of both.
#include <instep/library.h>

#include <cstdio>
#include <exception>
#include <future>
#include <string>
#include <vector>

namespace {

double run(const std::string& folder, const std::string& setting) {
  instep::train({.task = "dot_reacher", .steps = 20'000, .set = {setting}, .out = folder});
  return *instep::evaluate({.run = folder, .episodes = 20}).mean_return();
}

// Each in a thread of its own: runs do not notice each other.
void compare_settings(const std::string& folder) {
  const std::vector<std::string> settings = {"hidden=16", "hidden=64"};
  std::vector<std::string> runs;
  std::vector<std::future<double>> results;
  for (const std::string& setting : settings) {
    runs.push_back(folder + '/' + setting);
    results.push_back(std::async(std::launch::async, run, runs.back(), setting));
  }
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::printf("%s: mean return %.2f\n", settings[i].c_str(), results[i].get());
  }
  std::printf("report: %s\n", instep::write_report(runs, folder + "/report.html").c_str());
}

}  // namespace

int main(int count, char** words) {
  try {
    compare_settings(count > 1 ? words[1] : "own_runs");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "own_runs: %s\n", error.what());
    return 1;
  }
}

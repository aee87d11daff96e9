#include "tools/library/report/run_groups.h"

#include <algorithm>
#include <map>
#include <set>

#include "tools/library/report/text.h"

namespace instep {
namespace {

// Where a condition of that name does not exist it is empty.
const std::string& condition(const ReportedRun& run, const std::string& name) {
  static const std::string kNone;
  const auto found = run.conditions.find(name);
  return found == run.conditions.end() ? kNone : found->second;
}

std::vector<std::string> conditions(const ReportedRun& run, std::span<const std::string> names) {
  std::vector<std::string> values;
  for (const std::string& name : names) values.push_back(condition(run, name));
  return values;
}

std::size_t group_count(const RunGroup& runs, std::span<const std::string> names) {
  std::set<std::vector<std::string>> groups;
  for (const ReportedRun* run : runs) groups.insert(conditions(*run, names));
  return groups.size();
}

// The names of conditions that the runs do not share, those first that say most.
std::vector<std::string> differing_conditions(const RunGroup& runs) {
  std::vector<std::string> names = {"algo", "world", "change"};
  std::set<std::string> others;
  for (const ReportedRun* run : runs) {
    for (const auto& [name, value] : run->conditions) others.insert(name);
  }
  for (const std::string& name : names) others.erase(name);
  names.insert(names.end(), others.begin(), others.end());
  std::erase_if(names, [&](const std::string& name) { return group_count(runs, {&name, 1}) == 1; });
  return names;
}

// So many of the names that they tell the groups apart.
std::vector<std::string> telling_conditions(const RunGroup& runs,
                                            std::span<const std::string> differing) {
  std::vector<std::string> telling;
  for (const std::string& name : differing) {
    std::vector<std::string> more = telling;
    more.push_back(name);
    if (group_count(runs, more) > group_count(runs, telling)) telling = more;
  }
  return telling;
}

// "iac, actor_lr 0.001".
std::string label_of(const ReportedRun& run, std::span<const std::string> telling) {
  std::string label;
  for (const std::string& name : telling) {
    std::string value = condition(run, name);
    if (name == "change") {
      value = value.empty() ? "world unchanged" : "world changed " + value;
    } else if (name == "world") {
      value = value.empty() ? "simulation" : value;
    } else if (name != "algo" || value.empty()) {
      value = name + ' ' + (value.empty() ? "unknown" : value);
    }
    label += (label.empty() ? "" : ", ") + value;
  }
  return label;
}

}  // namespace

std::vector<RunGroup> grouped_by_task(std::span<const ReportedRun> runs) {
  std::vector<RunGroup> groups;
  for (const ReportedRun& run : runs) {
    const auto group = std::find_if(groups.begin(), groups.end(), [&](const RunGroup& each) {
      return each[0]->task == run.task;
    });
    if (group == groups.end()) {
      groups.push_back({&run});
    } else {
      group->push_back(&run);
    }
  }
  return groups;
}

Comparison compare_runs(const RunGroup& runs) {
  Comparison comparison;
  comparison.differing = differing_conditions(runs);
  const std::vector<std::string> telling = telling_conditions(runs, comparison.differing);
  comparison.is_none_done =
      std::none_of(runs.begin(), runs.end(), [](const ReportedRun* run) { return run->is_done(); });
  std::map<std::vector<std::string>, std::size_t> places;
  bool is_first = true;
  for (const ReportedRun* run : runs) {
    const auto [place, is_new] =
        places.emplace(conditions(*run, comparison.differing), comparison.groups.size());
    if (is_new) comparison.groups.push_back({label_of(*run, telling), {}, {}});
    AlikeRuns& group = comparison.groups[place->second];
    group.runs.push_back(run);
    if (!comparison.is_none_done && !run->is_done()) {
      comparison.left_out.push_back(run);
      continue;
    }
    group.counted.push_back(run);
    comparison.step_most = std::max(comparison.step_most, run->steps);
    comparison.step = is_first ? run->steps : std::min(comparison.step, run->steps);
    is_first = false;
  }
  return comparison;
}

}  // namespace instep

#include "tools/library/report/report.h"

#include <array>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "runtime/health.h"
#include "tools/library/error.h"
#include "tools/library/report/digest.h"
#include "tools/library/report/one_run.h"
#include "tools/library/report/run_groups.h"
#include "tools/library/report/several_runs.h"
#include "tools/library/report/text.h"
#include "tools/library/run/run_folder.h"
#include "tools/library/run/seeds.h"
#include "tools/library/run/settings_io.h"
#include "tools/library/whole_file.h"

namespace instep {
namespace {

// The policy makes a browser refuse whatever would have to be fetched.
constexpr std::string_view kHead = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<style>
:root{--paper:#fcfcfa;--ink:#1d2428;--soft:#5b676e;--grid:#e2e5e4;--rule:#c9cfcf;--main:#0e5f8c;--alert:#b3521b;
--k0:#0e5f8c;--k1:#b3521b;--k2:#3d7a3a;--k3:#7a4b9a;--k4:#8a6d0f;--k5:#a03060}
@media (prefers-color-scheme:dark){:root{--paper:#14181b;--ink:#e3e7e8;--soft:#9aa6ad;--grid:#262d31;--rule:#3a4348;
--main:#6db7e4;--alert:#e8a069;--k0:#6db7e4;--k1:#e8a069;--k2:#86c583;--k3:#c39be0;--k4:#d8bd5c;--k5:#ea8fb2}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
font-variant-numeric:tabular-nums}
main{max-width:46rem;margin:0 auto;padding:1.5rem 1rem 3rem}
header{color:var(--soft);display:flex;flex-wrap:wrap;gap:0 1rem;justify-content:space-between}
header{border-bottom:2px solid var(--ink);padding-bottom:.4rem}
header b{color:var(--ink);letter-spacing:.04em}
header span{min-width:0;overflow-wrap:anywhere}
h1{font-size:1.4rem;font-weight:400;line-height:1.4;margin:1.5rem 0 2rem;overflow-wrap:anywhere}
h1 b{font-weight:650}
h1 em{font-style:normal;color:var(--main)}
h2{font-size:1rem;font-weight:650;margin:0 0 .4rem;overflow-wrap:anywhere}
figure,section{margin:2.5rem 0 0}
.plot{position:relative;height:18rem;margin-right:1.4em;border-left:1px solid var(--soft);border-bottom:1px solid var(--soft)}
.plot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.plot span{position:absolute;line-height:1.5;white-space:nowrap;color:var(--soft)}
.y{right:100%;padding-right:.45em;transform:translateY(50%)}
.x{top:100%;padding-top:.2em;transform:translateX(-50%)}
.plot .end{transform:translateY(50%);padding:0 .3em;color:var(--k,var(--ink));max-width:9.5em;overflow:hidden;
text-overflow:ellipsis}
.plot.ends{margin-right:9.5em}
.plot .mark{max-width:50%;overflow:hidden;text-overflow:ellipsis}
.event{stroke:var(--alert);stroke-width:1.5;stroke-dasharray:5 4}
.plot .mark{color:var(--ink);background:var(--paper);padding:0 .35em;margin:0 1px}
.unit{margin:0 0 .7rem;color:var(--soft)}
.right{text-align:right;margin:1.7rem 1.4rem .3rem 0}
.note{margin:.8rem 0 0}
figcaption,.note{color:var(--soft);max-width:38rem;overflow-wrap:anywhere}
path{fill:none;vector-effect:non-scaling-stroke}
.grid{stroke:var(--grid);stroke-width:1}
.dots{stroke:var(--main);stroke-opacity:.35;stroke-width:4.5;stroke-linecap:round}
.strong{stroke-opacity:1;stroke-width:7}
.line{stroke:var(--k,var(--main));stroke-width:2.5;stroke-linejoin:round}
.thin{stroke:var(--k,var(--soft));stroke-opacity:.7;stroke-width:1.2;stroke-linejoin:round}
.band{fill:var(--k,var(--main));fill-opacity:.18}
.bars{fill:var(--main);fill-opacity:.75}
.marker{stroke:var(--alert);stroke-width:1.5}
.robot{display:block;width:100%;max-height:20rem;overflow:hidden}
.robot path{vector-effect:none;stroke-linecap:round}
.robot .limb{stroke:var(--main);stroke-opacity:.8}
.robot .far{stroke:var(--soft)}
.robot .floor{stroke:var(--soft);stroke-width:12}
.robot .grid{stroke:var(--soft);stroke-width:12}
.robot text{fill:var(--soft);font-size:120px;text-anchor:middle}
.map{margin-bottom:.6rem}
.map .way{stroke:var(--alert);stroke-width:14;stroke-linejoin:round}
.map .start{stroke:var(--alert);stroke-width:60}
.still{display:none}
@media (prefers-reduced-motion:reduce){.moving{display:none}.still{display:inline}}
figcaption b{color:var(--ink)}
.c0{--k:var(--k0)}.c1{--k:var(--k1)}.c2{--k:var(--k2)}.c3{--k:var(--k3)}.c4{--k:var(--k4)}.c5{--k:var(--k5)}
.swatch{display:inline-block;width:1em;height:.25em;vertical-align:middle;background:var(--k)}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--grid);font-weight:400;
overflow-wrap:anywhere}
thead th{color:var(--soft);border-bottom-color:var(--rule);overflow-wrap:normal}
tr>:last-child{padding-right:0}
.facts th{color:var(--soft);width:38%}
.facts b{font-weight:400}
.numbers td,.numbers thead th+th{text-align:right}
.numbers td{white-space:nowrap}
.runs th,.runs td{overflow-wrap:break-word}
.runs tbody th{min-width:6.5rem;overflow-wrap:anywhere}
.total th,.total td{border-top:1px solid var(--ink);font-weight:650}
pre{margin:0;padding:.8rem;border:1px solid var(--rule);font:1rem/1.45 ui-monospace,"SF Mono",Menlo,Consolas,monospace;
white-space:pre-wrap;overflow-wrap:anywhere}
summary{padding:.5rem 0;cursor:pointer;overflow-wrap:anywhere}
@media (max-width:48rem){
.plot.ends{margin-right:1.4em}
.plot .end{max-width:50%;transform:none;text-shadow:0 0 3px var(--paper),0 0 3px var(--paper),0 0 3px var(--paper)}
.plot .late{left:auto!important;right:0}
.runs thead{position:absolute;clip-path:inset(50%);height:1px;width:1px;overflow:hidden}
.runs tr{display:grid;grid-template-columns:1fr 1fr;gap:.3rem 1rem;padding:.8rem 0;border-bottom:1px solid var(--rule)}
.runs th,.runs td{display:block;border:0;padding:0;overflow-wrap:anywhere}
.runs th{grid-column:1/-1;font-weight:650}
.runs tr>*{min-width:0}
.runs td::before{content:attr(data-label);display:block;color:var(--soft)}
}
</style>
)";

// What the words of every report mean: it may be read where there is neither network nor source.
std::string reading_section() {
  std::string warnings;
  for (std::uint32_t bit = 1; bit < (1U << kHealthWarnings); bit <<= 1) {
    const auto warning = static_cast<HealthWarning>(bit);
    warnings += concat({"<tr><th scope=\"row\">", health_warning_name(warning), "</th><td>",
                        health_warning_text(warning), "</td></tr>\n"});
  }
  return concat({R"(<section id="reading">
<details><summary>How to read this</summary>
<p>A return is the sum of an episode&#8217;s rewards, as they came while it learnt: the policy draws its actions, so one
episode says little. Lines are means over the episodes that ended in the last 5 % of the steps. The first and the last
eighth are of the run&#8217;s steps. An interval needs two runs at least, which differ in their seed.</p>
<p>p50 and p99: half of all, and all but one in a hundred, took no longer. &#8220;Exactly the algorithm&#8221;: no update
was left out or came late. best/ holds the weights of the best mean return so far; the last weights are in checkpoint.</p>
<p>A warning says in how many samples it stood, and from which step to which. The samples are a thousand steps apart, or
more in long runs.</p>
<table class="facts">
)",
                 warnings, R"(</table>
<p>More of this: docs/reading_the_plots.md of the program, /usr/share/doc/instep/reading_the_plots.md of its package.</p>
</details>
</section>
)"});
}

}  // namespace

std::string render_report(std::span<const RunRecord> runs) {
  if (runs.empty()) throw UsageError("a report needs at least one run");
  std::vector<ReportedRun> digests;
  for (const RunRecord& record : runs) digests.push_back(digest(record));
  name_apart(digests);
  const bool one = runs.size() == 1;
  const std::string subject = one ? digests[0].name : count_text(runs.size()) + " runs";
  const std::string task = grouped_by_task(digests).size() == 1 ? digests[0].task : "";
  return concat({kHead, "<title>instep: ", escape(task), task.empty() ? "" : ", ", escape(subject),
                 "</title>\n</head>\n<body>\n<main>\n<header><b>instep</b><span>", escape(subject),
                 "</span></header>\n", one ? one_run_body(digests[0]) : several_runs_body(digests),
                 reading_section(), "</main>\n</body>\n</html>\n"});
}

namespace {

// Each run once: one that was named twice would count twice.
std::vector<std::string> runs_in(const std::vector<std::string>& folders, const WarningTold& told) {
  std::vector<std::string> runs;
  std::set<std::filesystem::path> seen;
  for (const std::string& folder : folders) {
    std::vector<std::string> named = {folder};
    if (is_seeds_folder(folder)) {
      named = begun_seeds(folder);
      if (named.empty()) throw DataError(folder + ": no run was begun in it");
    }
    for (const std::string& run : named) {
      std::error_code error;
      if (seen.insert(std::filesystem::weakly_canonical(run, error)).second) {
        runs.push_back(run);
      } else if (told) {
        told(run + ": is named twice and counts once");
      }
    }
  }
  return runs;
}

// A summary that was copied from another run, or a config.toml.
void require_of_one_run(const RunRecord& record) {
  if (!record.summary) return;
  const std::map<std::string, std::string> values = config_values(record.config_text);
  const std::array<std::pair<const char*, std::string>, 3> told = {
      {{"task", record.summary->task},
       {"algo", record.summary->algo},
       {"seed", std::to_string(record.summary->seed)}}};
  for (const auto& [key, value] : told) {
    const auto found = values.find(key);
    if (found == values.end() || value.empty() || found->second == value) continue;
    throw DataError(record.path + ": its files are of different runs: " + key + " is " +
                    printable(value) + " in summary.json and " + printable(found->second) +
                    " in config.toml; restore the one that does not belong to it");
  }
}

RunRecord read_run(const std::string& run, const WarningTold& told) {
  require_run_folder(run);
  require_toml(run + "/config.toml");
  require_plain_file(run + "/episodes.csv");
  if (std::error_code error; !std::filesystem::exists(run + "/episodes.csv", error)) {
    throw DataError(run + "/episodes.csv: is missing; without it there is nothing to report");
  }
  RunRecord record = read_run_record(run);
  require_whole(record);
  require_of_one_run(record);
  for (const std::string& problem : record.problems) {
    if (told) told(problem);
  }
  return record;
}

// What --out names must not be lost.
void require_report_or_nothing(const std::string& out) {
  std::error_code error;
  const std::string name = std::filesystem::weakly_canonical(out, error).filename().string();
  if (name.ends_with(".html") || name.ends_with(".htm") ||
      !std::filesystem::is_regular_file(out, error) ||
      std::filesystem::file_size(out, error) == 0) {
    return;
  }
  throw UsageError("--out " + out + ": is there already, and its name is not that of a page; " +
                   "give a name that ends in .html, or remove the file");
}

}  // namespace

std::string write_report(const std::vector<std::string>& folders, const std::string& out,
                         const WarningTold& told) {
  std::vector<RunRecord> records;
  for (const std::string& run : runs_in(folders, told)) records.push_back(read_run(run, told));
  const std::string in_folder =
      folders.size() == 1 ? folders.front() + "/report.html" : "report.html";
  const std::string file = out.empty() ? in_folder : out;
  try {
    if (out.empty()) require_plain_file(file);
    if (!out.empty()) require_report_or_nothing(out);
    write_file(file, render_report(records));
  } catch (const IoError& error) {
    throw IoError(std::string(error.what()) + "; --out FILE writes the report elsewhere");
  }
  return file;
}

}  // namespace instep

// Reading run folders, and the report made of them.
#include "tools/library/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tools/library/error.h"
#include "tools/library/report/run_record.h"
#include "tools/library/report/statistics.h"

namespace instep {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kHeader[] = "episode,step,return,length,terminated,seconds\n";

// A folder of its own for each test, gone after it.
class RunFolder : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = testing::TempDir() + "instep_report_" + test->name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << text;
  }

  // What reading the folder says when it fails with the given code.
  std::string failure(ExitCode code) const {
    try {
      read_run_record(folder_);
    } catch (const CommandError& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "the folder was read";
    return "";
  }

  std::string episodes_failure(const std::string& lines) const {
    write("episodes.csv", kHeader + lines);
    return failure(kCheckFailed);
  }

  std::string folder_;
};

TEST_F(RunFolder, ReadsEverythingOfAFinishedRun) {
  write("config.toml", "[run]\ntask = \"hopper\"\n");
  write("episodes.csv", std::string(kHeader) + "1,20,-1.5,20,1,0.25\n2,50,1e3,30,0,0.5\n");
  write("summary.json", R"({"ended": "done", "steps": 60})");
  const RunRecord record = read_run_record(folder_);
  EXPECT_EQ(record.path, folder_);
  EXPECT_EQ(record.config_text, "[run]\ntask = \"hopper\"\n");
  ASSERT_EQ(record.episodes.size(), 2U);
  EXPECT_EQ(record.episodes[0].number, 1U);
  EXPECT_EQ(record.episodes[0].step, 20U);
  EXPECT_EQ(record.episodes[0].return_sum, -1.5);
  EXPECT_EQ(record.episodes[0].length, 20U);
  EXPECT_TRUE(record.episodes[0].terminated);
  EXPECT_EQ(record.episodes[0].seconds, 0.25);
  EXPECT_EQ(record.episodes[1].return_sum, 1000.0);
  EXPECT_FALSE(record.episodes[1].terminated);
  EXPECT_EQ(record.summary->steps, 60);
  EXPECT_TRUE(record.problems.empty());
}

TEST_F(RunFolder, ReadsWhatARunThatGoesOnHasSoFar) {
  write("config.toml", "");
  EXPECT_TRUE(read_run_record(folder_).episodes.empty());
  EXPECT_FALSE(read_run_record(folder_).summary);
  write("episodes.csv", "");
  EXPECT_TRUE(read_run_record(folder_).episodes.empty());
  write("episodes.csv", std::string(kHeader) + "1,20,-1.5,20,1,0.25\n2,50,-17");
  ASSERT_EQ(read_run_record(folder_).episodes.size(), 1U) << "the last line is still being written";
}

TEST_F(RunFolder, SaysThatAFolderIsMissingOrNoRun) {
  EXPECT_THAT(failure(kCheckFailed), AllOf(HasSubstr(folder_), HasSubstr("not a run's folder")));
  std::filesystem::remove_all(folder_);
  EXPECT_THAT(failure(kDeviceError), AllOf(HasSubstr(folder_), HasSubstr("no such folder")));
  std::ofstream(folder_) << "a file";
  EXPECT_THAT(failure(kCheckFailed), HasSubstr("is not a folder"));
  EXPECT_THROW(read_episodes(folder_ + "/missing.csv"), IoError);
}

TEST_F(RunFolder, NamesTheDamagedLine) {
  const std::string good = "1,20,-1.5,20,1,0.25\n";
  EXPECT_THAT(episodes_failure(good + "2,x,-1.5,20,1,0.5\n"),
              AllOf(HasSubstr("episodes.csv: line 3"), HasSubstr("step is \"x\"")));
  EXPECT_THAT(episodes_failure("1,20,1,5,20,1,0.25\n"),
              AllOf(HasSubstr("line 2"), HasSubstr("terminated is \"20\"")));
  EXPECT_THAT(episodes_failure("1,20,1.5,20,1,0.25,7\n"), HasSubstr("more than six"));
  EXPECT_THAT(episodes_failure(good + "2,50,1,30,1,0.5\n3,50\n"),
              AllOf(HasSubstr("line 4"), HasSubstr("return is missing")));
  EXPECT_THAT(episodes_failure("1,20,1.5 ,20,1,0.25\n"), HasSubstr("return is \"1.5 \""));
  EXPECT_THAT(episodes_failure("1,-20,1.5,20,1,0.25\n"), HasSubstr("step is \"-20\""));
  EXPECT_THAT(episodes_failure("1,20,1.5,99999999999999999999,1,0.25\n"), HasSubstr("length"));
  EXPECT_THAT(episodes_failure("\n"), AllOf(HasSubstr("line 2"), HasSubstr("episode is \"\"")));
  EXPECT_THAT(episodes_failure(good + "2,19,-1.5,20,1,0.25\n"),
              AllOf(HasSubstr("line 3"), HasSubstr("lower")));
  // Lines that are lost, doubled or not of their place.
  EXPECT_THAT(episodes_failure(good + "3,50,-1.5,20,1,0.5\n"),
              AllOf(HasSubstr("line 3"), HasSubstr("episode is 3, expected 2")));
  EXPECT_THAT(episodes_failure(good + good), AllOf(HasSubstr("line 3"), HasSubstr("expected 2")));
  EXPECT_THAT(episodes_failure(good + "2,50,-1.5,31,1,0.5\n"),
              AllOf(HasSubstr("line 3"), HasSubstr("length is more")));
  for (const char* seconds : {"nan", "-nan", "inf", "-inf", "-0.5", "1e300"}) {
    EXPECT_THAT(episodes_failure(good + "2,50,-1.5,30,1," + seconds + "\n"),
                AllOf(HasSubstr("line 3"), HasSubstr("which is no time")));
  }
  EXPECT_THAT(episodes_failure(good + "2,18446744073709551615,-1.5,30,1,0.5\n"),
              AllOf(HasSubstr("line 3"), HasSubstr("more than a run can have")));
  write("episodes.csv", "step,return\n");
  EXPECT_THAT(failure(kCheckFailed), AllOf(HasSubstr("line 1"), HasSubstr("header")));
}

// Everything else stands without a summary.
TEST_F(RunFolder, SaysThatASummaryIsDamagedAndReadsTheRest) {
  write("config.toml", "");
  write("episodes.csv", std::string(kHeader) + "1,20,-1.5,20,1,0.25\n");
  for (const char* damaged :
       {R"({"steps": )", "[1]", R"({"steps": "many"})", R"({"steps": 1.5})", R"({"seed": -1})",
        R"({"update_us": 5})", R"({"warnings": {}})", "{}", R"({"ended": "done", "steps": 19})",
        R"({"speed": [{"step": null}, 3]})", ""}) {
    write("summary.json", damaged);
    const RunRecord record = read_run_record(folder_);
    EXPECT_FALSE(record.summary) << damaged;
    EXPECT_EQ(record.episodes.size(), 1U);
    ASSERT_EQ(record.problems.size(), 1U) << damaged;
    EXPECT_THAT(record.problems[0], AllOf(HasSubstr(folder_ + "/summary.json: is damaged"),
                                          HasSubstr("instep train --resume " + folder_)));
  }
  write("adaptation.json", "{");
  write("episode.json", "{}");
  EXPECT_EQ(read_run_record(folder_).problems.size(), 3U);
}

TEST_F(RunFolder, MustHoldTheEpisodesThatItsSummaryTellsOf) {
  write("episodes.csv", std::string(kHeader) + "1,20,-1.5,20,1,0.25\n2,50,-17");
  write("summary.json", R"({"ended": "done", "steps": 60, "episodes": 1})");
  require_whole(read_run_record(folder_));
  write("summary.json", R"({"ended": "done", "steps": 60, "episodes": 2})");
  try {
    require_whole(read_run_record(folder_));
    ADD_FAILURE() << "a torn line was not noticed";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("episodes.csv: line 3"), HasSubstr("1 of the 2")));
  }
}

Episode episode(std::uint64_t step, double return_sum) {
  Episode result;
  result.step = step;
  result.return_sum = return_sum;
  result.seconds = static_cast<double>(step) / 100;
  return result;
}

TEST(MeanReturnBetween, TakesEpisodesThatEndAfterTheFirstAndUpToTheLastStep) {
  const std::vector<Episode> episodes = {episode(10, 1), episode(20, 3), episode(30, 8)};
  EXPECT_EQ(mean_return_between(episodes, 10, 30), 5.5);
  EXPECT_EQ(mean_return_between(episodes, 0, 30), 4.0);
  EXPECT_EQ(mean_return_between(episodes, 9, 10), 1.0);
  EXPECT_EQ(mean_return_between(episodes, 30, 100), std::nullopt);
  EXPECT_EQ(mean_return_between(episodes, 30, 10), std::nullopt);
  EXPECT_EQ(mean_return_between({}, 0, 10), std::nullopt);
}

TEST(StudentT, AgreesWithPublishedTables) {
  EXPECT_NEAR(student_t_95(1), 12.7062, 1e-4);
  EXPECT_NEAR(student_t_95(2), 4.3027, 1e-4);
  EXPECT_NEAR(student_t_95(4), 2.7764, 1e-4);
  EXPECT_NEAR(student_t_95(9), 2.2622, 1e-4);
  EXPECT_NEAR(student_t_95(10), 2.2281, 1e-4);
  EXPECT_NEAR(student_t_95(11), 2.2010, 2e-4);
  EXPECT_NEAR(student_t_95(12), 2.1788, 2e-4);
  EXPECT_NEAR(student_t_95(20), 2.0860, 2e-4);
  EXPECT_NEAR(student_t_95(30), 2.0423, 1e-4);
  EXPECT_NEAR(student_t_95(120), 1.9799, 1e-4);
  EXPECT_NEAR(student_t_95(1000000), 1.9600, 1e-4);
  for (std::size_t freedom = 1; freedom < 200; ++freedom) {
    EXPECT_GT(student_t_95(freedom), student_t_95(freedom + 1)) << freedom;
  }
}

TEST(MeanInterval, AgreesWithHandComputedNumbers) {
  // Mean 3, variance 10 / 4, standard error sqrt(2.5 / 5), t of four degrees of freedom.
  const auto five = mean_interval_95(std::vector<double>{1, 2, 3, 4, 5});
  ASSERT_TRUE(five.has_value());
  EXPECT_NEAR(five->mean, 3, 1e-12);
  EXPECT_NEAR(five->half_width, 2.776445105 * std::sqrt(0.5), 1e-9);
  // Mean 5, variance 2, standard error 1: the half-width is t itself.
  const auto two = mean_interval_95(std::vector<double>{4, 6});
  ASSERT_TRUE(two.has_value());
  EXPECT_NEAR(two->mean, 5, 1e-12);
  EXPECT_NEAR(two->half_width, 12.706204736, 1e-9);
  EXPECT_EQ(mean_interval_95(std::vector<double>{7, 7, 7})->half_width, 0);
  EXPECT_FALSE(mean_interval_95(std::vector<double>{7}).has_value());
  EXPECT_FALSE(mean_interval_95({}).has_value());
}

RunSummary full_summary(const std::string& task, int seed, int steps) {
  RunSummary summary;
  summary.ended = "done";
  summary.task = task;
  summary.algo = "avg";
  summary.seed = static_cast<std::uint64_t>(seed);
  summary.steps = steps;
  summary.steps_planned = steps;
  summary.episodes = 3;
  summary.seconds = steps / 2500.0;
  summary.steps_per_second = 2500.0;
  summary.dropped_updates = 17;
  summary.backend = "cpu";
  summary.path = "avx2";
  summary.schedule = "throughput";
  summary.arithmetic = "fast";
  summary.machine = "a <machine> & more";
  summary.version = "9.8.7";
  summary.command = "instep train " + task;
  summary.ended_at = "2026-01-02 03:04:05 UTC";
  summary.update_us = Percentiles{37.5, 52.25, 80.0, 310.5};
  summary.update_histogram = {{36.0, 900}, {37.0, 100}, {300.0, 1}};
  summary.observation_to_action_us = Percentiles{3.0, 4.0, 5.0, 6.0};
  summary.memory = {{"actor", 1048576, 0}, {"critic", 1000, 0}};
  summary.speed = {{100, 2400.0}, {200, 2600.0}};
  return summary;
}

RunRecord record_of(int seed, std::vector<Episode> episodes, int steps = 800,
                    const std::string& task = "hopper") {
  RunRecord record;
  record.path = "runs/" + task + "/a-s" + std::to_string(seed);
  record.config_text = "[run]\ntask = \"" + task + "\"\n";
  record.episodes = std::move(episodes);
  record.summary = full_summary(task, seed, steps);
  return record;
}

RunRecord ordinary_record(int seed = 0) {
  std::vector<Episode> episodes;
  for (std::uint64_t i = 1; i <= 80; ++i) {
    episodes.push_back(episode(i * 10, static_cast<double>(i) + seed));
  }
  return record_of(seed, std::move(episodes));
}

std::string render(const RunRecord& record) {
  return render_report({&record, 1});
}

// The first tag that is not closed in order, or "" where all are. Elements without content close
// themselves.
std::string unbalanced_tag(const std::string& page) {
  const std::set<std::string> empty_elements = {"meta", "link", "!DOCTYPE"};
  std::vector<std::string> open;
  for (std::size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at + 1)) {
    const std::size_t end = page.find('>', at);
    if (end == std::string::npos) return page.substr(at, 30);
    const bool closes = page[at + 1] == '/';
    const std::size_t from = at + (closes ? 2 : 1);
    const std::string name = page.substr(from, page.find_first_of(" \n>/", from) - from);
    if (closes) {
      if (open.empty() || open.back() != name) return page.substr(at, 30);
      open.pop_back();
    } else if (page[end - 1] != '/' && empty_elements.count(name) == 0) {
      open.push_back(name);
    }
  }
  return open.empty() ? "" : open.back();
}

// What must hold for every report.
void expect_sound_page(const std::string& page) {
  EXPECT_EQ(page.substr(0, 15), "<!DOCTYPE html>");
  EXPECT_EQ(unbalanced_tag(page), "");
  EXPECT_THAT(page, HasSubstr("<meta name=\"viewport\" content=\"width=device-width"));
  EXPECT_THAT(page, HasSubstr("prefers-color-scheme:dark"));
  for (const char* outside : {"http://", "https://", "src=", "@import", "url(", "<script"}) {
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
  for (const char* no_number : {">nan", ">inf", " nan", "-nan", "-inf", "not finite<"}) {
    EXPECT_THAT(page, Not(HasSubstr(no_number)));
  }
  // Every path is made of whole coordinates inside the view box.
  for (std::size_t at = page.find(" d=\""); at != std::string::npos;
       at = page.find(" d=\"", at + 1)) {
    const std::string path = page.substr(at + 4, page.find('"', at + 4) - at - 4);
    EXPECT_EQ(path.find_first_not_of("MLhVZ 0123456789"), std::string::npos) << path.substr(0, 80);
    for (std::size_t i = 0; i < path.size(); ++i) {
      if (std::isdigit(static_cast<unsigned char>(path[i])) == 0) continue;
      const std::size_t digits = std::min(path.find_first_not_of("0123456789", i), path.size()) - i;
      EXPECT_LE(std::stol(path.substr(i, digits)), 10000);
      i += digits - 1;
    }
  }
}

std::size_t count_of(const std::string& page, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = page.find(part); at != std::string::npos; at = page.find(part, at + 1))
    ++count;
  return count;
}

TEST(Report, TellsOneRunInFull) {
  const std::string page = render(ordinary_record());
  expect_sound_page(page);
  // Ten episodes end in each eighth, with returns of 1 to 10 and 71 to 80.
  EXPECT_THAT(
      page,
      HasSubstr(
          "In 800 steps of <em>hopper</em> the mean return went from <b>5.50</b> "
          "(first eighth) to <b>75.50</b> (last eighth), in 320 ms by AVG on the CPU (avx2)."));
  for (const char* part : {"Learning curve", "Each dot is an episode.", "Speed",
                           "Time of an update", "p50 37.50 \u00b5s", "p99 52.25 \u00b5s",
                           "max 310.5 \u00b5s", "done: all steps", "<td>17</td>", "1,048,576",
                           "1.0 MiB", "1,049,576", "throughput", "task = &quot;hopper&quot;"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
  EXPECT_EQ(count_of(page, "<svg "), 3U);
}

TEST(Report, TellsHowPunctualARobotsRunWas) {
  RunRecord record = ordinary_record();
  EXPECT_THAT(render(record), Not(HasSubstr("Real time")));
  RealTimeSummary real;
  real.wakeup_us = Percentiles{12.5, 44.25, 61.0, 2105.5};
  real.packet_age_us = Percentiles{1890.0, 15200.0, 16100.0, 31000.0};
  real.overruns.overrun_ticks = 12;
  real.overruns.overruns = {{"woke_late", 3}, {"computed_late", 0}, {"old_packet", 9}};
  real.overruns.steal_ms = 2340.0;
  real.held_ticks = 7;
  real.holds = {{"key", 1}, {"link_lost", 0}};
  real.transitions_dropped_late = 4321;
  real.reconnects = 2;
  record.summary->real_time = real;
  const std::string page = render(record);
  expect_sound_page(page);
  for (const char* part :
       {"<h2>Real time</h2>", "99 % within <b>44.25</b>", "longest <b>31,000</b>",
        "<td>12: old packet 9, woke late 3</td>", "<td>2.3 s</td>", "<td>7: key 1</td>",
        "<td>4,321</td>", "<th scope=\"row\">Reconnections</th><td>2</td>"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
  EXPECT_THAT(page, Not(HasSubstr("computed late")));
  // What was lost is told where it was.
  for (const char* part :
       {"Packets that the loop", "missing from the record", "not finite", "never reached",
        "After a fault", "not listed", "of no packet", "Stops by the guardian"}) {
    EXPECT_THAT(page, Not(HasSubstr(part)));
  }
  real.packets_lost = 31;
  real.record_ticks_lost = 32;
  real.commands_not_finite = 33;
  real.learner_tasks_lost = 34;
  real.faulted_ticks = 35;
  real.bytes_skipped = 36;
  real.episodes_lost = 37;
  real.overruns.overruns_unlisted = 38;
  real.guardian_stops = 39;
  record.summary->real_time = real;
  record.summary->losses = losses_of(*record.summary);
  record.summary->exact = false;
  const std::string lossy = render(record);
  expect_sound_page(lossy);
  for (int count = 31; count <= 39; ++count) {
    EXPECT_THAT(lossy, HasSubstr("<td>" + std::to_string(count) + "</td>"));
  }
  EXPECT_THAT(lossy,
              HasSubstr("<td>no: 17 updates were not finite, 4321 transitions were dropped"));
}

TEST(Report, EscapesWhatOthersWrote) {
  RunRecord record = ordinary_record();
  record.config_text = "name = \"<script>alert('x')</script> & more\"\n";
  record.summary->task = "<b>task</b>";
  record.summary->memory = {{"\"quoted\" <i>", 8, 0}};
  const std::string page = render(record);
  expect_sound_page(page);
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; more"));
  EXPECT_THAT(page, HasSubstr("a &lt;machine&gt; &amp; more"));
  EXPECT_THAT(page, HasSubstr("&lt;b&gt;task&lt;/b&gt;"));
  EXPECT_THAT(page, HasSubstr("&quot;quoted&quot; &lt;i&gt;"));
}

TEST(Report, ServesRunsWithHardlyAnEpisode) {
  const std::string none = render(record_of(0, {}));
  expect_sound_page(none);
  EXPECT_THAT(none, HasSubstr("no episode has ended yet"));
  const std::string one = render(record_of(0, {episode(90, 12.5)}));
  expect_sound_page(one);
  EXPECT_THAT(one, HasSubstr("one episode has ended, with a return of <b>12.50</b>"));
  EXPECT_EQ(count_of(one, "class=\"dots strong\""), 1U);
  const std::string two = render(record_of(0, {episode(400, 1), episode(500, 2)}));
  EXPECT_THAT(
      two, HasSubstr("the return went from <b>1</b> (first episode) to <b>2</b> (last episode)"));
  RunRecord nothing;
  nothing.path = "runs/empty/";
  expect_sound_page(render(nothing));
  EXPECT_THAT(render(nothing), HasSubstr("it still goes on, or was killed"));
}

TEST(Report, ServesConstantAndExtremeReturns) {
  for (const double value : {0.0, -50.0, 1e-9, 1e12, -1e50, 1e15 + 1}) {
    std::vector<Episode> episodes;
    for (std::uint64_t i = 1; i <= 80; ++i) episodes.push_back(episode(i * 10, value));
    const std::string page = render(record_of(0, episodes));
    expect_sound_page(page);
    EXPECT_THAT(page, HasSubstr("</b> in the first eighth and in the last eighth")) << value;
    episodes.back().return_sum = value + 1e-7;
    expect_sound_page(render(record_of(0, episodes)));
  }
}

TEST(Report, LeavesOutReturnsThatAreNotFiniteAndSaysSo) {
  RunRecord record = ordinary_record();
  record.episodes[3].return_sum = std::numeric_limits<double>::quiet_NaN();
  record.episodes[7].return_sum = std::numeric_limits<double>::infinity();
  record.summary->update_us.reset();
  const std::string page = render(record);
  expect_sound_page(page);
  EXPECT_THAT(page, HasSubstr("Left out: 2 episodes whose return is not finite."));
  RunRecord unknown = record_of(0, {episode(90, std::nan("")), episode(200, std::nan(""))});
  EXPECT_THAT(render(unknown),
              AllOf(HasSubstr("no return is known"), Not(HasSubstr("no episode has ended"))));
  unknown.episodes[1].return_sum = 12.5;
  EXPECT_THAT(render(unknown), HasSubstr("the return of one episode is known: <b>12.50</b>"));
}

// As a file that somebody edited may have them.
TEST(Report, ServesNumbersThatAreNone) {
  RunRecord record = ordinary_record();
  RunSummary& summary = *record.summary;
  summary.seconds = summary.steps_per_second = std::numeric_limits<double>::infinity();
  summary.update_us = Percentiles{-1.0, 1e200, std::nan(""), 1e300};
  summary.update_histogram = {{1e300, 5}, {-4.0, 5}, {37.0, 0}, {40.0, 1}};
  summary.speed = {{100, 1e200}, {-7, 20.0}};
  summary.steps = -5;
  expect_sound_page(render(record));
}

TEST(Report, KnowsTheTaskOfARunWithoutSummaryFromItsConfig) {
  RunRecord record = ordinary_record();
  record.summary.reset();
  EXPECT_THAT(render(record), HasSubstr("In 800 steps of <em>hopper</em>"));
  record.config_text = "this is = = not TOML";
  EXPECT_THAT(render(record), AllOf(HasSubstr("of <em>the task</em>"), HasSubstr("not TOML")));
}

TEST(Report, KeepsAMillionEpisodesSmall) {
  std::vector<Episode> episodes;
  for (std::uint64_t i = 1; i <= 1'000'000; ++i) {
    episodes.push_back(episode(i * 8, static_cast<double>(i * 7919 % 1000)));
  }
  RunRecord record = record_of(0, std::move(episodes), 8'000'000);
  std::vector<HistogramRow> rows;
  for (int i = 0; i < 1000; ++i) {
    rows.push_back({0.05 * std::pow(1.02, i), static_cast<std::uint64_t>(i + 1)});
  }
  record.summary->update_histogram = rows;
  const std::string page = render(record);
  expect_sound_page(page);
  EXPECT_LT(page.size(), 100'000U);
  EXPECT_THAT(page, HasSubstr("600 of 1,000,000 are shown"));
}

TEST(Report, ShowsEveryUpdateOfTheHistogramWhateverItsRange) {
  for (const double factor : {1.001, 1.03, 1.2, 10.0}) {
    RunRecord record = ordinary_record();
    std::vector<HistogramRow> rows;
    for (int i = 0; i < 12; ++i) rows.push_back({std::pow(factor, i), 5});
    rows.push_back({0.0, 1});
    record.summary->update_histogram = rows;
    const std::string page = render(record);
    expect_sound_page(page);
    const std::size_t at = page.find("class=\"bars\"");
    ASSERT_NE(at, std::string::npos);
    const std::string bars = page.substr(at, page.find("/>", at) - at);
    EXPECT_GE(count_of(bars, "Z"), 2U);
    EXPECT_LE(count_of(bars, "Z"), 120U);
  }
}

TEST(Report, ShowsTheMeanOverRunsOfOneTaskWithItsInterval) {
  const std::vector<RunRecord> runs = {ordinary_record(0), ordinary_record(1), ordinary_record(2)};
  const std::string page = render_report(runs);
  expect_sound_page(page);
  // Last eighths of 75.5, 76.5 and 77.5: mean 76.5, half-width 4.302653 / sqrt(3) = 2.484.
  EXPECT_THAT(
      page,
      HasSubstr("3 runs of <em>hopper</em>, 800 steps each: the mean return of the last eighth "
                "is <b>76.50</b>, 95 % interval 74.02 to 78.98."));
  EXPECT_EQ(count_of(page, "class=\"thin"), 3U);
  EXPECT_EQ(count_of(page, "class=\"band"), 1U);
  EXPECT_THAT(page, HasSubstr(">75.50</td>"));
  EXPECT_THAT(page, Not(HasSubstr("same seed")));
}

TEST(Report, WarnsOfRunsWithTheSameSeed) {
  const std::vector<RunRecord> runs = {ordinary_record(4), ordinary_record(4)};
  EXPECT_THAT(render_report(runs), HasSubstr("have the same seed"));
}

// The chart of a page with that title, up to its caption.
std::string chart_of(const std::string& page, const std::string& title) {
  const std::size_t at = page.find("<h2>" + title + "</h2>");
  if (at == std::string::npos) return "";
  return page.substr(at, page.find("</figure>", at) - at);
}

// The labels of a chart's vertical axis, from its lower end.
std::vector<std::string> y_labels(const std::string& chart) {
  std::vector<std::string> labels;
  for (std::size_t at = chart.find("<span class=\"y\""); at != std::string::npos;
       at = chart.find("<span class=\"y\"", at + 1)) {
    const std::size_t begin = chart.find('>', at) + 1;
    labels.push_back(chart.substr(begin, chart.find('<', begin) - begin));
  }
  return labels;
}

RunRecord scaled(RunRecord record, const std::string& task, double factor) {
  record.summary->task = task;
  for (Episode& episode : record.episodes) episode.return_sum *= factor;
  return record;
}

TEST(Report, GivesEachTaskItsOwnAxes) {
  // Running means of the last twentieth: hopper from 1 to 79.5, ant 10,000 times that, below zero.
  const std::vector<RunRecord> runs = {ordinary_record(0), scaled(ordinary_record(0), "ant", -1e4),
                                       ordinary_record(1)};
  const std::string page = render_report(runs);
  expect_sound_page(page);
  EXPECT_THAT(page, HasSubstr("<h1>3 runs of 2 tasks: <em>hopper</em> and <em>ant</em>, each with "
                              "axes of its own.</h1>"));
  const std::string hopper = chart_of(page, "Learning curves: hopper");
  const std::string ant = chart_of(page, "Learning curve: ant");
  EXPECT_EQ(count_of(page, "<figure>"), 2U);
  EXPECT_EQ(count_of(hopper, "class=\"thin"), 2U);
  EXPECT_EQ(count_of(hopper, "class=\"line"), 1U);
  EXPECT_EQ(count_of(hopper, "class=\"band"), 1U);
  EXPECT_EQ(count_of(ant, "class=\"thin"), 0U);
  EXPECT_EQ(count_of(ant, "class=\"line"), 1U);
  ASSERT_FALSE(y_labels(hopper).empty());
  ASSERT_FALSE(y_labels(ant).empty());
  EXPECT_EQ(y_labels(hopper).back(), "100");
  EXPECT_EQ(y_labels(ant).front(), "\u2212800k");
  EXPECT_EQ(y_labels(ant).back(), "0");
  // Last eighths of hopper: 75.5 and 76.5, mean 76, half-width 12.706 / 2.
  EXPECT_THAT(page, HasSubstr("2 runs of <em>hopper</em>, 800 steps each: the mean return of the "
                              "last eighth is <b>76</b>, 95 % interval 69.65 to 82.35."));
  EXPECT_THAT(page, HasSubstr("In 800 steps of <em>ant</em> the mean return went from"));
  EXPECT_THAT(page, HasSubstr("<td data-label=\"task\">ant, avg</td>"));
  EXPECT_THAT(page, Not(HasSubstr("swatch c")));
}

// Of two runs, 1 and -1 throughout, the interval reaches 12.7 to either side of their mean.
TEST(Report, DoesNotFlattenRunsForTheirInterval) {
  std::vector<Episode> ones;
  for (std::uint64_t i = 1; i <= 80; ++i) ones.push_back(episode(i * 10, 1.0));
  std::vector<RunRecord> runs = {record_of(0, ones), record_of(1, ones)};
  for (Episode& each : runs[1].episodes) each.return_sum = -1.0;
  const std::string page = render_report(runs);
  expect_sound_page(page);
  EXPECT_THAT(page, HasSubstr("95 % interval \u221212.71 to 12.71."));
  const std::vector<std::string> labels = y_labels(chart_of(page, "Learning curves"));
  ASSERT_FALSE(labels.empty());
  EXPECT_EQ(labels.front(), "\u22122");
  EXPECT_EQ(labels.back(), "2");
}

TEST(Report, TellsAlgorithmsOfOneTaskApart) {
  std::vector<RunRecord> runs;
  for (int seed = 0; seed < 4; ++seed) {
    runs.push_back(scaled(ordinary_record(seed / 2), "hopper", seed % 2 == 0 ? 1.0 : 2.0));
    runs.back().summary->algo = seed % 2 == 0 ? "avg" : "iac";
  }
  const std::string page = render_report(runs);
  expect_sound_page(page);
  EXPECT_EQ(count_of(page, "<figure>"), 1U);
  for (const char* colour : {"c0", "c1"}) {
    EXPECT_EQ(count_of(page, std::string("class=\"thin ") + colour), 2U);
    EXPECT_EQ(count_of(page, std::string("class=\"line ") + colour), 1U);
    EXPECT_EQ(count_of(page, std::string("class=\"band ") + colour), 1U);
    EXPECT_EQ(count_of(page, std::string("swatch ") + colour), 3U) << "two rows and the caption";
  }
  // 75.5 and 76.5 of one, twice as much of the other: half-widths 6.353 and 12.706.
  EXPECT_THAT(page, HasSubstr("the mean return of the last eighth is "
                              "<b>76</b>, 95 % interval 69.65 to 82.35 (avg, 2 runs); "
                              "<b>152.0</b>, 95 % interval 139.3 to 164.7 (iac, 2 runs)."));
  EXPECT_THAT(page, Not(HasSubstr("same seed"))) << "each algorithm has each seed once";
}

// Two settings are two things, whose mean would be the mean of nothing.
TEST(Report, AveragesOnlyRunsOfTheSameSettings) {
  std::vector<RunRecord> runs;
  for (int i = 0; i < 4; ++i) {
    runs.push_back(scaled(ordinary_record(i / 2), "hopper", i % 2 == 0 ? 1.0 : 2.0));
    runs.back().config_text =
        std::string("[run]\nsteps = 800\n[learner]\nactor_lr = ") + (i % 2 == 0 ? "0.001" : "0.01");
  }
  const std::string page = render_report(runs);
  expect_sound_page(page);
  EXPECT_THAT(page, HasSubstr("(actor_lr 0.001, 2 runs); "));
  EXPECT_THAT(page, HasSubstr("(actor_lr 0.01, 2 runs)."));
  EXPECT_THAT(page, HasSubstr("The runs differ in: actor_lr."));
  const std::string alone = render_report(std::span(runs).first(2));
  EXPECT_THAT(alone, HasSubstr("one run of each: no interval."));
}

TEST(Report, LeavesHalfDoneRunsOutOfMeansAndNamesThem) {
  std::vector<RunRecord> runs = {ordinary_record(0), ordinary_record(1), ordinary_record(2),
                                 ordinary_record(3)};
  runs[2].episodes.resize(20);
  runs[2].summary->ended = "interrupted";
  runs[2].summary->steps = 200;
  runs[3].episodes.resize(10);
  runs[3].summary.reset();
  const std::string page = render_report(runs);
  expect_sound_page(page);
  EXPECT_THAT(page, HasSubstr("2 of 4 runs of <em>hopper</em> are done, 800 steps each: the mean "
                              "return of the last eighth is <b>76</b>"));
  EXPECT_THAT(page, HasSubstr("<b>a-s2</b>, 200 of 800 steps, interrupted"));
  EXPECT_THAT(page, HasSubstr("<b>a-s3</b>, 100 steps, no summary"));
}

TEST(Report, NamesRunsByTheShortestPathThatTellsThemApart) {
  std::vector<RunRecord> runs = {ordinary_record(0), ordinary_record(1), ordinary_record(2)};
  runs[0].path = "/x/first/s0";
  runs[1].path = "/x/second/s0/";
  runs[2].path = "/x/second/s1";
  const std::string page = render_report(runs);
  for (const char* name : {"first/s0</th>", "second/s0</th>", ">s1</th>"}) {
    EXPECT_THAT(page, HasSubstr(name));
  }
}

TEST(Report, SaysWhatTheRunWarnedOf) {
  RunRecord record = ordinary_record();
  EXPECT_THAT(render(record), Not(HasSubstr("Warnings")));
  record.summary->warnings = {"features vanish", "return has fallen"};
  const std::string page = render(record);
  expect_sound_page(page);
  const std::size_t row = page.find(">Warnings</th>");
  ASSERT_NE(row, std::string::npos);
  const std::string said = page.substr(row, page.find("</tr>", row) - row);
  EXPECT_THAT(said, AllOf(HasSubstr("the features vanish"), HasSubstr("the return has fallen")));
  EXPECT_THAT(said, Not(HasSubstr("variance")));
}

TEST(Report, ServesSeveralRunsOfDifferentLengthAndWithoutEpisodes) {
  std::vector<RunRecord> runs = {ordinary_record(0), record_of(1, {}),
                                 record_of(2, {episode(58, 1)}, 60)};
  const std::string page = render_report(runs);
  expect_sound_page(page);
  EXPECT_THAT(page,
              HasSubstr("60 to 800 steps each, compared at step 60, which all of them have: the "
                        "mean return of the eighth before it is"));
  expect_sound_page(render_report(std::vector<RunRecord>{record_of(1, {}), record_of(2, {})}));
  EXPECT_THROW(render_report({}), UsageError);
}

}  // namespace
}  // namespace instep

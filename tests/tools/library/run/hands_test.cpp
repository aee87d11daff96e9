// The command on a robot whose files, terminal and threads are slow or stand still: whoever wants
// the robot to stand gets it within the usual time, and the command ends.
#include "tools/library/run/hands.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "command.h"
#include "create2_on_pty.h"
#include "service_listener.h"
#include "slow_world.h"
#include "temporary_folder.h"
#include "terminal.h"
#include "tools/library/measure/rights.h"
#include "wait_for.h"

namespace instep {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kPatienceNs = 60'000 * kMs;
// The usual time is below 200 ms; a busy machine may need more, a sync takes longer.
constexpr std::int64_t kSoonNs = 1000 * kMs;
constexpr int kSyncMs = 3000;

std::vector<std::string> train(const Create2OnPty& robot, const std::string& out) {
  return {"train", "create_mover", "--time", "real",     "--device", robot.path(),        "--out",
          out,     "--steps",      "100000", "--record", "--set",    "checkpoint_every=5"};
}

bool moves(const Create2OnPty& robot) {
  return wait_for([&] { return robot.is_moving(); }, kPatienceNs);
}

// How long it is told to move on after `what`; it must stand then.
std::int64_t time_to_stand_ns(const Create2OnPty& robot, const std::function<void()>& what) {
  EXPECT_TRUE(moves(robot));
  const MonotonicClock clock;
  const std::int64_t begin_ns = clock.now_ns();
  what();
  EXPECT_TRUE(wait_for([&] { return !robot.is_moving(); }, kPatienceNs));
  const std::int64_t time_ns = robot.stopped_ns() - begin_ns;
  std::printf("stands after %.1f ms\n", static_cast<double>(time_ns) * 1e-6);
  sleep_until(clock.now_ns() + 300 * kMs);
  EXPECT_FALSE(robot.is_moving()) << "it stood, and moves again";
  return time_ns;
}

// The run's writer, from now on at a sync that takes that long.
void begin_slow_sync(const SlowWorld& world) {
  world->sync_ms = kSyncMs;
  ASSERT_TRUE(wait_for([&] { return world->syncs_running > 0; }, kPatienceNs));
}

TEST(Hands, HoldWhileTheDiskStandsStill) {
  SKIP_WITHOUT_SLOW_WORLD();
  const TemporaryFolder folder;
  SlowWorld world;
  Create2OnPty robot;
  CommandOnTerminal run(train(robot, folder / "run"));
  ASSERT_TRUE(moves(robot));
  begin_slow_sync(world);
  EXPECT_LT(time_to_stand_ns(robot, [&] { run.type(" "); }), kSoonNs);
  EXPECT_TRUE(run.shows("held; press c to go on", 2000 * kMs));
  EXPECT_GT(world->syncs_running, 0) << "all that was within one sync";
  world->sync_ms = 0;
  // A key that sends several bytes, or somebody leaning on the keyboard, moves nothing.
  const MonotonicClock clock;
  for (const std::string& keys : {std::string("\x1b[c"), std::string(256, 'x') + "c"}) {
    run.type(keys);
    sleep_until(clock.now_ns() + 200 * kMs);
    EXPECT_FALSE(run.shows("going on", 0)) << keys.size();
  }
  run.type("c");
  EXPECT_TRUE(run.shows("going on"));
  EXPECT_TRUE(moves(robot));
}

TEST(Hands, StopWhileTheDiskStandsStill) {
  SKIP_WITHOUT_SLOW_WORLD();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const TemporaryFolder folder;
    SlowWorld world;
    Create2OnPty robot;
    CommandOnTerminal run(train(robot, folder / "run"));
    ASSERT_TRUE(moves(robot));
    begin_slow_sync(world);
    EXPECT_LT(time_to_stand_ns(robot, [&] { run.send(signal); }), kSoonNs);
    EXPECT_TRUE(run.shows("still writing the checkpoint"));
    world->sync_ms = 0;
    ASSERT_TRUE(run.ends_within(kPatienceNs));
    EXPECT_EQ(run.exit_code(), 0);
    const auto summary = nlohmann::json::parse(read_bytes(folder / "run/summary.json"));
    EXPECT_EQ(summary.at("ended"), "interrupted");
    const CommandResult replay = run_command({"replay", folder / "run/record"});
    EXPECT_EQ(replay.exit_code, 0) << replay;
  }
}

// As one that is being closed by a program that the processor is taken from.
TEST(Hands, StopTheRobotBeforeTheyWaitForTheTerminal) {
  SKIP_WITHOUT_SLOW_WORLD();
  for (const char* how : {"closed", "Ctrl-C", "SIGTERM"}) {
    const TemporaryFolder folder;
    SlowWorld world;
    Create2OnPty robot;
    CommandOnTerminal run(train(robot, folder / "run"));
    ASSERT_TRUE(moves(robot));
    world->terminal_ms = 3000;
    const std::string name = how;
    EXPECT_LT(time_to_stand_ns(robot,
                               [&] {
                                 if (name == "closed") return run.hang_up();
                                 name == "Ctrl-C" ? run.type("\x03") : run.send(SIGTERM);
                               }),
              kSoonNs)
        << how;
    ASSERT_TRUE(run.ends_within(kPatienceNs));
    EXPECT_EQ(run.exit_code(), 0);
  }
}

TEST(Hands, AreNotHeldUpByATerminalThatStandsStill) {
  for (const char* key : {" ", "\x13", "\x11", "\x16", "\x1a", "\x0f"}) {  // Ctrl-S, -Q, -V, -Z, -O
    const TemporaryFolder folder;
    Create2OnPty robot;
    CommandOnTerminal run(train(robot, folder / "run"));
    ASSERT_TRUE(moves(robot)) << run.shown();
    run.halt();
    const MonotonicClock clock;
    sleep_until(clock.now_ns() + 500 * kMs);  // some progress lines run up against it
    EXPECT_LT(time_to_stand_ns(robot, [&] { run.type(key); }), kSoonNs) << int{*key};
    run.type("c");
    EXPECT_LT(time_to_stand_ns(robot, [&] { run.send(SIGTERM); }), kSoonNs);
    EXPECT_TRUE(run.ends_within(20'000 * kMs)) << "nobody reads what it says";
    EXPECT_EQ(run.exit_code(), 0);
    EXPECT_NE(read_bytes(folder / "run/summary.json").find("interrupted"), std::string::npos);
  }
}

TEST(Hands, HoldARunThatStartedThoughNobodyTakesWhatItPrints) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  int pipe_ends[2];
  ASSERT_EQ(pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK), 0);
  const std::array<char, 4096> rubbish{};
  while (write(pipe_ends[1], rubbish.data(), rubbish.size()) > 0) continue;
  const std::string full =
      "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(pipe_ends[1]);
  std::vector<std::string> words = train(robot, folder / "run");
  words.insert(words.begin(), {"-c", "exec \"$0\" \"$@\" > " + full + " 2>&1", INSTEP_COMMAND});
  RunningCommand run(words, "/bin/sh");
  ASSERT_TRUE(moves(robot));
  EXPECT_LT(time_to_stand_ns(robot, [&] { run.send(SIGTERM); }), kSoonNs);
  EXPECT_EQ(run.wait().exit_code, 0);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST(Hands, AreThoseOfAnEvaluationToo) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const CommandResult trained =
      run_command({"train", "create_mover", "--steps", "200", "--set", "hidden=16", "--out", run});
  ASSERT_EQ(trained.exit_code, 0) << trained;
  Create2OnPty robot;
  CommandOnTerminal eval({"eval", run, "--device", robot.path(), "--episodes", "1000"});
  ASSERT_TRUE(moves(robot));
  eval.halt();
  EXPECT_LT(time_to_stand_ns(robot, [&] { eval.type("\x13"); }), kSoonNs);
  eval.type("c");
  EXPECT_LT(time_to_stand_ns(robot, [&] { eval.send(SIGTERM); }), kSoonNs);
  EXPECT_TRUE(eval.ends_within(20'000 * kMs)) << "not within its episode";
  EXPECT_EQ(eval.exit_code(), 0);
}

// The words of a command line.
std::string line_of(const std::vector<std::string>& words) {
  std::string line = INSTEP_COMMAND;
  for (const std::string& word : words) line += ' ' + word;
  return line;
}

// The process that a shell has started in the background.
pid_t job_of(pid_t shell) {
  std::string children;
  EXPECT_TRUE(wait_for(
      [&] {
        const std::string number = std::to_string(shell);
        children = read_bytes("/proc/" + number + "/task/" + number + "/children");
        return !children.empty();
      },
      kPatienceNs));
  return std::atoi(children.c_str());
}

// A shell takes the terminal away and gives it back: `&`, `fg`, Ctrl-Z from elsewhere, `bg`.
TEST(Hands, HearKeysWhenTheRunIsBroughtToTheForeground) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  CommandOnTerminal shell({"--norc", "-i"}, "/bin/bash");
  shell.type("stty tostop\n" + line_of(train(robot, folder / "run")) + " &\n");
  ASSERT_TRUE(moves(robot));
  EXPECT_TRUE(shell.shows("this run is in the background"));
  EXPECT_TRUE(shell.shows("`instep stop " + robot.path() + "` or `kill "));
  EXPECT_NE(shell.settings().c_cc[VSUSP], _POSIX_VDISABLE) << "the shell's";
  const pid_t run = job_of(shell.process());
  shell.type("fg\n");
  ASSERT_TRUE(shell.shows("in the foreground again"));
  EXPECT_LT(time_to_stand_ns(robot, [&] { shell.type(" "); }), kSoonNs);
  ASSERT_TRUE(shell.shows("held; press c to go on"));
  shell.type("c");
  ASSERT_TRUE(moves(robot));
  kill(run, SIGTSTP);
  ASSERT_TRUE(wait_for([&] { return !robot.is_moving(); }, kPatienceNs)) << "its guardian's doing";
  ASSERT_TRUE(shell.shows("Stopped"));
  shell.type("bg\n");
  ASSERT_TRUE(moves(robot));
  EXPECT_TRUE(shell.shows("its guardian stopped the robot"));
  shell.type("fg\n");
  EXPECT_LT(time_to_stand_ns(robot, [&] { kill(run, SIGINT); }), kSoonNs);
}

// Of a job in the background the system says nothing when its terminal is closed.
TEST(Hands, StopTheRobotWhenTheTerminalOfABackgroundJobIsClosed) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  CommandOnTerminal shell({"--norc", "-i"}, "/bin/bash");
  shell.type(line_of(train(robot, folder / "run")) + " &\n");
  ASSERT_TRUE(moves(robot));
  job_of(shell.process());
  EXPECT_LT(time_to_stand_ns(robot,
                             [&] {
                               shell.send(SIGKILL);
                               shell.hang_up();
                             }),
            kSoonNs);
  EXPECT_TRUE(
      wait_for([&] { return std::filesystem::exists(folder / "run/summary.json"); }, kPatienceNs));
}

// As a service's, or a program's that opens one for it: no signal comes of its keys or its end.
TEST(Hands, HearATerminalThatNobodyControls) {
  for (const bool is_closed : {false, true}) {
    const TemporaryFolder folder;
    Create2OnPty robot;
    CommandOnTerminal run(train(robot, folder / "run"), INSTEP_COMMAND, false);
    EXPECT_LT(time_to_stand_ns(robot, [&] { run.type(" "); }), kSoonNs);
    ASSERT_TRUE(run.shows("held; press c to go on"));
    run.type("c");
    EXPECT_LT(time_to_stand_ns(robot, [&] { is_closed ? run.hang_up() : run.type("\x03"); }),
              kSoonNs);
    ASSERT_TRUE(run.ends_within(kPatienceNs));
    EXPECT_EQ(run.exit_code(), 0);
    if (!is_closed) {
      EXPECT_NE(run.settings().c_lflag & ICANON, 0U);
    }
  }
}

TEST(Hands, LeaveTheKeysOfAnotherSessionAlone) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  CommandOnTerminal shell({"-i"}, "/bin/sh");
  shell.type("setsid " + line_of(train(robot, folder / "run")) + "\n");
  ASSERT_TRUE(moves(robot));
  EXPECT_TRUE(shell.shows("this run's terminal belongs to another session"));
  EXPECT_NE(shell.settings().c_lflag & ICANON, 0U);
  const CommandResult stop = run_command({"stop", robot.path()});
  EXPECT_EQ(stop.exit_code, 0) << stop;
}

// A script's `&` makes Ctrl-C nobody's. SIGTERM is what `instep stop` asks with.
TEST(Hands, SayThatCtrlCIsIgnored) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  RunningCommand shell({"-c", "trap '' INT TERM; exec " + line_of(train(robot, folder / "run"))},
                       "/bin/sh");
  ASSERT_TRUE(moves(robot));
  shell.send(SIGINT);
  const MonotonicClock clock;
  sleep_until(clock.now_ns() + 300 * kMs);
  EXPECT_TRUE(moves(robot));
  const CommandResult stop = run_command({"stop", robot.path()});
  EXPECT_EQ(stop.exit_code, 0) << stop;
  const CommandResult result = shell.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.error.find("Ctrl-C is ignored"), std::string::npos) << result;
  EXPECT_NE(result.error.find("`instep stop " + robot.path()), std::string::npos) << result;
}

// A lid that is closed, a shell that ends, a pipe with somebody else's bytes: no keys.
TEST(Hands, TakeNoBytesThatAreNoKeys) {
  for (const char* input : {"</dev/null", "<&-", "</dev/zero", "<\"$0\"", "< /proc/self/fd/0 "}) {
    const TemporaryFolder folder;
    Create2OnPty robot;
    std::vector<std::string> words = train(robot, folder / "run");
    words.insert(words.begin(), {"-c", "yes | { exec \"$@\" " + std::string(input) + "; }",
                                 folder / "xyz", INSTEP_COMMAND});
    write_bytes(folder / "xyz", "xyz");
    RunningCommand shell(words, "/bin/sh");
    ASSERT_TRUE(moves(robot)) << input;
    const MonotonicClock clock;
    sleep_until(clock.now_ns() + 500 * kMs);
    EXPECT_TRUE(robot.is_moving() || moves(robot)) << input;
    const CommandResult stop = run_command({"stop", robot.path()});
    EXPECT_EQ(stop.exit_code, 0) << stop;
    const CommandResult result = shell.wait();
    EXPECT_EQ(result.error.find("held; press"), std::string::npos) << input << result;
  }
}

// Whether the service hears of a live run at least that often within three seconds.
int meals(const ServiceListener& listener) {
  const MonotonicClock clock;
  listener.heard();
  sleep_until(clock.now_ns() + 3000 * kMs);
  const std::vector<std::string> heard = listener.heard();
  return static_cast<int>(std::count(heard.begin(), heard.end(), "WATCHDOG=1"));
}

TEST(Hands, FeedTheWatchdogAsLongAsLoopAndLinkGoRound) {
  SKIP_WITHOUT_SLOW_WORLD();
  const TemporaryFolder folder;
  const ServiceListener listener(folder / "notify", "500000");
  SlowWorld world;
  Create2OnPty robot;
  RunningCommand run(train(robot, folder / "run"));
  ASSERT_TRUE(moves(robot));
  EXPECT_GE(meals(listener), 6) << "at least one each 250 ms, and a busy machine";
  world->frozen = kFrozenWriter;
  EXPECT_GE(meals(listener), 6) << "files are not what it watches";
  for (const std::uint32_t thread : {kFrozenLoop, kFrozenIo}) {
    world->frozen = thread;
    const MonotonicClock clock;
    sleep_until(clock.now_ns() + 500 * kMs);  // what was on its way
    EXPECT_LE(meals(listener), 1) << thread;
    world->frozen = 0;
    EXPECT_TRUE(wait_for([&] { return !listener.heard().empty(); }, kPatienceNs)) << thread;
  }
  ASSERT_TRUE(moves(robot));
  world->sync_ms = 3000;
  run.send(SIGTERM);
  std::string text = listener.next();
  while (text == "WATCHDOG=1") text = listener.next();
  EXPECT_EQ(text, "STOPPING=1");
  EXPECT_EQ(meals(listener), 0) << "never while stopping";
  world->sync_ms = 0;
  EXPECT_EQ(run.wait().exit_code, 0);
}

// The dead-man's part, and the hands': the loop's own thread answers nobody.
TEST(Hands, StopARobotWhoseLoopStandsStill) {
  SKIP_WITHOUT_SLOW_WORLD();
  const TemporaryFolder folder;
  SlowWorld world;
  Create2OnPty robot;
  CommandOnTerminal run(train(robot, folder / "run"));
  ASSERT_TRUE(moves(robot));
  EXPECT_LT(time_to_stand_ns(robot,
                             [&] {
                               world->frozen = kFrozenLoop;
                               run.type(" ");
                             }),
            kSoonNs);
  run.send(SIGTERM);
  EXPECT_TRUE(run.shows("waiting for the loop"));
  world->frozen = 0;
  EXPECT_TRUE(run.ends_within(kPatienceNs));
  EXPECT_EQ(run.exit_code(), 0);
}

TEST(Hands, LetASecondCtrlCKillWhileTheDiskStandsStill) {
  SKIP_WITHOUT_SLOW_WORLD();
  const TemporaryFolder folder;
  SlowWorld world;
  Create2OnPty robot;
  CommandOnTerminal run(train(robot, folder / "run"));
  const termios before = run.settings();
  ASSERT_TRUE(moves(robot));
  EXPECT_EQ(run.settings().c_iflag & IXON, 0U);
  begin_slow_sync(world);
  EXPECT_LT(time_to_stand_ns(robot, [&] { run.type("\x03"); }), kSoonNs);
  run.type("\x03");
  EXPECT_TRUE(run.ends_within(2000 * kMs)) << "not behind the sync";
  EXPECT_EQ(run.signal(), SIGINT);
  EXPECT_EQ(run.settings().c_lflag, before.c_lflag);
  EXPECT_EQ(run.settings().c_iflag, before.c_iflag);
}

TEST(Hands, LeaveTheTerminalAsItWasWhateverEndsTheRun) {
  for (const int signal : {SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGUSR1}) {
    const TemporaryFolder folder;
    Create2OnPty robot;
    CommandOnTerminal run(train(robot, folder / "run"));
    const termios before = run.settings();
    ASSERT_TRUE(moves(robot));
    EXPECT_NE(run.settings().c_lflag, before.c_lflag);
    run.send(signal);
    ASSERT_TRUE(run.ends_within(kPatienceNs)) << signal;
    EXPECT_EQ(run.signal(), signal == SIGTERM || signal == SIGHUP ? 0 : signal);
    EXPECT_EQ(run.settings().c_lflag, before.c_lflag) << signal;
    EXPECT_EQ(run.settings().c_iflag, before.c_iflag) << signal;
    EXPECT_TRUE(wait_for([&] { return !robot.is_moving(); }, kPatienceNs)) << signal;
  }
}

// --- What the system refuses
// -------------------------------------------------------------------------

TEST(Hands, SayWhichRightsWereRefused) {
  SKIP_WITHOUT_SLOW_WORLD();
  const bool has_own = try_rights().priority_error == 0;
  for (const bool is_refused : {false, true}) {
    const TemporaryFolder folder;
    SlowWorld world;
    if (is_refused) world->fifo_error = EPERM;
    Create2OnPty robot;
    RunningCommand run(train(robot, folder / "run"));
    ASSERT_TRUE(moves(robot));
    run.send(SIGTERM);
    const CommandResult result = run.wait();
    const bool is_told = result.error.find("a real-time priority was refused") != std::string::npos;
    EXPECT_EQ(is_told, is_refused || !has_own) << result;
    const auto summary = nlohmann::json::parse(read_bytes(folder / "run/summary.json"));
    const auto refused = summary.at("real_time").at("rights_refused");
    for (const char* thread : {"io", "hands", "loop", "learner"}) {
      EXPECT_EQ(refused.contains(thread), is_told) << refused;
    }
  }
}

TEST(Hands, SayWhatCouldNotBeStarted) {
  SKIP_WITHOUT_SLOW_WORLD();
  const auto train_with = [](const std::function<void(SlowWorld&)>& refuse) {
    const TemporaryFolder folder;
    SlowWorld world;
    Create2OnPty robot;
    refuse(world);
    std::vector<std::string> words = train(robot, folder / "run");
    words.insert(words.end(), {"--backend", "cpu"});
    const CommandResult result = run_command(words);
    EXPECT_EQ(result.exit_code, 3) << result;
    EXPECT_FALSE(robot.is_moving());
    return result.error;
  };
  for (int threads = 0; threads < 5; ++threads) {
    const std::string error = train_with([&](SlowWorld& world) {
      world->thread_error = EAGAIN;
      world->threads_before = threads;
    });
    EXPECT_NE(error.find("thread"), std::string::npos) << error;
    EXPECT_NE(error.find("cannot be started: Resource temporarily unavailable"), std::string::npos)
        << error;
  }
  const std::string fork = train_with([](SlowWorld& world) { world->fork_error = EAGAIN; });
  EXPECT_NE(fork.find("Resource temporarily unavailable"), std::string::npos) << fork;
  EXPECT_NE(fork.find("ulimit -u"), std::string::npos) << fork;
}

// Where the loop's thread may run, as the system tells.
std::string cores_of_loop(pid_t process) {
  namespace fs = std::filesystem;
  for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
    if (read_bytes(task.path() / "comm") != "instep-loop\n") continue;
    const std::string status = read_bytes(task.path() / "status");
    const std::string key = "Cpus_allowed_list:\t";
    const std::size_t at = status.find(key) + key.size();
    return status.substr(at, status.find('\n', at) - at);
  }
  return "";
}

TEST(Hands, LoopStaysOnTheCoreItIsGiven) {
  cpu_set_t cores;
  ASSERT_EQ(sched_getaffinity(0, sizeof cores, &cores), 0);
  int last = CPU_SETSIZE - 1;
  while (CPU_ISSET(static_cast<std::size_t>(last), &cores) == 0) --last;
  const TemporaryFolder folder;
  Create2OnPty robot;
  std::vector<std::string> words = train(robot, folder / "run");
  words.insert(words.end(), {"--core", std::to_string(last)});
  RunningCommand run(words);
  ASSERT_TRUE(moves(robot));
  EXPECT_EQ(cores_of_loop(run.process()), std::to_string(last));
  run.send(SIGTERM);
  EXPECT_EQ(run.wait().exit_code, 0);
  const CommandResult nowhere = run_command(
      {"train", "create_mover", "--time", "real", "--device", robot.path(), "--core", "1023"});
  EXPECT_EQ(nowhere.exit_code, 2) << nowhere;
  EXPECT_NE(nowhere.error.find("cores that are switched on"), std::string::npos) << nowhere;
  EXPECT_EQ(run_command({"train", "create_mover", "--core", "0"}).exit_code, 2);
  EXPECT_EQ(run_command({"eval", folder / "run", "--core", "0"}).exit_code, 2);
  EXPECT_EQ(run_command({"profile", "create_mover", "--core", "0"}).exit_code, 2);
}

// --- Commands that only measure
// ----------------------------------------------------------------------

// Whether Ctrl-C leaves them at what they have, and they say that it is not all.
TEST(Hands, EndAMeasurementThatSaysWhatIsMissing) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const CommandResult trained =
      run_command({"train", "create_mover", "--steps", "200", "--set", "hidden=16", "--out", run});
  ASSERT_EQ(trained.exit_code, 0) << trained;
  const std::vector<std::vector<std::string>> commands = {
      {"eval", run, "--episodes", "1000000", "--json"},
      {"profile", "create_mover", "--updates", "1000000000", "--json"},
      {"profile", "create_mover", "--updates", "100", "--rate", "100", "--seconds", "1000",
       "--json"}};
  for (const auto& words : commands) {
    RunningCommand command(words);
    const MonotonicClock clock;
    sleep_until(clock.now_ns() + 1500 * kMs);
    command.send(SIGINT);
    const CommandResult result = command.wait();
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_NE(result.error.find("stopped"), std::string::npos) << result;
    const auto json = nlohmann::json::parse(result.last_line());
    EXPECT_EQ(json.at("is_partial"), words.size() == 5) << "the last one's updates were all made";
  }
}

// Whose launches each would take minutes.
TEST(Hands, EndAMeasurementOfSeveralAgents) {
  CommandOnTerminal command({"profile", "create_mover", "--agents", "2", "--backend",
                             "cuda-emulated", "--updates", "1000000000"});
  const MonotonicClock clock;
  sleep_until(clock.now_ns() + 1500 * kMs);
  command.type("\x03");
  ASSERT_TRUE(command.ends_within(10'000 * kMs));
  EXPECT_EQ(command.exit_code(), 0);
  EXPECT_TRUE(command.shows("stopped", 0));
}

// `stop` has no file to wait for; only the end of the run has.
TEST(Hands, StopFromOutsideWhileTheDiskStandsStill) {
  SKIP_WITHOUT_SLOW_WORLD();
  const TemporaryFolder folder;
  SlowWorld world;
  Create2OnPty robot;
  CommandOnTerminal run(train(robot, folder / "run"));
  ASSERT_TRUE(moves(robot));
  begin_slow_sync(world);
  std::optional<RunningCommand> stop;
  EXPECT_LT(time_to_stand_ns(robot,
                             [&] {
                               stop.emplace(std::vector<std::string>{"stop", robot.path()});
                             }),
            kSoonNs);
  world->sync_ms = 0;
  const CommandResult result = stop->wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  ASSERT_TRUE(run.ends_within(kPatienceNs));
  EXPECT_EQ(run.exit_code(), 0);
}

}  // namespace
}  // namespace instep

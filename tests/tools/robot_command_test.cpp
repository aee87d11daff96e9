// The command against a simulated Create 2 on real time: what it leaves behind, and what becomes of
// the robot when it is killed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "command.h"
#include "create2_on_pty.h"
#include "drivers/serial_port.h"
#include "kernels/philox.h"
#include "runtime/realtime/descriptor.h"
#include "runtime/realtime/thread.h"
#include "temporary_folder.h"
#include "wait_for.h"

namespace instep {
namespace {

constexpr std::int64_t kMs = 1'000'000;

// Not how soon anything must come, but how long a busy machine may need for it.
constexpr std::int64_t kPatienceNs = 60'000 * kMs;

using Words = std::vector<std::string>;

Words train(const Create2OnPty& robot, const std::string& out, const std::string& steps) {
  return {"train", "create_mover", "--time", "real",     "--device", robot.path(), "--out",
          out,     "--steps",      steps,    "--record", "--json"};
}

bool starts_to_move(const Create2OnPty& robot) {
  return wait_for([&] { return robot.is_moving(); }, kPatienceNs);
}

bool comes_to_stand(const Create2OnPty& robot) {
  return wait_for([&] { return !robot.is_moving(); }, kPatienceNs);
}

nlohmann::json real_time_of(const TemporaryFolder& folder) {
  return nlohmann::json::parse(read_bytes(folder / "run/summary.json")).at("real_time");
}

TEST(RobotCommand, RecordsARunThatIsRepeatedBitForBit) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  RunningCommand run(train(robot, folder / "run", "40"));
  ASSERT_TRUE(starts_to_move(robot));
  const std::string descriptors = "/proc/" + std::to_string(run.process()) + "/fd";
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(descriptors)) {
    std::error_code ignored;
    const std::string target = std::filesystem::read_symlink(entry.path(), ignored).string();
    EXPECT_FALSE(target.starts_with("socket:")) << "data leave the machine";
    ++files;
  }
  EXPECT_GT(files, 5);
  const CommandResult result = run.wait();
  ASSERT_EQ(result.exit_code, 0) << result;
  const auto summary = nlohmann::json::parse(result.last_line());
  EXPECT_EQ(summary.at("steps"), 40);
  EXPECT_FALSE(robot.is_moving());
  EXPECT_EQ(robot.limit_violations(), 0);
  const CommandResult replay = run_command({"replay", folder / "run/record", "--json"});
  EXPECT_EQ(replay.exit_code, 0) << replay;
  const auto compared = nlohmann::json::parse(replay.last_line());
  EXPECT_TRUE(compared.at("first_difference").is_null());
  EXPECT_EQ(compared.at("checkpoint_step"), 40);
  EXPECT_EQ(compared.at("checkpoint_same"), true);
}

TEST(RobotCommand, KilledAtSpeedLeavesARobotThatStands) {
  const MonotonicClock clock;
  for (int death = 0; death < 3; ++death) {
    const TemporaryFolder folder;
    Create2OnPty robot;
    RunningCommand run(train(robot, folder / "run", "100000"));
    ASSERT_TRUE(starts_to_move(robot));
    sleep_until(clock.now_ns() + (3000 + 370 * death) * kMs);
    ASSERT_TRUE(starts_to_move(robot));
    const std::int64_t killed_ns = clock.now_ns();
    run.send(SIGKILL);
    run.wait();
    ASSERT_TRUE(comes_to_stand(robot));
    EXPECT_LT(robot.stopped_ns() - killed_ns, 200 * kMs);
    sleep_until(clock.now_ns() + 500 * kMs);
    EXPECT_FALSE(robot.is_moving());
  }
}

TEST(RobotCommand, FrozenAtSpeedLeavesARobotThatStands) {
  const TemporaryFolder folder;
  const MonotonicClock clock;
  Create2OnPty robot;
  RunningCommand run(train(robot, folder / "run", "100000"));
  ASSERT_TRUE(starts_to_move(robot));
  const std::int64_t frozen_ns = clock.now_ns();
  run.send(SIGSTOP);
  ASSERT_TRUE(comes_to_stand(robot));
  EXPECT_LT(robot.stopped_ns() - frozen_ns, 1500 * kMs);  // and a busy machine
  run.send(SIGCONT);
  ASSERT_TRUE(starts_to_move(robot)) << "it goes on";
  // For about as long as the guardian waits: its stop is never taken for a person's.
  for (const std::int64_t frozen_ms : {30, 45, 50, 55, 60, 70, 80, 100, 120, 150}) {
    run.send(SIGSTOP);
    sleep_until(clock.now_ns() + frozen_ms * kMs);
    run.send(SIGCONT);
    sleep_until(clock.now_ns() + 300 * kMs);
    ASSERT_TRUE(starts_to_move(robot)) << frozen_ms;
  }
  run.send(SIGINT);
  const CommandResult result = run.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_GE(real_time_of(folder).at("guardian_stops"), 1);
  EXPECT_EQ(real_time_of(folder).at("holds").at("taken_over"), 0);
}

// The only child of an agent.
pid_t guardian_of(pid_t agent) {
  const std::string number = std::to_string(agent);
  pid_t guardian = -1;
  std::ifstream("/proc/" + number + "/task/" + number + "/children") >> guardian;
  return guardian;
}

TEST(RobotCommand, EndsWhenItsGuardianIsStopped) {
  const TemporaryFolder folder;
  for (const bool is_asked : {false, true}) {
    Create2OnPty robot;
    RunningCommand run(train(robot, folder / ("run" + std::to_string(is_asked)), "100000"));
    ASSERT_TRUE(starts_to_move(robot));
    const pid_t guardian = guardian_of(run.process());
    ASSERT_GT(guardian, 0);
    ASSERT_EQ(kill(guardian, SIGSTOP), 0);
    if (is_asked) run.send(SIGINT);
    const CommandResult result = run.wait();
    EXPECT_FALSE(robot.is_moving());
    EXPECT_TRUE(result.exit_code == 3 || (is_asked && result.exit_code == 0)) << result;
    EXPECT_EQ(result.error.find("halted itself") != std::string::npos, result.exit_code == 3)
        << result;
    EXPECT_NE(kill(guardian, 0), 0) << "it has ended, too";
  }
}

bool echoes(int terminal) {
  termios settings{};
  return tcgetattr(terminal, &settings) == 0 && (settings.c_lflag & ECHO) != 0;
}

// Reads on until the terminal shows that; false when it ends before.
bool shows(int terminal, const std::string& text) {
  std::string shown;
  char character = 0;
  while (!shown.ends_with(text)) {
    if (read(terminal, &character, 1) != 1) return false;
    shown += character;
  }
  return true;
}

// The second Ctrl-C kills it where it is. Whatever else is typed holds the robot. The shell keeps
// the terminal, and says how it was left.
TEST(RobotCommand, IsHeldByAnyKeyAndLeavesTheTerminalAsItWasWhenCtrlCIsPressedTwice) {
  const TemporaryFolder folder;
  const MonotonicClock clock;
  Create2OnPty robot;
  Words words = train(robot, folder / "run", "100000");
  words.insert(words.begin(), {"/bin/sh", "-c", "trap : INT; \"$@\"; stty -a > \"$0\"",
                               folder / "left", INSTEP_COMMAND});
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  int terminal = -1;
  const pid_t shell = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (shell == 0) {
    execv(pointers[0], pointers.data());
    _exit(1);
  }
  ASSERT_TRUE(starts_to_move(robot));
  EXPECT_FALSE(echoes(terminal));
  for (const char* key : {" ", "\x1a", "\x1c"}) {  // Ctrl-Z and Ctrl-\ are the last two
    ASSERT_EQ(write(terminal, key, 1), 1);
    ASSERT_TRUE(shows(terminal, "held; press c to go on")) << int{*key};
    ASSERT_EQ(write(terminal, "c", 1), 1);
    ASSERT_TRUE(shows(terminal, "going on")) << int{*key};
  }
  ASSERT_TRUE(starts_to_move(robot));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(write(terminal, "\x03", 1), 1);
    sleep_until(clock.now_ns() + 20 * kMs);
  }
  waitpid(shell, nullptr, 0);
  EXPECT_NE(read_bytes(folder / "left").find(" echo "), std::string::npos);
  close(terminal);
}

// Another program's Clean: the run waits for a person, who presses a key.
TEST(RobotCommand, IsHeldBySomebodyElsesStopUntilAKeyIsPressed) {
  const TemporaryFolder folder;
  const MonotonicClock clock;
  Create2OnPty robot;
  Words words = train(robot, folder / "run", "100000");
  words.insert(words.begin(), INSTEP_COMMAND);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  int terminal = -1;
  const pid_t process = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (process == 0) {
    execv(pointers[0], pointers.data());
    _exit(1);
  }
  ASSERT_TRUE(starts_to_move(robot));
  sleep_until(clock.now_ns() + 1000 * kMs);
  robot.send_as_another_program({135});
  ASSERT_TRUE(shows(terminal, "held: somebody else stopped the robot; press c to go on"));
  for (int i = 0; i < 2000; ++i) {
    sleep_until(clock.now_ns() + kMs);
    ASSERT_FALSE(robot.is_moving()) << i;
  }
  ASSERT_EQ(write(terminal, "c", 1), 1);
  ASSERT_TRUE(starts_to_move(robot));
  ASSERT_EQ(write(terminal, "\x03", 1), 1);
  std::thread reader([&] { shows(terminal, "never shown"); });  // until it ends
  int status = -1;
  waitpid(process, &status, 0);
  reader.join();
  EXPECT_EQ(status, 0);
  close(terminal);
  EXPECT_FALSE(robot.is_moving());
  const auto summary = nlohmann::json::parse(read_bytes(folder / "run/summary.json"));
  EXPECT_EQ(summary.at("real_time").at("holds").at("taken_over"), 1);
}

TEST(RobotCommand, StopsFromAnotherTerminal) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  RunningCommand run(train(robot, folder / "run", "100000"));
  ASSERT_TRUE(starts_to_move(robot));
  const CommandResult second = run_command({"train", "create_mover", "--time", "real", "--device",
                                            robot.path(), "--out", folder / "second"});
  EXPECT_EQ(second.exit_code, 3) << second;
  EXPECT_NE(second.error.find("another program has it"), std::string::npos) << second;
  const CommandResult stop = run_command({"stop", robot.path()});
  EXPECT_EQ(stop.exit_code, 0) << stop;
  const CommandResult result = run.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_EQ(nlohmann::json::parse(read_bytes(folder / "run/summary.json")).at("ended"),
            "interrupted");
  EXPECT_FALSE(robot.is_moving());
}

// As when the run is another user's.
TEST(RobotCommand, SaysWhenSomebodyStillHasThePort) {
  Create2OnPty robot;
  const int other = open(robot.path().c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_GE(other, 0);
  ASSERT_EQ(flock(other, LOCK_EX | LOCK_NB), 0);
  RunningCommand stopping({"stop", robot.path()});
  // On a busy machine it gets its turn before what is ordinary, where it may.
  int refused = 0;
  std::thread([&] { refused = become_realtime("trial", kLoopPriority); }).join();
  if (refused == 0) {
    EXPECT_TRUE(wait_for([&] { return sched_getscheduler(stopping.process()) == SCHED_FIFO; },
                         kPatienceNs));
  }
  const CommandResult stop = stopping.wait();
  EXPECT_EQ(stop.exit_code, 3) << stop;
  EXPECT_NE(stop.error.find("still has the port"), std::string::npos) << stop;
  close(other);
}

TEST(RobotCommand, StopsTheRunAndNotTheSimulator) {
  const TemporaryFolder folder;
  const std::string link = folder / "robot";
  std::filesystem::create_symlink(folder / "gone", link);  // as a simulator that was killed leaves
  RunningCommand sim({"sim", "create2", "--link", link});
  ASSERT_TRUE(wait_for([&] { return std::filesystem::exists(link); }, kPatienceNs));
  RunningCommand run({"train", "create_mover", "--time", "real", "--device", link, "--out",
                      folder / "run", "--steps", "100000"});
  ASSERT_TRUE(
      wait_for([&] { return std::filesystem::exists(folder / "run/checkpoint"); }, kPatienceNs));
  const CommandResult stop = run_command({"stop", link});
  EXPECT_EQ(stop.exit_code, 0) << stop;
  EXPECT_EQ(stop.out.find("asking process"), stop.out.rfind("asking process")) << stop;
  const CommandResult result = run.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_TRUE(std::filesystem::exists(link)) << "it takes its link away when it is ended";
  const CommandResult again = run_command({"stop", link});
  EXPECT_EQ(again.exit_code, 0) << again;
  sim.send(SIGTERM);
  EXPECT_EQ(sim.wait().exit_code, 0);
}

// The robot's port goes away, and later the run is asked to end.
TEST(RobotCommand, SaysThatTheRobotIsLostAndRepeatsWhatWasBefore) {
  const TemporaryFolder folder;
  const MonotonicClock clock;
  auto robot = std::make_unique<Create2OnPty>();
  RunningCommand run(train(*robot, folder / "run", "100000"));
  ASSERT_TRUE(starts_to_move(*robot));
  robot.reset();
  sleep_until(clock.now_ns() + 3000 * kMs);
  run.send(SIGINT);
  const CommandResult result = run.wait();
  EXPECT_EQ(result.exit_code, 3) << result;
  EXPECT_NE(result.error.find("does not show that it stands"), std::string::npos) << result;
  EXPECT_NE(result.error.find("robot at the end: link lost"), std::string::npos) << result;
  EXPECT_NE(result.error.find("link lost: waiting up to 10 min"), std::string::npos) << result;
  const CommandResult replay = run_command({"replay", folder / "run/record"});
  EXPECT_EQ(replay.exit_code, 0) << replay;
  EXPECT_NE(replay.out.find("is the same"), std::string::npos) << replay;
}

// Another program has made the robot drive and is gone; the port is as the kernel makes it: 9600
// baud, lines, echo.
void drive_without_a_run(Create2OnPty& robot) {
  PortAddress address = make_port_address(robot.path());
  const Descriptor port(open_serial_port(&address));
  const std::array<std::uint8_t, 7> drive = {128, 131, 145, 0, 150, 0, 150};
  ASSERT_EQ(write(port.get(), drive.data(), drive.size()), 7);
  ASSERT_TRUE(starts_to_move(robot));
  robot.reset_settings();
}

TEST(RobotCommand, StopsARobotOnAPortThatNobodyHasSetUp) {
  Create2OnPty robot;
  drive_without_a_run(robot);
  const CommandResult stop = run_command({"stop", robot.path()});
  EXPECT_EQ(stop.exit_code, 0) << stop;
  EXPECT_NE(stop.out.find("stands (the robot's own frames show it)"), std::string::npos) << stop;
  EXPECT_FALSE(robot.is_moving());
}

// A port that takes bytes is no robot that stands.
TEST(RobotCommand, SaysThatNothingShowsThatTheRobotStands) {
  Create2OnPty robot;
  drive_without_a_run(robot);
  robot.does([](Create2OnPort& port) {
    port.simulator().set_line_faults({.drop = 1.0, .host_drop = 1.0});
  });
  const CommandResult stop = run_command({"stop", robot.path()});
  EXPECT_EQ(stop.exit_code, 3) << stop;
  EXPECT_NE(stop.error.find("nothing it sends shows that it stands"), std::string::npos) << stop;
  EXPECT_TRUE(robot.is_moving());
}

TEST(RobotCommand, StopsTheRobotBeforeItComplainsOfTheCommandLine) {
  for (const Words& rubbish : {Words{"now", "please"}, Words{"--hard"}, Words{"--task", "nonsense"},
                               Words{"--task", "dot_reacher"}}) {
    Create2OnPty robot;
    drive_without_a_run(robot);
    Words words = {"stop", robot.path()};
    words.insert(words.end(), rubbish.begin(), rubbish.end());
    const CommandResult stop = run_command(words);
    EXPECT_EQ(stop.exit_code, 2) << stop;
    EXPECT_FALSE(robot.is_moving()) << rubbish.front();
    const bool names_it = stop.error.find(rubbish.front()) != std::string::npos ||
                          stop.error.find(rubbish.back()) != std::string::npos;
    EXPECT_TRUE(names_it) << stop;
  }
}

// As `stty sane 9600`, a getty or a lister of ports does it, in the middle of a run.
TEST(RobotCommand, PutsThePortRightWhenSomebodyChangesIt) {
  for (const int end : {0, SIGINT, SIGTERM, SIGKILL}) {
    const TemporaryFolder folder;
    Create2OnPty robot;
    RunningCommand run(train(robot, folder / "run", "100000"));
    ASSERT_TRUE(starts_to_move(robot));
    robot.reset_settings();
    if (end != 0) {
      run.send(end);
    } else {
      const CommandResult stop = run_command({"stop", robot.path()});
      EXPECT_EQ(stop.exit_code, 0) << stop;
    }
    const CommandResult result = run.wait();
    ASSERT_TRUE(comes_to_stand(robot)) << end;
    if (end == SIGKILL) continue;
    EXPECT_EQ(result.exit_code, 0) << result;
    EXPECT_EQ(real_time_of(folder).at("stood"), true);
  }
}

TEST(RobotCommand, GoesOnWhenSomebodyHasChangedThePort) {
  const TemporaryFolder folder;
  const MonotonicClock clock;
  Create2OnPty robot;
  RunningCommand run(train(robot, folder / "run", "100000"));
  ASSERT_TRUE(starts_to_move(robot));
  for (int i = 0; i < 3; ++i) {
    robot.reset_settings();
    sleep_until(clock.now_ns() + 400 * kMs);
    ASSERT_TRUE(starts_to_move(robot));
  }
  run.send(SIGINT);
  const CommandResult result = run.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_FALSE(robot.is_moving());
  // Where a cooked port's end of file comes before the look, the port is opened anew, which is not
  // counted.
  const int resets = real_time_of(folder).at("port_resets");
  EXPECT_GE(resets, 1);
  EXPECT_LE(resets, 3);
}

// The cable comes out and goes in again. Nobody of ours may keep the old port open: the robot would
// come back under another name.
TEST(RobotCommand, GoesOnUnderTheSameNameWhenTheCableIsBack) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  RunningCommand run(train(robot, folder / "run", "100000"));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(starts_to_move(robot));
    robot.unplug();
    const MonotonicClock clock;
    sleep_until(clock.now_ns() + 300 * kMs);
    const std::int64_t plugged_ns = clock.now_ns();
    robot.plug();
    EXPECT_EQ(robot.path_now(), robot.path());
    ASSERT_TRUE(comes_to_stand(robot));
    EXPECT_LT(robot.stopped_ns() - plugged_ns, 1000 * kMs);
  }
  ASSERT_TRUE(starts_to_move(robot));
  run.send(SIGINT);
  const CommandResult result = run.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_FALSE(robot.is_moving());
}

// The run would home when the cable is back.
TEST(RobotCommand, StopsTheRunWhoseCableIsOut) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  RunningCommand run({"train", "create_mover", "--time", "real", "--device=" + robot.path(),
                      "--out", folder / "run", "--steps", "100000"});
  ASSERT_TRUE(starts_to_move(robot));
  robot.unplug();
  const MonotonicClock clock;
  sleep_until(clock.now_ns() + 300 * kMs);
  const CommandResult stop = run_command({"stop", robot.path()});
  EXPECT_EQ(stop.exit_code, 3) << stop;
  EXPECT_NE(stop.out.find("asking process " + std::to_string(run.process())), std::string::npos)
      << stop;
  EXPECT_NE(stop.error.find("was asked to end"), std::string::npos) << stop;
  const CommandResult result = run.wait();
  EXPECT_EQ(result.exit_code, 3) << result;
  robot.plug();
  EXPECT_TRUE(comes_to_stand(robot)) << "its guardian has waited";
}

// Links go with the cable, and the run may have been told another one.
TEST(RobotCommand, StopsTheRunWhoseCableIsOutByAnyNameOfItsPort) {
  for (const bool is_told_the_link : {false, true}) {
    const TemporaryFolder folder;
    Create2OnPty robot;
    std::filesystem::create_symlink(robot.stable_path(), folder / "mine");
    Words words = train(robot, folder / "run", "100000");
    if (is_told_the_link) words[5] = robot.stable_path();
    RunningCommand run(words);
    ASSERT_TRUE(starts_to_move(robot));
    robot.unplug();
    const MonotonicClock clock;
    sleep_until(clock.now_ns() + 300 * kMs);
    const CommandResult stop =
        run_command({"stop", is_told_the_link ? robot.path() : folder / "mine"});
    EXPECT_EQ(stop.exit_code, 3) << stop;
    EXPECT_NE(stop.out.find("asking process " + std::to_string(run.process())), std::string::npos)
        << stop;
    EXPECT_EQ(run.wait().exit_code, 3);
  }
}

// Somebody who keeps the robot's port open, so that its name stays taken after a re-plug.
class KeptName {
 public:
  explicit KeptName(const Create2OnPty& robot)
      : descriptor_(open(robot.path().c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) {}
  ~KeptName() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  KeptName(const KeptName&) = delete;
  KeptName& operator=(const KeptName&) = delete;
  bool is_kept() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

// The cable is out for 300 ms.
void replug(Create2OnPty& robot) {
  const MonotonicClock clock;
  robot.unplug();
  sleep_until(clock.now_ns() + 300 * kMs);
  robot.plug();
}

// The run has followed the robot; its old name leads nowhere.
TEST(RobotCommand, StopsTheRobotUnderTheNameThatItHasNow) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  const KeptName kept(robot);
  ASSERT_TRUE(kept.is_kept());
  RunningCommand run(train(robot, folder / "run", "100000"));
  ASSERT_TRUE(starts_to_move(robot));
  replug(robot);
  ASSERT_TRUE(comes_to_stand(robot));
  ASSERT_TRUE(starts_to_move(robot));
  const CommandResult stop = run_command({"stop", robot.path()});
  EXPECT_EQ(stop.exit_code, 0) << stop;
  EXPECT_FALSE(robot.is_moving());
  EXPECT_EQ(run.wait().exit_code, 0);
}

// It moves nothing. It lets go: asked, or, where it may not be asked and is in the way, of itself.
TEST(RobotCommand, StopsBesideAWatch) {
  Create2OnPty robot;
  std::filesystem::permissions(std::filesystem::path(robot.path()).parent_path(),
                               std::filesystem::perms(0755));
  std::filesystem::permissions(robot.path(), std::filesystem::perms(0666));
  for (const bool is_other_user : {false, true}) {
    if (is_other_user && geteuid() != 0) continue;
    RunningCommand watch({"watch", robot.path()});
    const MonotonicClock clock;
    sleep_until(clock.now_ns() + 1000 * kMs);
    const std::int64_t begin_ns = clock.now_ns();
    Words words = {"--reuid=65534", "--regid=65534", "--clear-groups",
                   INSTEP_COMMAND,  "stop",          robot.path()};
    const CommandResult stop = is_other_user ? RunningCommand(words, "/usr/bin/setpriv").wait()
                                             : run_command({"stop", robot.path()});
    EXPECT_EQ(stop.exit_code, 0) << stop;
    EXPECT_LT(clock.now_ns() - begin_ns, 8000 * kMs) << "it has not waited for the watch";
    watch.send(SIGTERM);
    const CommandResult watched = watch.wait();
    EXPECT_EQ(watched.exit_code, 0) << watched;
  }
}

// Nothing it does can be in the way.
TEST(RobotCommand, StopsBesideAWatchThatIsHalted) {
  Create2OnPty robot;
  RunningCommand watch({"watch", robot.path()});
  const MonotonicClock clock;
  sleep_until(clock.now_ns() + 1000 * kMs);
  watch.send(SIGSTOP);
  const CommandResult stop = run_command({"stop", robot.path()});
  EXPECT_EQ(stop.exit_code, 0) << stop;
}

// Its standard input is /dev/null, its task and its folder are words of its command line; none is a
// robot's port, and whoever names one as such ends no run of somebody else.
TEST(RobotCommand, StopsNoRunThatHasNoRobot) {
  const TemporaryFolder folder;
  const std::string out = folder / "run";
  RunningCommand run({"train", "dot_reacher", "--steps", "1000000000", "--out", out});
  ASSERT_TRUE(wait_for([&] { return std::filesystem::exists(out + "/checkpoint"); }, kPatienceNs));
  for (const std::string& port : {std::string("/dev/null"), std::string("dot_reacher"), out}) {
    const CommandResult stop = run_command({"stop", port, "--robot", "create2"});
    EXPECT_EQ(stop.exit_code, 3) << stop;
    EXPECT_EQ(stop.out.find("asking"), std::string::npos) << stop;
  }
  run.send(SIGINT);
  EXPECT_EQ(run.wait().exit_code, 0);
}

// It goes on when it is asked to end, or it would not hear of it.
TEST(RobotCommand, StopsARunThatIsHalted) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  RunningCommand run(train(robot, folder / "run", "100000"));
  ASSERT_TRUE(starts_to_move(robot));
  run.send(SIGSTOP);
  const CommandResult stop = run_command({"stop", robot.path()});
  EXPECT_EQ(stop.exit_code, 0) << stop;
  EXPECT_EQ(run.wait().exit_code, 0);
  EXPECT_FALSE(robot.is_moving());
}

// Its process has the port for a moment longer, and then its guardian.
TEST(RobotCommand, StartsAtOnceAfterARunThatWasKilled) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  RunningCommand run(train(robot, folder / "run", "100000"));
  ASSERT_TRUE(starts_to_move(robot));
  run.send(SIGKILL);
  const CommandResult next = run_command(train(robot, folder / "next", "1"));
  EXPECT_EQ(next.exit_code, 0) << next;
}

TEST(RobotCommand, WatchesAsLongAsSomebodyLooks) {
  Create2OnPty robot;
  const std::string line = "timeout 30 " INSTEP_COMMAND " watch " + robot.path() + " | head -3";
  EXPECT_EQ(RunningCommand({"-o", "pipefail", "-c", line}, "/bin/bash").wait().exit_code, 0);
}

// Somebody else does keep it open.
TEST(RobotCommand, FindsTheRobotUnderANewName) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  const KeptName kept(robot);
  ASSERT_TRUE(kept.is_kept());
  RunningCommand run(train(robot, folder / "run", "100000"));
  ASSERT_TRUE(starts_to_move(robot));
  replug(robot);
  const MonotonicClock clock;
  sleep_until(clock.now_ns() + 20 * kMs);
  EXPECT_NE(robot.path_now(), robot.path());
  ASSERT_TRUE(comes_to_stand(robot));
  ASSERT_TRUE(starts_to_move(robot));
  run.send(SIGKILL);
  run.wait();
  ASSERT_TRUE(comes_to_stand(robot)) << "the guardian has found it, too";
}

// A process that has the port open and does nothing with it.
class Bystander {
 public:
  explicit Bystander(const std::string& path) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    process_ = fork();
    if (process_ == 0) {
      if (open(path.c_str(), O_RDWR | O_NOCTTY) >= 0) close(ready[1]);
      while (true) pause();
    }
    close(ready[1]);
    char none = 0;
    EXPECT_EQ(read(ready[0], &none, 1), 0);
    close(ready[0]);
  }
  ~Bystander() {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;
  std::string name() const { return "process " + std::to_string(process_); }

 private:
  pid_t process_ = -1;
};

TEST(RobotCommand, NamesWhoElseHasThePort) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  const Bystander bystander(robot.path());
  const CommandResult result = run_command(train(robot, folder / "run", "1"));
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.error.find(bystander.name()), std::string::npos) << result;
  EXPECT_NE(result.error.find("has it open, too"), std::string::npos) << result;
}

TEST(RobotCommand, WarnsWhereItIsTheFirstProcessOfAContainer) {
  if (RunningCommand({"--pid", "--fork", "--mount-proc", "true"}, "/usr/bin/unshare")
          .wait()
          .exit_code != 0) {
    GTEST_SKIP() << "no container can be had here";
  }
  const TemporaryFolder folder;
  Create2OnPty robot;
  Words words = train(robot, folder / "run", "1");
  words.insert(words.begin(), {"--pid", "--fork", "--mount-proc", INSTEP_COMMAND});
  const CommandResult first = RunningCommand(words, "/usr/bin/unshare").wait();
  EXPECT_EQ(first.exit_code, 0) << first;
  EXPECT_NE(first.error.find("process 1 of its container"), std::string::npos) << first;
  EXPECT_NE(first.error.find("docker run --init"), std::string::npos) << first;
  const CommandResult usual = run_command(train(robot, folder / "usual", "1"));
  EXPECT_EQ(usual.error.find("container"), std::string::npos) << usual;
}

TEST(RobotCommand, WatchesAndDriesWithoutMoving) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  const CommandResult watch = run_command({"watch", robot.path(), "--seconds", "3"});
  EXPECT_EQ(watch.exit_code, 0) << watch;
  EXPECT_NE(watch.out.find("ready"), std::string::npos) << watch;
  std::vector<std::string> words = train(robot, folder / "run", "20");
  words.push_back("--dry-run");
  const CommandResult dry = run_command(words);
  EXPECT_EQ(dry.exit_code, 0) << dry;
  EXPECT_EQ(robot.stopped_ns(), 0) << "it never moved";
  // The packets that it recorded are shown in the same way, a line each.
  const std::string packets = folder / "run/packets";
  const CommandResult recorded = run_command({"watch", packets});
  EXPECT_EQ(recorded.exit_code, 0) << recorded;
  const auto header = [](const std::string& text) { return text.substr(text.find(" mode"), 60); };
  EXPECT_EQ(header(recorded.out), header(watch.out));
  EXPECT_GT(std::count(recorded.out.begin(), recorded.out.end(), '\n'), 100) << recorded;
  std::filesystem::resize_file(packets, std::filesystem::file_size(packets) - 1);
  const CommandResult cut = run_command({"watch", packets});
  EXPECT_EQ(cut.exit_code, 1) << cut;
  EXPECT_NE(cut.error.find("cut off"), std::string::npos) << cut;
}

// Ten seconds of a robot are 67 steps; who says another number means it.
TEST(RobotCommand, SavesAsOftenAsItIsTold) {
  const TemporaryFolder folder;
  Create2OnPty robot;
  const auto configured = [&](const std::string& run, const Words& more) {
    Words words = train(robot, folder / run, "1");
    words.insert(words.end(), more.begin(), more.end());
    const CommandResult result = run_command(words);
    EXPECT_EQ(result.exit_code, 0) << result;
    return read_bytes(folder / run + "/config.toml");
  };
  EXPECT_EQ(configured("unsaid", {}).find("checkpoint_every = 10000\n"), std::string::npos);
  const std::string said = configured("said", {"--set", "checkpoint_every=10000"});
  EXPECT_NE(said.find("checkpoint_every = 10000\n"), std::string::npos) << said;
  const std::string again = configured("again", {"--config", folder / "said/config.toml"});
  EXPECT_NE(again.find("checkpoint_every = 10000\n"), std::string::npos) << again;
}

// A policy that learnt in simulation drives the robot until it is asked to stop; nothing in its
// folder changes.
TEST(RobotCommand, EvaluatesAPolicyOnTheRobot) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const CommandResult train =
      run_command({"train", "create_mover", "--steps", "200", "--set", "hidden=16", "--out", run});
  ASSERT_EQ(train.exit_code, 0) << train;
  const std::string checkpoint = read_bytes(run + "/checkpoint");
  Create2OnPty robot;
  RunningCommand eval({"eval", run, "--device", robot.path(), "--episodes", "1000", "--json"});
  ASSERT_TRUE(starts_to_move(robot));
  const CommandResult stop = run_command({"stop", robot.path()});
  EXPECT_EQ(stop.exit_code, 0) << stop;
  const CommandResult result = eval.wait();
  ASSERT_EQ(result.exit_code, 0) << result;
  EXPECT_LT(nlohmann::json::parse(result.last_line()).at("episodes"), 1000);
  EXPECT_FALSE(robot.is_moving());
  EXPECT_EQ(robot.limit_violations(), 0);
  EXPECT_EQ(read_bytes(run + "/checkpoint"), checkpoint);
  const CommandResult nowhere = run_command({"eval", run, "--device", "/dev/ttyNOTHING"});
  EXPECT_EQ(nowhere.exit_code, 3) << nowhere;
  EXPECT_NE(nowhere.error.find("cable plugged in?"), std::string::npos) << nowhere;
}

// A port that is no robot's: it says nothing, or what it was told, or noise.
class StrangePort {
 public:
  enum Kind { kMute, kEcho, kNoise };

  explicit StrangePort(Kind kind) : kind_(kind) {
    std::array<char, 128> name{};
    termios settings{};
    cfmakeraw(&settings);
    EXPECT_EQ(openpty(&master_, &slave_, name.data(), &settings, nullptr), 0);
    path_ = name.data();
    EXPECT_EQ(fcntl(master_, F_SETFL, O_NONBLOCK), 0);
    thread_ = std::thread([this] { run(); });
  }
  ~StrangePort() {
    is_stopping_ = true;
    thread_.join();
    close(slave_);
    close(master_);
  }
  StrangePort(const StrangePort&) = delete;
  StrangePort& operator=(const StrangePort&) = delete;

  const std::string& path() const { return path_; }

 private:
  void run() const {
    const MonotonicClock clock;
    const Random random{5, 0};
    std::array<std::uint8_t, 512> bytes;
    for (std::uint64_t i = 0; !is_stopping_; ++i) {
      sleep_until(clock.now_ns() + 5 * kMs);
      ssize_t count = read(master_, bytes.data(), bytes.size());
      if (kind_ == kNoise) {
        count = 16;
        const PhiloxBlock block = random.bits(i, 0);
        std::memcpy(bytes.data(), block.data(), 16);
      }
      if (kind_ != kMute && count > 0) {
        static_cast<void>(write(master_, bytes.data(), static_cast<std::size_t>(count)) == 0);
      }
    }
  }

  Kind kind_;
  std::string path_;
  int master_ = -1;
  int slave_ = -1;
  std::atomic<bool> is_stopping_{false};
  std::thread thread_;
};

TEST(RobotCommand, SaysWhenThereIsNoCreate2) {
  const TemporaryFolder folder;
  const StrangePort mute(StrangePort::kMute);
  const StrangePort echo(StrangePort::kEcho);
  const StrangePort noise(StrangePort::kNoise);
  const auto train_on = [&](const std::string& path, const char* name) {
    return std::make_unique<RunningCommand>(
        std::vector<std::string>{"train", "create_mover", "--time", "real", "--device", path,
                                 "--out", folder / name, "--steps", "10"});
  };
  const auto on_mute = train_on(mute.path(), "mute");
  const auto on_echo = train_on(echo.path(), "echo");
  const auto on_noise = train_on(noise.path(), "noise");
  const auto says = [](RunningCommand& run, const std::string& text) {
    const CommandResult result = run.wait();
    EXPECT_EQ(result.exit_code, 3) << result;
    EXPECT_NE(result.error.find(text), std::string::npos) << result;
  };
  says(*on_mute, "instep: --device " + mute.path() + ": nothing answers: is the robot switched on");
  says(*on_echo, "instep: --device " + echo.path() + ": not a Create 2");
  says(*on_noise, "instep: --device " + noise.path() + ": not a Create 2");
  // To its end, and for so short a time that nobody has given up yet.
  RunningCommand watch({"watch", noise.path()});
  says(watch, noise.path() + ": not a Create 2");
  RunningCommand glance({"watch", mute.path(), "--seconds", "1"});
  says(glance, mute.path() + ": no packet came; is the robot switched on");
}

}  // namespace
}  // namespace instep

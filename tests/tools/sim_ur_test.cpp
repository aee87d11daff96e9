// The simulated UR5 in a process of its own, seen through its sockets.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "command.h"
#include "drivers/ur/rtde.h"
#include "loopback_address.h"
#include "temporary_folder.h"

namespace instep {
namespace {

class Socket {
 public:
  // Tries for some seconds: the simulator has to start first.
  Socket(const std::string& address, int port, int attempts = 1000) {
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_port = htons(static_cast<std::uint16_t>(port));
    inet_pton(AF_INET, address.c_str(), &place.sin_addr);
    for (int i = 0; i < attempts; ++i) {
      descriptor_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (connect(descriptor_, reinterpret_cast<sockaddr*>(&place), sizeof place) == 0) return;
      close(descriptor_);
      descriptor_ = -1;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  ~Socket() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  void send_bytes(std::span<const std::uint8_t> bytes) const {
    EXPECT_EQ(send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void send_text(const std::string& text) const {
    send_bytes({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  }
  // What comes next; empty at the end or after ten seconds.
  std::vector<std::uint8_t> receive() const {
    pollfd event{descriptor_, POLLIN, 0};
    std::array<std::uint8_t, 4096> bytes{};
    if (poll(&event, 1, 10'000) != 1) return {};
    const ssize_t count = recv(descriptor_, bytes.data(), bytes.size(), 0);
    return {bytes.begin(), bytes.begin() + std::max<ssize_t>(count, 0)};
  }
  std::string line() const {
    std::string text;
    while (text.empty() || text.back() != '\n') {
      const auto bytes = receive();
      if (bytes.empty()) return text;
      text.append(bytes.begin(), bytes.end());
    }
    return text;
  }

 private:
  int descriptor_ = -1;
};

// Sets port 30004 up and counts packages.
int packages_from(const Socket& socket, int most) {
  RtdeWriter writer;
  socket.send_bytes(writer.begin(RtdeMessageType::kProtocolVersion).u16(2).finish());
  writer.begin(RtdeMessageType::kSetupOutputs).f64(500.0).text("timestamp,actual_q");
  socket.send_bytes(writer.finish());
  socket.send_bytes(writer.begin(RtdeMessageType::kStart).finish());
  RtdeParser parser;
  int count = 0;
  while (count < most) {
    const auto bytes = socket.receive();
    if (bytes.empty()) break;
    std::span<const std::uint8_t> rest(bytes);
    while (!rest.empty()) {
      rest = rest.subspan(parser.push(rest));
      for (RtdeMessage message; parser.next(&message);) {
        count += message.type == RtdeMessageType::kData ? 1 : 0;
      }
    }
  }
  return count;
}

// The largest speed that a joint is told to have, as port 30003 says it now.
double speed_at(const std::string& address) {
  constexpr std::size_t kSpeedsAt = 4 + 8 + 48;
  const Socket socket(address, 30003);
  std::vector<std::uint8_t> message;
  while (message.size() < kSpeedsAt + 48) {
    const auto bytes = socket.receive();
    if (bytes.empty()) return -1.0;
    message.insert(message.end(), bytes.begin(), bytes.end());
  }
  double largest = 0.0;
  for (std::size_t i = 0; i < 6; ++i) {
    std::uint64_t bits = 0;
    for (std::size_t k = 0; k < 8; ++k) bits = bits << 8 | message[kSpeedsAt + 8 * i + k];
    largest = std::max(largest, std::abs(std::bit_cast<double>(bits)));
  }
  return largest;
}

// Somebody's program that moves the arm without end.
void let_it_turn(const std::string& address) {
  const Socket script(address, 30002);
  script.send_text(
      "def turn():\n  while True:\n    speedj([0.2, 0, 0, 0, 0, 0], 2.0, 0.1)\n  end\nend\n");
  for (int i = 0; i < 500 && speed_at(address) < 0.1; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  ASSERT_GT(speed_at(address), 0.1);
}

// A long run of an arm's learner, small.
std::vector<std::string> learn(const std::string& address, const TemporaryFolder& folder) {
  return {"train",    "ur_reacher2", "--time",  "real",   "--set", "hidden=16",
          "--device", address,       "--steps", "100000", "--out", folder / "run"};
}

// Asks the dashboard, every 20 ms, until it says that a program runs, or that none does.
testing::AssertionResult comes_to_run(const Socket& dashboard, bool runs, int asked_max) {
  const std::string wanted = runs ? "Program running: true\n" : "Program running: false\n";
  std::string said;
  for (int i = 0; i < asked_max && said != wanted; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    dashboard.send_text("running\n");
    said = dashboard.line();
  }
  if (said == wanted) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "it says at last: " << said;
}

TEST(SimUrCommand, IsWatchedWithoutBeingTouched) {
  const std::string address = own_loopback_address();
  RunningCommand simulator({"sim", "ur", "--address", address});
  let_it_turn(address);
  const CommandResult watch = run_command({"watch", address, "--seconds", "2"});
  EXPECT_EQ(watch.exit_code, 0) << watch;
  for (const char* word : {"qd5", "[rad/s]", "ready", "running", "normal", "playing"}) {
    EXPECT_NE(watch.out.find(word), std::string::npos) << word << '\n' << watch;
  }
  EXPECT_GT(speed_at(address), 0.1);
}

// A run that begins beside a watch, and a watch that begins beside a run.
TEST(SimUrCommand, IsWatchedBesideARun) {
  const std::string address = own_loopback_address();
  const TemporaryFolder folder;
  RunningCommand simulator({"sim", "ur", "--address", address});
  ASSERT_TRUE(Socket(address, 30004).is_open());
  RunningCommand first({"watch", address});
  EXPECT_EQ(run_command({"watch", address, "--seconds", "1"}).exit_code, 0);
  RunningCommand run(learn(address, folder));
  for (int i = 0; i < 1500 && speed_at(address) == 0.0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_GT(speed_at(address), 0.0);
  const CommandResult second = run_command({"watch", address, "--seconds", "1"});
  EXPECT_EQ(second.exit_code, 0) << second;
  EXPECT_NE(second.out.find("ready"), std::string::npos) << second;
  const CommandResult stop = run_command({"stop", address});
  EXPECT_EQ(stop.exit_code, 0) << stop;
  const CommandResult result = run.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  first.send(SIGINT);
  const CommandResult watch = first.wait();
  EXPECT_EQ(watch.exit_code, 0) << watch;
}

// The simulated controller behind another address, as one of older software: it does not know
// safety_status (CB3 before 3.10).
class OlderController {
 public:
  OlderController(const std::string& address, const std::string& behind) : behind_(behind) {
    for (std::size_t i = 0; i < kPorts.size(); ++i) {
      sockaddr_in place{};
      place.sin_family = AF_INET;
      place.sin_port = htons(kPorts[i]);
      inet_pton(AF_INET, address.c_str(), &place.sin_addr);
      listeners_[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      EXPECT_EQ(bind(listeners_[i], reinterpret_cast<sockaddr*>(&place), sizeof place), 0);
      EXPECT_EQ(listen(listeners_[i], 8), 0);
    }
    thread_ = std::thread([this] {
      while (!is_over_) forward();
    });
  }
  ~OlderController() {
    is_over_ = true;
    thread_.join();
    for (const int listener : listeners_) close(listener);
    for (const Pair& pair : pairs_) close(pair.client);
  }

 private:
  static constexpr std::array<std::uint16_t, 2> kPorts = {30002, 30004};

  struct Pair {
    int client;
    std::unique_ptr<Socket> robot;
  };

  void forward() {
    std::vector<pollfd> events;
    for (const int listener : listeners_) events.push_back({listener, POLLIN, 0});
    for (const Pair& pair : pairs_) {
      events.push_back({pair.client, POLLIN, 0});
      events.push_back({pair.robot->descriptor(), POLLIN, 0});
    }
    if (poll(events.data(), events.size(), 10) <= 0) return;
    for (std::size_t i = pairs_.size(); i-- > 0;) {
      const Pair& pair = pairs_[i];
      const pollfd* const pair_events = events.data() + listeners_.size() + 2 * i;
      const bool has_gone =
          (pair_events[0].revents != 0 && !pass(pair.client, pair.robot->descriptor())) ||
          (pair_events[1].revents != 0 && !pass(pair.robot->descriptor(), pair.client));
      if (!has_gone) continue;
      close(pair.client);
      pairs_.erase(pairs_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    for (std::size_t i = 0; i < kPorts.size(); ++i) {
      if (events[i].revents == 0) continue;
      pairs_.push_back({accept4(listeners_[i], nullptr, nullptr, SOCK_CLOEXEC),
                        std::make_unique<Socket>(behind_, kPorts[i])});
    }
  }

  static bool pass(int from, int to) {
    std::array<char, 65536> bytes{};
    const ssize_t count = recv(from, bytes.data(), bytes.size(), 0);
    if (count <= 0) return false;
    std::string text(bytes.data(), static_cast<std::size_t>(count));
    const std::size_t at = text.find("safety_status,");
    if (at != std::string::npos) text.replace(at, 13, "safety_statu_");
    return send(to, text.data(), text.size(), MSG_NOSIGNAL) == count;
  }

  std::string behind_;
  std::array<int, kPorts.size()> listeners_{};
  std::vector<Pair> pairs_;
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

TEST(SimUrCommand, SaysWhatItsSoftwareDoesNotKnow) {
  const std::string address = own_loopback_address();
  const std::string older = "127.123" + address.substr(7);
  const TemporaryFolder folder;
  RunningCommand simulator({"sim", "ur", "--address", address});
  ASSERT_TRUE(Socket(address, 30004).is_open());
  const OlderController controller(older, address);
  const std::string text = "instep: warning: " + older +
                           ": the controller's software does not know safety_status; where they "
                           "are shown they are 0\n";
  const CommandResult watch = run_command({"watch", older, "--seconds", "1"});
  EXPECT_EQ(watch.exit_code, 0) << watch;
  EXPECT_EQ(watch.error, text);
  std::vector<std::string> words = learn(older, folder);
  *(std::find(words.begin(), words.end(), "--steps") + 1) = "20";
  const CommandResult run = run_command(words);
  EXPECT_EQ(run.exit_code, 0) << run;
  const std::string told = "--device " + text.substr(std::string("instep: warning: ").size());
  const std::size_t first = run.error.find(told);
  EXPECT_NE(first, std::string::npos) << run;
  EXPECT_EQ(run.error.find(told, first + 1), std::string::npos) << "once is enough" << run;
}

TEST(SimUrCommand, TellsWhatKindOfDeviceIsWanted) {
  struct Case {
    std::vector<std::string> words;
    int exit_code;
    const char* says;
  };
  for (const Case& one : {
           Case{{"train", "ur_reacher2", "--time", "real"}, 2, "the IP address of its controller"},
           Case{{"train", "create_mover", "--time", "real"}, 2, "a serial port"},
           Case{{"train", "create_mover", "--time", "real", "--device", "127.0.0.4"},
                2,
                "needs a serial port, as /dev/ttyUSB0; such is that of ur (Universal Robots"},
           Case{{"watch", "127.0.0.4", "--robot", "create2"}, 2, "such is that of ur"},
           Case{{"watch", "/dev/null", "--robot", "ur"}, 2, "such is that of create2"},
           Case{{"watch", "nonsense"}, 3, "an arm's address as 192.168.1.10"},
           Case{{"watch", "/dev/nonsense"}, 3, "is the robot's cable plugged in?"},
       }) {
    const CommandResult result = run_command(one.words);
    EXPECT_EQ(result.exit_code, one.exit_code) << result;
    EXPECT_NE(result.error.find(one.says), std::string::npos) << result;
  }
}

TEST(SimUrCommand, IsStoppedFromOutside) {
  const std::string address = own_loopback_address();
  RunningCommand simulator({"sim", "ur", "--address", address});
  let_it_turn(address);
  const CommandResult stop = run_command({"stop", address});
  EXPECT_EQ(stop.exit_code, 0) << stop;
  EXPECT_EQ(stop.out, address + ": stands (the robot's own frames show it)\n");
  EXPECT_EQ(speed_at(address), 0.0);
  // The stop comes before the complaint.
  let_it_turn(address);
  const CommandResult wrong = run_command({"stop", address, "--hard"});
  EXPECT_EQ(wrong.exit_code, 2) << wrong;
  EXPECT_EQ(speed_at(address), 0.0);
}

TEST(SimUrCommand, IsOfOneRunAtATimeAndStandsWhenThatIsKilled) {
  const std::string address = own_loopback_address();
  const TemporaryFolder folder;
  const auto train = [&](const char* name, const char* steps) {
    return std::vector<std::string>{"train",   "ur_reacher2", "--time",   "real",
                                    "--set",   "hidden=16",   "--device", address,
                                    "--steps", steps,         "--out",    folder / name};
  };
  RunningCommand simulator({"sim", "ur", "--address", address});
  ASSERT_TRUE(Socket(address, 30004).is_open());
  RunningCommand run(train("killed", "100000"));
  for (int i = 0; i < 1500 && speed_at(address) == 0.0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_GT(speed_at(address), 0.0);
  const CommandResult other = run_command(train("other", "1"));
  EXPECT_EQ(other.exit_code, 3) << other;
  EXPECT_NE(other.error.find("another program of this machine has it: process " +
                             std::to_string(run.process())),
            std::string::npos)
      << other;
  run.send(SIGKILL);
  EXPECT_EQ(run.wait().signal, SIGKILL);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_EQ(speed_at(address), 0.0);
  // The next one waits for the guardian, and learns to its end.
  const CommandResult next = run_command(train("next", "120"));
  EXPECT_EQ(next.exit_code, 0) << next;
  EXPECT_EQ(speed_at(address), 0.0);
}

// A simulator that takes words, and says what they make it say.
class TalkingSimulator {
 public:
  explicit TalkingSimulator(const std::string& address, const std::string& model = "cb3") {
    EXPECT_EQ(mkfifo((folder_ / "words").c_str(), 0600), 0);
    simulator_.emplace(
        std::vector<std::string>{
            "-c", "exec \"$0\" sim ur --address \"$1\" --model \"$4\" < \"$2\" > \"$3\"",
            INSTEP_COMMAND, address, folder_ / "words", folder_ / "said", model},
        "/bin/sh");
    words_ = open((folder_ / "words").c_str(), O_WRONLY | O_CLOEXEC);
    EXPECT_GE(words_, 0);
  }
  ~TalkingSimulator() { close(words_); }
  TalkingSimulator(const TalkingSimulator&) = delete;
  TalkingSimulator& operator=(const TalkingSimulator&) = delete;

  void say(const std::string& word) const {
    const std::string line = word + '\n';
    EXPECT_EQ(write(words_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }
  // How long the arm moved after the last command that reached it, ms, once it has stood for half a
  // second.
  double motion_after_command_ms() {
    for (int i = 0; i < 1000; ++i) {
      say("status");
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      const std::string said = read_bytes(folder_ / "said");
      const std::size_t at = said.rfind("last motion ");
      double after_ms = 0.0;
      double ago_ms = 0.0;
      if (at != std::string::npos &&
          std::sscanf(said.c_str() + at,
                      "last motion %lf ms after the last command that arrived, %lf ms ago",
                      &after_ms, &ago_ms) == 2 &&
          ago_ms > 500.0) {
        return after_ms;
      }
      if (at != std::string::npos &&
          std::sscanf(said.c_str() + at, "last motion %lf ms ago, before", &ago_ms) == 1 &&
          ago_ms > 500.0) {
        return 0.0;
      }
    }
    ADD_FAILURE() << "the arm moves on";
    return 1e9;
  }

 private:
  TemporaryFolder folder_;
  std::optional<RunningCommand> simulator_;
  int words_ = -1;
};

// 40 ms, and v / a with 4 rad/s2, after the last command, as the simulator measures it: whichever
// process of the run does not live any more. The v of a run is at most 0.3 rad/s.
TEST(SimUrCommand, StandsInTimeWhenItsRunIsKilledOrFrozenOrCutOff) {
  const std::string address = own_loopback_address();
  constexpr double kMostMs = 40.0 + 1e3 * 0.3 / 4.0 + 1e-6;
  const TemporaryFolder folder;
  TalkingSimulator simulator(address);
  ASSERT_TRUE(Socket(address, 30004).is_open());
  const auto train = [&](const std::string& name) {
    auto run = std::make_unique<RunningCommand>(
        std::vector<std::string>{"train", "ur_reacher2", "--time", "real", "--set", "hidden=16",
                                 "--device", address, "--steps", "100000", "--out", folder / name});
    for (int i = 0; i < 1500 && speed_at(address) < 0.1; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    EXPECT_GE(speed_at(address), 0.0);
    return run;
  };
  {
    const auto run = train("killed");
    run->send(SIGKILL);
    EXPECT_LE(simulator.motion_after_command_ms(), kMostMs);
  }
  {
    const auto run = train("frozen");
    run->send(SIGSTOP);
    EXPECT_LE(simulator.motion_after_command_ms(), kMostMs);
    run->send(SIGCONT);
    run->send(SIGINT);
    EXPECT_EQ(run->wait().exit_code, 0);
  }
  {
    const auto run = train("cut");
    simulator.say("stall");
    EXPECT_LE(simulator.motion_after_command_ms(), kMostMs);
    // What led to the loss is in the run's folder.
    std::string loss;
    for (int i = 0; i < 500 && loss.empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      std::error_code error;
      if (std::filesystem::exists(folder / "cut/link_loss.txt", error)) {
        loss = read_bytes(folder / "cut/link_loss.txt");
      }
    }
    EXPECT_NE(loss.find("controller software 3.15.8"), std::string::npos) << loss;
    EXPECT_NE(loss.find("gaps between packages"), std::string::npos) << loss;
    simulator.say("flow");
    run->send(SIGINT);
    EXPECT_EQ(run->wait().exit_code, 0);
  }
}

TEST(SimUrCommand, HoldsARunWhoseProgramTheDashboardHasStopped) {
  const std::string address = own_loopback_address();
  const TemporaryFolder folder;
  RunningCommand simulator({"sim", "ur", "--address", address});
  ASSERT_TRUE(Socket(address, 30004).is_open());
  RunningCommand run(learn(address, folder));
  for (int i = 0; i < 1500 && speed_at(address) < 0.1; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const Socket dashboard(address, 29999);
  dashboard.line();
  dashboard.send_text("stop\n");
  EXPECT_EQ(dashboard.line(), "Stopped\n");
  for (int i = 0; i < 30; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    if (i >= 3) {
      EXPECT_EQ(speed_at(address), 0.0) << i;
    }
  }
  run.send(SIGINT);
  const CommandResult result = run.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  const auto summary = nlohmann::json::parse(read_bytes(folder / "run/summary.json"));
  EXPECT_EQ(summary.at("real_time").at("holds").at("taken_over"), 1) << summary;
  EXPECT_EQ(summary.at("real_time").at("ended_while"), "held");
  EXPECT_NE(result.error.find(address + ": somebody else has ended the program"), std::string::npos)
      << result;
}

// A dry run leaves a controller as it was: without a program, or with somebody else's.
TEST(SimUrCommand, IsLeftAloneByADryRun) {
  const std::string address = own_loopback_address();
  const TemporaryFolder folder;
  RunningCommand simulator({"sim", "ur", "--address", address});
  const Socket dashboard(address, 29999);
  dashboard.line();
  const auto dry_run = [&](const char* name) {
    const CommandResult dry =
        run_command({"train", "ur_reacher2", "--time", "real", "--set", "hidden=16", "--device",
                     address, "--steps", "20", "--dry-run", "--out", folder / name});
    EXPECT_EQ(dry.exit_code, 0) << dry;
  };
  dry_run("idle");
  dashboard.send_text("running\n");
  EXPECT_EQ(dashboard.line(), "Program running: false\n");
  dashboard.send_text("programState\n");
  EXPECT_EQ(dashboard.line().find("instep"), std::string::npos);
  let_it_turn(address);
  dry_run("beside");
  EXPECT_GT(speed_at(address), 0.1);
  // Nor does its guardian send anything when it is killed, or stands still.
  for (const int signal : {SIGSTOP, SIGKILL}) {
    const std::string out = folder / std::to_string(signal);
    RunningCommand dry({"train", "ur_reacher2", "--time", "real", "--set", "hidden=16", "--device",
                        address, "--steps", "100000", "--dry-run", "--record", "--out", out});
    std::error_code error;
    std::uintmax_t first = 0;  // without a tick
    std::uintmax_t bytes = 0;
    for (int i = 0; i < 1500 && bytes <= first; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      bytes = std::filesystem::file_size(out + "/record", error);
      if (error) bytes = 0;
      if (first == 0) first = bytes;
    }
    EXPECT_GT(bytes, first);
    dry.send(signal);
    std::this_thread::sleep_for(std::chrono::milliseconds(1000));
    EXPECT_GT(speed_at(address), 0.1) << signal;
    if (signal == SIGKILL) continue;
    dry.send(SIGCONT);
    dry.send(SIGINT);
    EXPECT_EQ(dry.wait().exit_code, 0);
  }
}

// No program can be sent to it then: the run's own stops the arm, and ends by itself.
TEST(SimUrCommand, IsStoppedInLocalControlFromTheMachineOfItsRun) {
  const std::string address = own_loopback_address();
  const TemporaryFolder folder;
  TalkingSimulator simulator(address, "e-series");
  ASSERT_TRUE(Socket(address, 30004).is_open());
  RunningCommand run(learn(address, folder));
  for (int i = 0; i < 1500 && speed_at(address) < 0.1; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  simulator.say("local");
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const Socket dashboard(address, 29999);
  dashboard.line();
  run_command({"stop", address});
  run.wait();
  EXPECT_EQ(speed_at(address), 0.0);
  EXPECT_TRUE(comes_to_run(dashboard, false, 250));
}

// Whoever turns the slider down is told at once what the run waits for.
TEST(SimUrCommand, SaysThatItsSliderIsDown) {
  const std::string address = own_loopback_address();
  const TemporaryFolder folder;
  TalkingSimulator simulator(address);
  ASSERT_TRUE(Socket(address, 30004).is_open());
  simulator.say("slider 0.5");
  RunningCommand run(learn(address, folder));
  const Socket dashboard(address, 29999);
  dashboard.line();
  EXPECT_TRUE(comes_to_run(dashboard, true, 500));
  std::this_thread::sleep_for(std::chrono::seconds(3));
  EXPECT_EQ(speed_at(address), 0.0);
  run.send(SIGINT);
  const CommandResult result = run.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.error.find(address + ": the speed slider stands below 100 %"), std::string::npos)
      << result;
  EXPECT_NE(result.error.find("move the speed slider up to 100 %"), std::string::npos) << result;
  // Nothing was told to move, so that no stop was sent: the program ends by itself.
  EXPECT_TRUE(comes_to_run(dashboard, false, 250));
}

// A controller whose script port is closed, by a firewall say, is found out before anything else.
TEST(SimUrCommand, TellsAtTheStartWhichPortCannotBeReached) {
  const std::string address = own_loopback_address();
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(30004);
  inet_pton(AF_INET, address.c_str(), &place.sin_addr);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&place), sizeof place), 0);
  ASSERT_EQ(listen(listener, 8), 0);
  const TemporaryFolder folder;
  const CommandResult result = run_command({"train", "ur_reacher2", "--time", "real", "--device",
                                            address, "--steps", "10", "--out", folder / "run"});
  EXPECT_EQ(result.exit_code, 3) << result;
  EXPECT_NE(result.error.find("(port 30002)"), std::string::npos) << result;
  EXPECT_NE(result.error.find("Connection refused"), std::string::npos) << result;
  close(listener);
}

TEST(SimUrCommand, TellsWhereNoControllerListens) {
  const std::string address = own_loopback_address();
  for (const char* command : {"watch", "stop"}) {
    const CommandResult result = run_command({command, address});
    EXPECT_EQ(result.exit_code, 3) << result;
    EXPECT_NE(result.error.find(address + ": cannot be reached: Connection refused"),
              std::string::npos)
        << result;
  }
  const CommandResult other = run_command({"stop", "/dev/null", "--robot", "no_such"});
  EXPECT_EQ(other.exit_code, 2) << other;
  EXPECT_NE(other.error.find("there are: create2, ur"), std::string::npos) << other;
}

TEST(SimUrCommand, ServesSeveralClientsOnAllItsPorts) {
  const std::string address = own_loopback_address();
  RunningCommand simulator({"sim", "ur", "--address", address, "--model", "e-series"});
  const Socket first(address, 30004);
  ASSERT_TRUE(first.is_open());
  const Socket second(address, 30004);
  EXPECT_GE(packages_from(first, 100), 100);
  EXPECT_GE(packages_from(second, 20), 20);
  const Socket dashboard(address, 29999);
  EXPECT_EQ(dashboard.line(), "Connected: Universal Robots Dashboard Server\n");
  dashboard.send_text("robotmode\n");
  EXPECT_EQ(dashboard.line(), "Robotmode: RUNNING\n");
  for (const int port : {30001, 30002, 30003}) {
    EXPECT_FALSE(Socket(address, port).receive().empty()) << port;
  }
  dashboard.send_text("quit\n");
  EXPECT_EQ(dashboard.line(), "Disconnected\n");
  EXPECT_TRUE(dashboard.receive().empty());
  // Nobody can have the address twice.
  const CommandResult again = run_command({"sim", "ur", "--address", address});
  EXPECT_EQ(again.exit_code, 3) << again;
  EXPECT_NE(again.error.find("choose another --address, as 127.0.0.2"), std::string::npos) << again;
  const CommandResult elsewhere = run_command({"sim", "ur", "--address", "192.0.2.1"});
  EXPECT_EQ(elsewhere.exit_code, 3) << elsewhere;
  EXPECT_NE(elsewhere.error.find("no address of this machine"), std::string::npos) << elsewhere;
  simulator.send(SIGINT);
  const CommandResult result = simulator.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.out.find("own lateness: p50"), std::string::npos) << result;
}

// What the command prints when it is told `words` on its stdin.
std::string said_to(const std::string& words) {
  RunningCommand simulator(
      {"-c", "exec \"$0\" sim ur --address \"$1\" <<\\END\n" + words + "\nquit\nEND\n",
       INSTEP_COMMAND, own_loopback_address()},
      "/bin/sh");
  const CommandResult result = simulator.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  return result.out;
}

TEST(SimUrCommand, TakesWordsAndNumbers) {
  const std::string all = said_to(
      "protect\nplace 1 2 3 4 5 6\nplace 1 2\nslider 2\ndelay x\nstatus now\ndance\nslider 0.5\n"
      "press\nrelease\nrestart");
  EXPECT_NE(all.find("RUNNING, PROTECTIVE_STOP"), std::string::npos) << all;
  EXPECT_NE(all.find("joints 1.0000 2.0000"), std::string::npos);
  EXPECT_NE(all.find("'place 1 2': must be"), std::string::npos);
  EXPECT_NE(all.find("'slider 2': must be"), std::string::npos);
  EXPECT_NE(all.find("'delay x': must be"), std::string::npos);
  EXPECT_NE(all.find("'status now': nothing may follow"), std::string::npos);
  EXPECT_NE(all.find("unknown word 'dance'"), std::string::npos);
  EXPECT_NE(all.find("slider 0.50"), std::string::npos);
  EXPECT_NE(all.find("ROBOT_EMERGENCY_STOP"), std::string::npos);
}

TEST(SimUrCommand, SaysThatACb3HasNoLocalMode) {
  EXPECT_NE(said_to("local").find("a CB3 has no such mode"), std::string::npos);
}

TEST(SimUrCommand, RefusesConnectionsWhileItsControllerIsOff) {
  const std::string address = own_loopback_address();
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo((folder / "words").c_str(), 0600), 0);
  RunningCommand simulator({"-c", "exec \"$0\" sim ur --address \"$1\" < \"$2\"", INSTEP_COMMAND,
                            address, folder / "words"},
                           "/bin/sh");
  const int words = open((folder / "words").c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_GE(words, 0);
  const Socket before(address, 30004);
  ASSERT_TRUE(before.is_open());
  ASSERT_EQ(write(words, "restart\n", 8), 8);
  EXPECT_TRUE(before.receive().empty());  // nothing was asked for: this is the end
  EXPECT_FALSE(Socket(address, 30004, 1).is_open());
  EXPECT_TRUE(Socket(address, 30004).is_open());
  const Socket dashboard(address, 29999);
  dashboard.line();
  dashboard.send_text("robotmode\n");
  EXPECT_EQ(dashboard.line(), "Robotmode: BOOTING\n");
  simulator.send(SIGTERM);
  const CommandResult result = simulator.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  close(words);
}

TEST(SimUrCommand, WrongUseIsSaid) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"sim", "ur"},
        {"sim", "ur", "--link", "x"},
        {"sim", "ur", "--address", "localhost"},
        {"sim", "ur", "--address", "127.0.0.1", "--model", "ur3"},
        {"sim", "ur", "--address", "127.0.0.1", "--strict"},
        {"sim", "create2", "--address", "127.0.0.1"},
        {"sim", "create2"},
        {"sim", "toaster"}}) {
    const CommandResult result = run_command(words);
    EXPECT_EQ(result.exit_code, 2) << result;
    EXPECT_FALSE(result.error.empty());
  }
}

}  // namespace
}  // namespace instep

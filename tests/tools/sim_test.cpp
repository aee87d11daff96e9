// The sim command in a process of its own, seen from the port's other end.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "command.h"
#include "drivers/create2/codec.h"
#include "drivers/create2/session.h"
#include "drivers/serial_port.h"
#include "temporary_folder.h"

namespace instep {
namespace {

bool appears(const std::string& path) {
  for (int i = 0; i < 1000; ++i) {
    if (std::filesystem::is_symlink(path)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST(SimCommand, StreamsToWhoeverOpensItsPort) {
  const TemporaryFolder folder;
  const std::string link = folder / "robot";
  RunningCommand simulator({"sim", "create2", "--link", link});
  ASSERT_TRUE(appears(link));
  PortAddress address = make_port_address(link);
  const int port = open_serial_port(&address);
  ASSERT_GE(port, 0);
  std::vector<std::uint8_t> request = {128, 148, kCreate2StreamIds.size()};
  request.insert(request.end(), kCreate2StreamIds.begin(), kCreate2StreamIds.end());
  ASSERT_EQ(write(port, request.data(), request.size()), static_cast<ssize_t>(request.size()));
  Create2StreamDecoder decoder(kCreate2StreamIds);
  int frames = 0;
  for (int i = 0; i < 2000 && frames < 20; ++i) {
    pollfd event{port, POLLIN, 0};
    ASSERT_EQ(poll(&event, 1, 5000), 1);
    std::array<std::uint8_t, 256> bytes{};
    const ssize_t count = read(port, bytes.data(), bytes.size());
    if (count <= 0) continue;
    decoder.push({bytes.data(), static_cast<std::size_t>(count)});
    while (!decoder.next().empty()) ++frames;
  }
  EXPECT_GE(frames, 20);
  EXPECT_EQ(decoder.bytes_skipped(), 0U);
  close(port);
  simulator.send(SIGINT);
  const CommandResult result = simulator.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.out.find("ready"), std::string::npos);
  EXPECT_FALSE(std::filesystem::is_symlink(link));
}

// What the command prints when it is told `words` on its stdin.
std::string said_to(const std::string& words, const std::string& options = "") {
  const TemporaryFolder folder;
  RunningCommand simulator(
      {"-c",
       "exec \"$0\" sim create2 " + options + " --link \"$1\" <<\\END\n" + words + "\nquit\nEND\n",
       INSTEP_COMMAND, folder / "ttyUSB0"},
      "/bin/sh");
  const CommandResult result = simulator.wait();
  EXPECT_EQ(result.exit_code, 0) << result;
  return result.out;
}

TEST(SimCommand, TakesNoWordsForNumbers) {
  for (const char* line :
       {"place x y",     "place 500",     "place 500 y",     "place 1 2 3",    "cliff",
        "cliff a",       "cliff 16",      "battery full",    "battery -1",     "battery nan",
        "drop 1.5",      "drop 0,5",      "place 500 600mm", "send",           "send 128 x",
        "send 256",      "send 128.5",    "send 128 -",      "cliff 1.5",      "cliff -1",
        "cliff 1e400",   "cliff -0x1",    "cliff 0x1",       "cliff 1,",       "battery 2.5",
        "battery inf",   "battery",       "capacity 0",      "place 500 1321", "place 1821 500",
        "place 179 500", "place nan nan", "drop nan",        "change -",       "forge 1e-400"}) {
    const std::string said = said_to(line);
    EXPECT_NE(said.find(std::string("'") + line + "': must be"), std::string::npos) << said;
  }
  for (const char* line : {"lift 1", "status now", "plug in"}) {
    EXPECT_NE(said_to(line).find("nothing may follow"), std::string::npos) << line;
  }
  EXPECT_NE(said_to("place 500 600").find("at 500 600 mm"), std::string::npos);
  EXPECT_NE(said_to("battery 1000").find("battery 1000 mAh"), std::string::npos);
  EXPECT_NE(said_to("dance").find("unknown word 'dance'"), std::string::npos);
}

// A line that is refused, whatever it holds, takes nothing with it.
TEST(SimCommand, GoesOnWithTheNextLine) {
  const std::string nul(1, '\0');
  for (const std::string& line :
       {std::string(512, 'x'), std::string(100'000, ' ') + "lift", "status" + std::string(600, '1'),
        std::string("cliff 1.5"), std::string("\x1b[2J"), std::string("\xff\xfe"),
        std::string("status \t\r")}) {
    const std::string said = said_to(line + "\nplace 600 700");
    EXPECT_NE(said.find("at 600 700 mm"), std::string::npos) << said;
    EXPECT_EQ(said.find('\x1b'), std::string::npos);
  }
  EXPECT_NE(said_to(std::string(512, 'x')).find("a line has at most 511 bytes; ignored"),
            std::string::npos);
  const TemporaryFolder folder;
  write_bytes(folder / "words", "sta" + nul + "tus\nlift " + nul + "\nplace 600 700");  // no end
  RunningCommand simulator({"-c", "exec \"$0\" sim create2 --link \"$1\" < \"$2\"", INSTEP_COMMAND,
                            folder / "robot", folder / "words"},
                           "/bin/sh");
  ASSERT_TRUE(appears(folder / "robot"));
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  simulator.send(SIGTERM);
  const std::string said = simulator.wait().out;
  EXPECT_NE(said.find("unknown word 'sta?tus'"), std::string::npos) << said;
  EXPECT_NE(said.find("nothing may follow 'lift'"), std::string::npos) << said;
  EXPECT_NE(said.find("at 600 700 mm"), std::string::npos) << said;
}

TEST(SimCommand, TellsTheNamesOfAStrictPort) {
  const std::string said = said_to("", "--strict --seed 7");
  EXPECT_NE(said.find("ttyUSB0, always at "), std::string::npos) << said;
  EXPECT_NE(said.find("/serial/by-id/usb-Simulated_Create_2_7-if00-port0"), std::string::npos);
  const CommandResult no_number = run_command({"sim", "create2", "--strict", "--link", "/robot"});
  EXPECT_EQ(no_number.exit_code, 2) << no_number;
}

// Words without an end, lines without an end.
TEST(SimCommand, CanBeEndedWhateverItsStdinIs) {
  for (const char* input : {"< /dev/zero", "< /dev/full", "<> /dev/null"}) {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
      const TemporaryFolder folder;
      RunningCommand simulator({"-c", std::string("exec \"$0\" sim create2 --link \"$1\" ") + input,
                                INSTEP_COMMAND, folder / "robot"},
                               "/bin/sh");
      ASSERT_TRUE(appears(folder / "robot"));
      simulator.send(signal);
      EXPECT_EQ(simulator.wait().exit_code, 0) << input;
    }
  }
  const TemporaryFolder folder;
  RunningCommand simulator(
      {"-c",
       "yes status | head -c 100000000 | (exec \"$0\" sim create2 --link \"$1\" "
       "> /dev/null & echo $! > \"$2\"; wait)",
       INSTEP_COMMAND, folder / "robot", folder / "process"},
      "/bin/sh");
  ASSERT_TRUE(appears(folder / "robot"));
  kill(std::stoi(read_bytes(folder / "process")), SIGTERM);
  simulator.wait();
  EXPECT_FALSE(std::filesystem::is_symlink(folder / "robot"));
}

TEST(SimCommand, TouchesNoFileThatIsThere) {
  const TemporaryFolder folder;
  write_bytes(folder / "file", "precious");
  const CommandResult result = run_command({"sim", "create2", "--link", folder / "file"});
  EXPECT_EQ(result.exit_code, 3) << result;
  EXPECT_NE(result.error.find("remove it, or choose another --link"), std::string::npos) << result;
  EXPECT_EQ(read_bytes(folder / "file"), "precious");
  const CommandResult nowhere = run_command({"sim", "create2", "--link", folder / "none/robot"});
  EXPECT_EQ(nowhere.exit_code, 3) << nowhere;
  EXPECT_NE(nowhere.error.find("make its folder first"), std::string::npos) << nowhere;
}

TEST(SimCommand, SaysWhatItCanSimulate) {
  const CommandResult unknown = run_command({"sim", "roomba", "--link", "/nowhere/robot"});
  EXPECT_EQ(unknown.exit_code, 2) << unknown;
  EXPECT_NE(unknown.error.find("create2"), std::string::npos);
  EXPECT_EQ(run_command({"sim", "create2"}).exit_code, 2);
  const CommandResult no_folder = run_command({"sim", "create2", "--link", "/nowhere/robot"});
  EXPECT_EQ(no_folder.exit_code, 3) << no_folder;
}

}  // namespace
}  // namespace instep

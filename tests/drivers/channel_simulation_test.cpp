// A simulated device behind real sockets: whatever comes, goes and breaks, it serves its clients.
#include "drivers/channel_simulation.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "drivers/tcp_port.h"
#include "loopback_address.h"
#include "runtime/clock.h"
#include "runtime/realtime/descriptor.h"
#include "runtime/realtime/thread.h"
#include "temporary_folder.h"

namespace instep {
namespace {

constexpr int kPort = 24018;

// Says on its channels what it has heard on them, a byte larger.
class Echo final : public DeviceSimulator {
 public:
  bool open(int channel) override { return is_open_[static_cast<std::size_t>(channel)] = true; }
  void close(int channel) override { is_open_[static_cast<std::size_t>(channel)] = false; }
  void on_bytes(int channel, std::span<const std::uint8_t> bytes, std::int64_t) override {
    for (const std::uint8_t byte : bytes) {
      answers_[static_cast<std::size_t>(channel)] += static_cast<char>(byte + 1);
    }
  }
  std::int64_t advance(std::int64_t now_ns) override { return now_ns + 1'000'000; }
  std::size_t read(int channel, std::span<std::uint8_t> out) override {
    std::string& answer = answers_[static_cast<std::size_t>(channel)];
    const std::size_t count = answer.copy(reinterpret_cast<char*>(out.data()), out.size());
    answer.erase(0, count);
    return count;
  }
  bool moves() const override { return false; }

 private:
  std::array<bool, 3> is_open_{};
  std::array<std::string, 3> answers_;
};

// A device on a port, one to which the host connects, and one that connects to the host.
DriverInfo echo_driver() {
  return {.name = "echo",
          .summary = "echo",
          .channel_count = 3,
          .channels = {{{&kSerialTransport},
                        {&kTcpClientTransport, kPort},
                        {&kTcpServerTransport, kPort + 1}}},
          .make_simulator = [](std::uint64_t) -> std::unique_ptr<DeviceSimulator> {
            return std::make_unique<Echo>();
          }};
}

class ChannelSimulation : public testing::Test {
 protected:
  // A host's channel, opened at the real place.
  struct Host {
    Host(const DriverChannel& channel, const std::string& name)
        : port(channel.transport->port), address(channel.transport->address(name, channel.port)) {}

    bool is_up() {
      if (!descriptor.is_open()) descriptor.reset(std::max(-1, port.open(&address)));
      if (!descriptor.is_open() || is_connected) return is_connected;
      const int error = port.connected == nullptr ? 0 : port.connected(descriptor.get());
      is_connected = error == 0;
      if (error != 0 && error != EINPROGRESS) descriptor.reset();
      return is_connected;
    }

    PortOperations port;
    PortAddress address;
    Descriptor descriptor;
    bool is_connected = false;
  };

  Host host(int channel) const {
    const DriverChannel& place = driver_.channels[static_cast<std::size_t>(channel)];
    return {place, channel == 0 ? options_.path : options_.address};
  }
  // Lets a millisecond pass.
  void advance() {
    const MonotonicClock clock;
    sleep_until(clock.now_ns() + 1'000'000);
    now_ns_ += 1'000'000;
    simulation_->advance({}, now_ns_, news_);
  }
  // What the device answers to "HAL"; whatever comes within five seconds.
  std::string answer(Host& host) {
    bool is_sent = false;
    std::string text;
    for (int i = 0; i < 5000 && text.size() < 3; ++i) {
      advance();
      if (!host.is_up()) continue;
      is_sent = is_sent || write(host.descriptor.get(), "HAL", 3) == 3;
      char bytes[8];
      const ssize_t count = read(host.descriptor.get(), bytes, sizeof bytes);
      if (count > 0) text.append(bytes, static_cast<std::size_t>(count));
    }
    return text;
  }

  TemporaryFolder folder_;
  DriverInfo driver_ = echo_driver();
  SimulationOptions options_{.path = folder_ / "port", .address = own_loopback_address()};
  std::unique_ptr<DeviceSimulation> simulation_ = make_channel_simulation(driver_, options_);
  std::int64_t now_ns_ = 0;
  std::string news_;
};

TEST_F(ChannelSimulation, ServesEveryKindOfChannel) {
  for (int channel = 0; channel < 3; ++channel) {
    Host one = host(channel);
    EXPECT_EQ(answer(one), "IBM") << channel;
  }
  EXPECT_NE(simulation_->title().find(options_.path), std::string::npos);
}

TEST_F(ChannelSimulation, TakesTheNextClientWhenOneHasGone) {
  for (int channel = 0; channel < 3; ++channel) {
    for (int i = 0; i < 3; ++i) {
      Host one = host(channel);
      EXPECT_EQ(answer(one), "IBM") << channel << ' ' << i;
    }
  }
}

TEST_F(ChannelSimulation, IsThereForTheNextClientAsSoonAsItKnowsThatOneHasGone) {
  {
    Host one = host(1);
    EXPECT_EQ(answer(one), "IBM");
  }
  advance();
  Host next = host(1);
  next.is_up();
  EXPECT_TRUE(next.descriptor.is_open()) << "refused";
  EXPECT_EQ(answer(next), "IBM");
}

TEST_F(ChannelSimulation, HasNoClientWhileUnpluggedAndOneAgainAfter) {
  const SimulationWord& unplug = simulation_->words()[0];
  const SimulationWord& plug = simulation_->words()[1];
  for (int channel = 0; channel < 3; ++channel) {
    Host before = host(channel);
    ASSERT_EQ(answer(before), "IBM") << channel;
    EXPECT_NE(simulation_->status().find("open"), std::string::npos) << channel;
    unplug.act(*simulation_, {static_cast<double>(channel)}, now_ns_);
    for (int i = 0; i < 20; ++i) advance();
    char byte = 0;
    EXPECT_LE(read(before.descriptor.get(), &byte, 1), 0) << channel;
    EXPECT_EQ(simulation_->status().find("open"), std::string::npos) << channel;
    before.descriptor.reset();
    plug.act(*simulation_, {static_cast<double>(channel)}, now_ns_);
    Host after = host(channel);
    EXPECT_EQ(answer(after), "IBM") << channel;
  }
}

TEST_F(ChannelSimulation, RefusesAnAddressThatIsNone) {
  options_.path += "2";
  for (const char* address : {"localhost", "127.0.0.1x", "::1"}) {
    options_.address = address;
    EXPECT_ANY_THROW(make_channel_simulation(driver_, options_)) << address;
  }
}

}  // namespace
}  // namespace instep

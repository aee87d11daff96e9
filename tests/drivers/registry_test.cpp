// What every driver must keep, for all of them: a new entry in the table is covered on arrival.
#include "drivers/registry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "allocation_count.h"
#include "drivers/loopback/driver.h"
#include "faulty_device.h"
#include "kernels/philox.h"
#include "runtime/simulated_link.h"

namespace instep {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kPeriodNs = 40 * kMs;

// A driver's session on its simulated device.
struct Rig {
  explicit Rig(const DriverInfo& of, std::uint64_t seed = 1, std::int64_t control_ns = kPeriodNs)
      : driver(of),
        period_ns(control_ns),
        device(driver.make_simulator(seed)),
        session(driver.make_session(period_ns)),
        link(*session, device) {}

  void run(std::int64_t ns) { link.wait_until(link.now_ns() + ns); }
  // A command every period.
  void keep_posting(const Command& command, int periods) {
    for (int i = 0; i < periods; ++i) {
      link.post(command);
      run(period_ns);
    }
  }
  // A tenth of what is possible, so that nothing hits anything soon.
  Command slow_move() const {
    Command command{.kind = Command::kMove, .count = driver.command_count};
    for (int i = 0; i < driver.command_count; ++i) {
      command.values[static_cast<std::size_t>(i)] = 0.1 * driver.command_max;
    }
    return command;
  }
  // Until it moves, at most so long.
  bool is_brought_to_move(int periods = 500) {
    for (int i = 0; i < periods && !device.moves(); ++i) keep_posting(slow_move(), 1);
    return device.moves();
  }
  // How long until it stands, while nobody commands it; at most ten seconds.
  std::int64_t standstill_ns() {
    const std::int64_t begin_ns = link.now_ns();
    while (device.moves() && link.now_ns() - begin_ns < 10'000 * kMs) run(kMs);
    return link.now_ns() - begin_ns;
  }

  // All that have come.
  void check_packets() {
    std::vector<double> values(driver.packets->fields.size());
    for (Packet packet; link.next_packet(&packet);) {
      ASSERT_TRUE(driver.packets->decode(packet, values));
      for (const double value : values) ASSERT_TRUE(std::isfinite(value));
    }
  }

  const DriverInfo& driver;
  const std::int64_t period_ns;
  FaultyDevice device;
  std::unique_ptr<Session> session;
  SimulatedLink link;
};

class EveryDriver : public testing::TestWithParam<const DriverInfo*> {
 protected:
  const DriverInfo& driver() const { return *GetParam(); }
};

TEST_P(EveryDriver, SaysWhatItIs) {
  std::set<std::string_view> names;
  for (const DriverInfo* one : all_drivers()) EXPECT_TRUE(names.insert(one->name).second);
  const bool is_for_people = &driver() != &kLoopbackDriver;
  EXPECT_EQ(find_driver(driver().name), is_for_people ? &driver() : nullptr);
  EXPECT_FALSE(driver().summary.empty());
  EXPECT_EQ(driver().make_session(kPeriodNs)->channel_count(), driver().channel_count);
  ASSERT_LE(driver().channel_count, kChannelsMax);
  for (int i = 0; i < driver().channel_count; ++i) {
    ASSERT_NE(driver().channels[static_cast<std::size_t>(i)].transport, nullptr);
  }
  ASSERT_LT(driver().stop_channel, driver().channel_count);
  EXPECT_NE(driver().stop_place().transport, nullptr);
  std::set<std::string> fields;
  for (const PacketField& field : driver().packets->fields) {
    EXPECT_TRUE(fields.insert(field.name).second) << field.name;
  }
}

TEST_P(EveryDriver, ReadsWhatTheDeviceSays) {
  Rig rig(driver());
  rig.keep_posting(Command{}, 200);
  ASSERT_EQ(rig.link.state(), LinkState::kReady);
  std::vector<double> values(driver().packets->fields.size(), std::nan(""));
  Packet packet;
  int packets = 0;
  for (; rig.link.next_packet(&packet); ++packets) {
    ASSERT_TRUE(driver().packets->decode(packet, values));
    for (std::size_t i = 0; i < values.size(); ++i) {
      const PacketField& field = driver().packets->fields[i];
      EXPECT_TRUE(std::isfinite(values[i])) << field.name;
      if (field.words.empty()) continue;
      EXPECT_GE(values[i], 0.0) << field.name;
      EXPECT_LT(values[i], static_cast<double>(field.words.size())) << field.name;
    }
  }
  EXPECT_GT(packets, 10);
  packet.size = 0;
  EXPECT_FALSE(driver().packets->decode(packet, values));
  packet.size = Packet::kBytesMax;
  EXPECT_FALSE(driver().packets->decode(packet, values));
}

TEST_P(EveryDriver, ListensWithoutMovingAnything) {
  FaultyDevice device(driver().make_simulator(1));
  const std::unique_ptr<Session> session = driver().make_session(0);
  SimulatedLink link(*session, device);
  Packet packet;
  int packets = 0;
  for (int i = 0; i < 8000; ++i) {
    link.wait_until(link.now_ns() + kMs);
    ASSERT_FALSE(device.moves());
    while (link.next_packet(&packet)) ++packets;
  }
  EXPECT_EQ(link.state(), LinkState::kReady);
  EXPECT_GT(packets, 50);
}

// Two periods without a command, and what braking takes.
TEST_P(EveryDriver, StandsWhenCommandsStayAway) {
  Rig rig(driver());
  ASSERT_TRUE(rig.is_brought_to_move());
  rig.keep_posting(rig.slow_move(), 5);
  ASSERT_TRUE(rig.device.moves());
  EXPECT_LE(rig.standstill_ns(), 2 * kPeriodNs + 500 * kMs);
  EXPECT_EQ(rig.session->counters().dead_man_stops, 1U);
  rig.run(1'000 * kMs);
  EXPECT_FALSE(rig.device.moves());
}

// The dead man follows from the control period.
TEST_P(EveryDriver, GoesOnUntilItsOwnDeadManStopsIt) {
  for (const std::int64_t period_ns : {20 * kMs, 200 * kMs, 400 * kMs}) {
    Rig rig(driver(), 1, period_ns);
    ASSERT_TRUE(rig.is_brought_to_move()) << period_ns;
    rig.keep_posting(rig.slow_move(), 10);
    ASSERT_TRUE(rig.device.moves()) << period_ns;
    const std::int64_t standstill_ns = rig.standstill_ns();
    // One period has passed since the last command.
    EXPECT_GE(standstill_ns, period_ns - 2 * kMs) << period_ns;
    EXPECT_LE(standstill_ns, period_ns + 500 * kMs) << period_ns;
  }
}

TEST_P(EveryDriver, IsCommandedWithinItsLimits) {
  Rig rig(driver());
  Command no_number = rig.slow_move();
  no_number.values.fill(std::nan(""));
  for (int i = 0; i < 200; ++i) {
    rig.keep_posting(no_number, 1);
    ASSERT_FALSE(rig.device.moves());
  }
  ASSERT_TRUE(rig.is_brought_to_move());
  for (const double value : {1e300, -1e300, HUGE_VAL, std::nan("")}) {
    Command command = rig.slow_move();
    command.values.fill(value);
    rig.keep_posting(command, 3);
  }
  rig.keep_posting(Command{}, 60);
  EXPECT_FALSE(rig.device.moves());
}

// Nothing that was lost begins to move by itself; with commands it goes on.
TEST_P(EveryDriver, ComesBackAfterEveryLoss) {
  Rig rig(driver());
  const Random random{5, 6};
  for (std::uint64_t round = 0; round < 6; ++round) {
    ASSERT_TRUE(rig.is_brought_to_move()) << round;
    rig.device.is_cut = true;
    rig.run(static_cast<std::int64_t>(random.bits(round, 1)[0] % 3000) * kMs);
    rig.device.is_cut = false;
    rig.run(3'000 * kMs);
    EXPECT_FALSE(rig.device.moves()) << round;
  }
  EXPECT_TRUE(rig.is_brought_to_move());
}

TEST_P(EveryDriver, ComesBackAfterTheLossOfEachChannel) {
  for (int channel = 0; channel < driver().channel_count; ++channel) {
    Rig rig(driver());
    for (int round = 1; round < 4; ++round) {
      ASSERT_TRUE(rig.is_brought_to_move()) << channel << ' ' << round;
      rig.device.cut_channel = channel;
      rig.keep_posting(rig.slow_move(), 15 * round);
      rig.device.cut_channel = -1;
      rig.run(3'000 * kMs);
      EXPECT_FALSE(rig.device.moves()) << channel << ' ' << round;
      rig.check_packets();
    }
    EXPECT_TRUE(rig.is_brought_to_move()) << channel;
  }
}

// What a bad line makes of the device's bytes is no packet, and does not keep it from standing. TCP
// changes and loses none.
TEST_P(EveryDriver, BearsNoise) {
  for (const double noise : {0.001, 0.01, 0.1}) {
    Rig rig(driver());
    ASSERT_TRUE(rig.is_brought_to_move());
    for (int i = 0; i < driver().channel_count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const Transport* const transport = driver().channels[at].transport;
      const bool is_tcp = transport == &kTcpClientTransport || transport == &kTcpServerTransport;
      rig.device.noises[at] = is_tcp ? 0.0 : noise;
    }
    for (int i = 0; i < 200; ++i) {
      rig.keep_posting(i % 50 < 25 ? rig.slow_move() : Command{}, 1);
      rig.check_packets();
    }
    rig.device.noises.fill(0.0);
    rig.run(3'000 * kMs);
    EXPECT_FALSE(rig.device.moves()) << noise;
    EXPECT_TRUE(rig.is_brought_to_move()) << noise;
  }
}

// Somebody else had the device in between.
TEST_P(EveryDriver, BearsInterruptions) {
  for (int channel = 0; channel < driver().channel_count; ++channel) {
    Rig rig(driver());
    ASSERT_TRUE(rig.is_brought_to_move()) << channel;
    if (!rig.session->wants(channel)) continue;
    for (int i = 0; i < 20; ++i) {
      rig.session->on_interruption(channel, rig.link.now_ns());
      rig.keep_posting(rig.slow_move(), 1);
    }
    rig.run(3'000 * kMs);
    EXPECT_FALSE(rig.device.moves()) << channel;
    EXPECT_TRUE(rig.is_brought_to_move()) << channel;
  }
}

// As the guardian does it: the host's other connections are gone, and nothing is known.
TEST_P(EveryDriver, IsStoppedAndSeenToStandWithoutTheSession) {
  for (std::uint64_t seed = 1; seed < 6; ++seed) {
    Rig rig(driver(), seed);
    ASSERT_TRUE(rig.is_brought_to_move());
    rig.keep_posting(rig.slow_move(), 3 + static_cast<int>(seed));
    // A command that was cut off is the last that it has heard.
    const std::size_t shares = seed % 4;
    rig.session->on_command(rig.slow_move(), rig.link.now_ns());
    for (int i = 0; i < driver().channel_count; ++i) {
      const auto output = rig.session->output(i);
      const auto part = output.first(output.size() * shares / 4);
      if (!part.empty()) rig.device.on_bytes(i, part, rig.link.now_ns());
      rig.device.close(i);
    }
    const std::unique_ptr<DeviceStop> stop = driver().make_stop();
    const int channel = driver().stop_channel < 0 ? driver().channel_count : driver().stop_channel;
    ASSERT_TRUE(rig.device.open(channel));
    std::int64_t now_ns = rig.link.now_ns();
    const std::int64_t begin_ns = now_ns;
    stop->begin(now_ns);
    EXPECT_NE(stop->stillness(), Stillness::kStands);
    while (stop->stillness() != Stillness::kStands && now_ns - begin_ns < 5'000 * kMs) {
      now_ns += kMs;
      rig.device.advance(now_ns);
      std::array<std::uint8_t, 4096> bytes;
      const std::size_t count = rig.device.read(channel, bytes);
      if (count > 0) stop->on_bytes({bytes.data(), count}, now_ns);
      stop->poll(now_ns);
      const auto output = stop->output();
      rig.device.on_bytes(channel, output, now_ns);
      stop->consume(output.size());
      if (stop->stillness() == Stillness::kStands) {
        EXPECT_FALSE(rig.device.moves()) << seed;
      }
    }
    EXPECT_EQ(stop->stillness(), Stillness::kStands) << seed;
    EXPECT_LT(now_ns - begin_ns, 1'500 * kMs) << seed;
  }
}

TEST_P(EveryDriver, RepeatsItself) {
  const auto packets_of = [&](std::uint64_t seed) {
    Rig rig(driver(), seed);
    std::vector<std::uint8_t> all;
    for (int i = 0; i < 200; ++i) {
      rig.keep_posting(i % 50 < 25 ? rig.slow_move() : Command{}, 1);
      for (Packet packet; rig.link.next_packet(&packet);) {
        all.insert(all.end(), packet.bytes.begin(), packet.bytes.begin() + packet.size);
      }
    }
    return all;
  };
  EXPECT_EQ(packets_of(3), packets_of(3));
  EXPECT_NE(packets_of(3), packets_of(4));
}

TEST_P(EveryDriver, AllocatesNothingAfterConstruction) {
#if INSTEP_COUNTS_ALLOCATIONS
  Rig rig(driver());
  const std::unique_ptr<DeviceStop> stop = driver().make_stop();
  std::vector<double> values(driver().packets->fields.size());
  allocation_count = 0;
  counting_condition = [] { return true; };
  rig.keep_posting(rig.slow_move(), 300);
  rig.device.is_cut = true;
  rig.run(500 * kMs);
  rig.device.is_cut = false;
  rig.keep_posting(rig.slow_move(), 100);
  Packet packet;
  while (rig.link.next_packet(&packet)) static_cast<void>(driver().packets->decode(packet, values));
  stop->begin(0);
  stop->on_bytes(packet.bytes, 100 * kMs);
  stop->poll(100 * kMs);
  counting_condition = nullptr;
  EXPECT_EQ(allocation_count, 0);
#else
  GTEST_SKIP() << "malloc belongs to the sanitizer or the C library cannot be counted";
#endif
}

std::vector<const DriverInfo*> drivers_and_loopback() {
  std::vector<const DriverInfo*> drivers(all_drivers().begin(), all_drivers().end());
  drivers.push_back(&kLoopbackDriver);
  return drivers;
}

INSTANTIATE_TEST_SUITE_P(Drivers, EveryDriver, testing::ValuesIn(drivers_and_loopback()),
                         [](const auto& one) { return std::string(one.param->name); });

TEST(DriverTable, FindsTheDriverByTheDevicesName) {
  const auto names = [](const std::string& device) {
    std::set<std::string_view> found;
    for (const DriverInfo* driver : drivers_of_device(device)) found.insert(driver->name);
    return found;
  };
  EXPECT_TRUE(names("/dev/ttyUSB0").contains("create2"));
  EXPECT_FALSE(names("/dev/ttyUSB0").contains("ur"));
  EXPECT_TRUE(names("ttyUSB0").contains("create2"));
  for (const char* address : {"127.0.0.1", "arm.example.org", "localhost"}) {
    EXPECT_TRUE(names(address).contains("ur")) << address;
    EXPECT_FALSE(names(address).contains("create2")) << address;
  }
  EXPECT_EQ(find_driver("no_such_robot"), nullptr);
  EXPECT_EQ(channel_name("/dev/ttyUSB0,10.0.0.1", 1), "10.0.0.1");
  EXPECT_EQ(channel_name("10.0.0.1", 2), "10.0.0.1");
}

}  // namespace
}  // namespace instep

// TCP connections as channels of a link, on this machine's own addresses.
#include "drivers/tcp_port.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <thread>

#include "drivers/transport.h"
#include "runtime/clock.h"
#include "runtime/realtime/realtime_link.h"
#include "wait_for.h"

namespace instep {
namespace {

constexpr std::int64_t kMs = 1'000'000;

// A peer's listening port, and the client that it has accepted last.
class Peer {
 public:
  explicit Peer(int port = 0) : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    place.sin_port = htons(static_cast<std::uint16_t>(port));
    socklen_t size = sizeof place;
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&place), size), 0);
    EXPECT_EQ(listen(listener_.get(), 4), 0);
    getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&place), &size);
    port_ = ntohs(place.sin_port);
  }

  int port() const { return port_; }
  void accept_client() { client_.reset(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }
  void drop_client() { client_.reset(); }
  void say(std::uint8_t byte) const { EXPECT_EQ(send(client_.get(), &byte, 1, MSG_NOSIGNAL), 1); }
  // Waits for it.
  int hear() const {
    std::uint8_t byte = 0;
    return recv(client_.get(), &byte, 1, 0) == 1 ? byte : -1;
  }

 private:
  Descriptor listener_;
  Descriptor client_;
  int port_ = 0;
};

// Two channels: of each the last byte is told, and what waits to be written is one byte.
class TwoChannels final : public Session {
 public:
  int channel_count() const override { return 2; }
  bool wants(int channel) const override { return channel == 0 || wants_second; }
  void on_connect(int channel, std::int64_t) override { ++connects[at(channel)]; }
  void on_disconnect(int channel, std::int64_t) override { ++disconnects[at(channel)]; }
  void on_bytes(int channel, std::span<const std::uint8_t> bytes, std::int64_t,
                PacketSink&) override {
    heard[at(channel)] = bytes.back();
  }
  void on_command(const Command& command, std::int64_t) override {
    output_[0] = static_cast<std::uint8_t>(command.values[0]);
    has_output_[0] = true;
  }
  std::int64_t poll(std::int64_t now_ns) override { return now_ns + 20 * kMs; }
  std::span<const std::uint8_t> output(int channel) const override {
    if (!has_output_[at(channel)]) return {};
    return {&output_[at(channel)], 1};
  }
  void consume(int channel, std::size_t) override { has_output_[at(channel)] = false; }
  LinkState state() const override { return LinkState::kReady; }
  const LinkCounters& counters() const override { return counters_; }
  const char* error() const override { return ""; }

  std::atomic<bool> wants_second{true};
  std::array<std::atomic<int>, 2> connects{};
  std::array<std::atomic<int>, 2> disconnects{};
  std::array<std::atomic<int>, 2> heard{};

 private:
  static std::size_t at(int channel) { return static_cast<std::size_t>(channel); }

  std::array<std::uint8_t, 2> output_{};
  std::array<bool, 2> has_output_{};
  LinkCounters counters_;
};

std::unique_ptr<RealtimeLink> link_to(TwoChannels& session, int first_port, int second_port) {
  std::vector<LinkChannel> channels;
  channels.push_back({tcp_address("127.0.0.1", first_port), kTcpClient, {}});
  channels.push_back({tcp_address("127.0.0.1", second_port), kTcpClient, {}});
  return std::make_unique<RealtimeLink>(session, std::move(channels), nullptr, LinkEnd{});
}

TEST(TcpPort, CarriesTheChannelsOfALinkSideBySide) {
  Peer first;
  Peer second;
  TwoChannels session;
  const auto link = link_to(session, first.port(), second.port());
  link->start();
  first.accept_client();
  second.accept_client();
  first.say(11);
  second.say(22);
  EXPECT_TRUE(wait_for([&] { return session.heard[0] == 11 && session.heard[1] == 22; }));
  link->post({.kind = Command::kMove, .count = 1, .values = {33.0}});
  EXPECT_EQ(first.hear(), 33);
  // One that is lost comes back, and the other does not notice.
  second.drop_client();
  second.accept_client();
  second.say(44);
  EXPECT_TRUE(wait_for([&] { return session.heard[1] == 44; }));
  EXPECT_EQ(session.connects[0], 1);
  EXPECT_EQ(session.connects[1], 2);
  EXPECT_EQ(session.disconnects[0], 0);
}

TEST(TcpPort, IsOpenedAndClosedAsTheSessionWants) {
  Peer first;
  Peer second;
  TwoChannels session;
  session.wants_second = false;
  const auto link = link_to(session, first.port(), second.port());
  link->start();
  first.accept_client();
  ASSERT_TRUE(wait_for([&] { return session.connects[0] == 1; }));
  EXPECT_EQ(session.connects[1], 0);
  session.wants_second = true;
  second.accept_client();
  ASSERT_TRUE(wait_for([&] { return session.connects[1] == 1; }));
  session.wants_second = false;
  EXPECT_EQ(second.hear(), -1) << "the connection ends";
  EXPECT_TRUE(wait_for([&] { return session.disconnects[1] == 1; }));
}

TEST(TcpPort, IsTriedUntilSomebodyListens) {
  int port = 0;
  {
    const Peer gone;
    port = gone.port();
  }
  TwoChannels session;
  session.wants_second = false;
  const auto link = link_to(session, port, port);
  link->start();
  sleep_until(MonotonicClock().now_ns() + 150 * kMs);
  EXPECT_EQ(session.connects[0], 0);
  Peer peer(port);
  peer.accept_client();
  EXPECT_TRUE(wait_for([&] { return session.connects[0] == 1; }));
}

// A peer that closes while we write is a lost channel, and no end of the process.
TEST(TcpPort, SurvivesAPeerThatIsGone) {
  Peer first;
  TwoChannels session;
  session.wants_second = false;
  const auto link = link_to(session, first.port(), first.port());
  link->start();
  for (int i = 1; i <= 20; ++i) {
    first.accept_client();
    ASSERT_TRUE(wait_for([&] { return session.connects[0] >= i; }));
    first.drop_client();
    for (int k = 0; k < 5; ++k) link->post({.kind = Command::kMove, .count = 1, .values = {1.0}});
  }
  EXPECT_TRUE(wait_for([&] { return session.disconnects[0] >= 19; }));
}

TEST(TcpPort, WaitsForAClientWhereTheDeviceIsOne) {
  int port = 0;
  {
    const Peer gone;
    port = gone.port();
  }
  PortAddress address = tcp_address("127.0.0.1", port);
  const Descriptor server(open_tcp_server(&address));
  ASSERT_TRUE(server.is_open());
  EXPECT_EQ(tcp_server_connected(server.get()), EINPROGRESS);
  PortAddress there = tcp_address("127.0.0.1", port);
  const Descriptor client(open_tcp_client(&there));
  ASSERT_TRUE(client.is_open());
  ASSERT_TRUE(wait_for([&] { return tcp_server_connected(server.get()) == 0; }));
  EXPECT_EQ(tcp_client_connected(client.get()), 0);
  const std::uint8_t sent = 7;
  ASSERT_EQ(write(client.get(), &sent, 1), 1);
  std::uint8_t heard = 0;
  EXPECT_TRUE(wait_for([&] { return read(server.get(), &heard, 1) == 1; }));
  EXPECT_EQ(heard, 7);
}

TEST(TcpPort, SaysWhyItCannotBeReached) {
  EXPECT_THROW(tcp_address("no such host", 1), std::runtime_error);
  EXPECT_NE(kTcpClientTransport.trouble("127.0.0.1", ECONNREFUSED).find("is it started?"),
            std::string::npos);
  EXPECT_NE(kTcpClientTransport.trouble("10.1.2.3", ETIMEDOUT).find("ping 10.1.2.3"),
            std::string::npos);
}

// The system would make 192.168.0.1 of it, which may be another robot.
TEST(TcpPort, AnAddressWithoutAllItsNumbersIsRefused) {
  for (const char* const host : {"192.168.1", "127.1", "0x7f.1", "1", "2130706433", "0177.0.0.1"}) {
    try {
      tcp_address(host, 30004);
      ADD_FAILURE() << host;
    } catch (const std::runtime_error& error) {
      EXPECT_NE(std::string(error.what()).find(": is no whole address"), std::string::npos)
          << error.what();
    }
  }
  EXPECT_STREQ(tcp_address("127.0.0.1", 30004).given.data(), "127.0.0.1:30004");
}

TEST(TcpPort, AHostIsOfOneProgramAtATime) {
  const std::string host = "127.0.77.1";
  Descriptor lock(lock_host(host));
  ASSERT_TRUE(lock.is_open());
  EXPECT_EQ(lock_host(host), -EBUSY);
  EXPECT_TRUE(kTcpClientTransport.users(host).empty()) << "this process is not told";
  // Another has a copy, as the guardian has: it keeps the right.
  const pid_t other = fork();
  if (other == 0) {
    pause();
    _exit(0);
  }
  lock.reset();
  EXPECT_EQ(lock_host(host), -EBUSY);
  const std::vector<PortUser> users = kTcpClientTransport.users(host);
  ASSERT_EQ(users.size(), 1U);
  EXPECT_EQ(users[0].process, other);
  EXPECT_EQ(users[0].how, PortUser::How::kHasTheLock);
  kill(other, SIGKILL);
  EXPECT_EQ(waitpid(other, nullptr, 0), other);
  EXPECT_TRUE(wait_for([&] { return Descriptor(lock_host(host)).is_open(); }));
}

}  // namespace
}  // namespace instep

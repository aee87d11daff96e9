// A life of the Create 2's session: what happens to it is read from the input, a step a byte.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "drivers/create2/session.h"
#include "fuzz_file.h"

using instep::require;

namespace {

constexpr std::size_t kOutputBytesMax = instep::Create2Session::kPaddingBytesMax + 128;

class Sink final : public instep::PacketSink {
 public:
  void take(const instep::Packet& packet) override {
    require(packet.size <= instep::Packet::kBytesMax);
    require(packet.time_ns >= last_ns_);
    require(!has_packet_ || packet.sequence > last_sequence_);
    last_ns_ = packet.time_ns;
    last_sequence_ = packet.sequence;
    has_packet_ = true;
  }

 private:
  bool has_packet_ = false;
  std::int64_t last_ns_ = 0;
  std::uint32_t last_sequence_ = 0;
};

class Life {
 public:
  Life(const std::uint8_t* data, std::size_t size) : input_(data, size) {}

  void run() {
    while (!input_.is_over()) {
      step();
      look();
    }
  }

 private:
  std::uint8_t byte() { return input_.byte(); }

  void step() {
    switch (byte() % 9) {
      case 0:
        session_.on_connect(0, now_ns_);
        break;
      case 1:
        session_.on_disconnect(0, now_ns_);
        break;
      case 2:
        session_.on_bytes(0, input_.piece(), now_ns_, sink_);
        break;
      case 3:
        command();
        break;
      case 4:
        now_ns_ += std::int64_t{byte()} * 4'000'000;
        require(session_.poll(now_ns_) > 0);
        break;
      case 5:
        consume(byte());
        break;
      case 6:
        frames();
        break;
      case 7: {
        std::vector<std::uint8_t> state(instep::Create2Session::state_bytes());
        session_.save_state(state);
        require(session_.load_state(state));
        state[(std::size_t{byte()} << 8 | byte()) % state.size()] = byte();
        instep::Create2Session other;
        if (other.load_state(state)) {
          static_cast<void>(other.poll(now_ns_));
          Sink sink;
          const auto rest = input_.rest();
          other.on_bytes(0, rest.first(std::min<std::size_t>(rest.size(), 60)), now_ns_, sink);
        }
        break;
      }
      default:
        consume(kOutputBytesMax);
    }
  }

  void command() {
    instep::Command command;
    command.kind = byte() % 20;
    command.count = byte() % 4;
    std::uint64_t bits = 0;
    for (int i = 0; i < 8; ++i) bits = bits << 8 | byte();
    std::memcpy(command.values.data(), &bits, sizeof bits);
    command.values[1] = static_cast<double>(byte()) - 128.0;
    session_.on_command(command, now_ns_);
  }

  // Frames as the robot sends them, with anything in them.
  void frames() {
    std::vector<std::uint8_t> bytes;
    for (int count = byte() % 40; count >= 0; --count) {
      instep::Create2FrameWriter writer;
      writer.begin();
      const std::uint32_t filling = byte();
      for (const std::uint8_t id : instep::kCreate2StreamIds) {
        writer.add(id, id == 35 ? filling % 4 : filling & 1);
      }
      const auto frame = writer.finish();
      bytes.insert(bytes.end(), frame.begin(), frame.end());
    }
    session_.on_bytes(0, bytes, now_ns_, sink_);
  }

  // The port takes bytes, and they reach a robot.
  void consume(std::size_t most) {
    const auto output = session_.output(0);
    const std::size_t count = std::min(most, output.size());
    for (std::size_t i = 0; i < count; ++i) {
      if (!robot_.take(output[i])) continue;
      const instep::Create2Command& heard = robot_.command();
      if (heard.opcode != 145) continue;
      // A command that was cut off is completed with zeros: -500 may lose its lower byte.
      for (const int speed : {heard.word(0), heard.word(2)}) {
        require(speed <= 500 && (speed >= -500 || speed == -512));
      }
    }
    session_.consume(0, count);
  }

  void look() {
    require(session_.output(0).size() <= kOutputBytesMax);
    require(session_.error() != nullptr);
    static_cast<void>(session_.state());
    static_cast<void>(session_.wake_line());
  }

  instep::FuzzInput input_;
  std::int64_t now_ns_ = 0;
  instep::Create2Session session_;
  Sink sink_;
  instep::Create2CommandParser robot_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Life(data, size).run();
  return 0;
}

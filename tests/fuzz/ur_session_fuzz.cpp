// Any controller, any commands and any times for the UR session.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>

#include "drivers/ur/session.h"
#include "fuzz_file.h"

using instep::require;
using instep::UrChannel;

namespace {

class Sink final : public instep::PacketSink {
 public:
  void take(const instep::Packet& packet) override {
    instep::UrReadings readings;
    require(instep::decode_ur_packet(packet.view(), &readings));
    require(!has_packet_ || packet.sequence != last_sequence_);
    last_sequence_ = packet.sequence;
    has_packet_ = true;
  }

 private:
  bool has_packet_ = false;
  std::uint32_t last_sequence_ = 0;
};

class Life {
 public:
  Life(const std::uint8_t* data, std::size_t size)
      : input_(data, size),
        session_(std::make_unique<instep::UrSession>(
            instep::UrSessionOptions{.unlocks_max = static_cast<int>(size % 3)})) {}

  void run() {
    while (!input_.is_over()) {
      step();
      look();
    }
  }

 private:
  std::uint8_t byte() { return input_.byte(); }
  int channel() { return byte() % instep::kUrChannels; }

  void step() {
    switch (byte() % 10) {
      case 0:
        connect();
        break;
      case 1:
        session_->on_disconnect(channel(), now_ns_);
        break;
      case 2: {
        const int of = channel();
        session_->on_bytes(of, input_.piece(), now_ns_, sink_);
        break;
      }
      case 3:
        command();
        break;
      case 4:
        now_ns_ += std::int64_t{byte()} * 4'000'000;
        static_cast<void>(session_->poll(now_ns_));
        break;
      case 5: {
        const int of = channel();
        consume(of, byte());
        break;
      }
      case 6:
        answer();
        break;
      case 7:
        package();
        break;
      case 8:
        dashboard();
        break;
      default:
        for (const int of : {UrChannel::kRtde, UrChannel::kScript, UrChannel::kDashboard}) {
          consume(of, 4096);
        }
    }
  }

  void connect() {
    const int of = channel();
    if (of == UrChannel::kRtde) robot_.clear();
    session_->on_connect(of, now_ns_);
  }

  void command() {
    instep::Command command;
    command.kind = byte() % 20;
    command.acknowledged = acknowledged_ += byte() % 2;
    command.count = byte() % 8;
    for (double& value : command.values) {
      std::uint64_t bits = 0;
      for (int i = 0; i < 2; ++i) bits = bits << 8 | byte();
      bits <<= 48;
      std::memcpy(&value, &bits, sizeof value);
    }
    session_->on_command(command, now_ns_);
  }

  void say(instep::RtdeWriter& writer) {
    now_ns_ += 8'000'000;
    session_->on_bytes(UrChannel::kRtde, writer.finish(), now_ns_, sink_);
  }

  // What a controller answers to the step of the handshake that is due, most of the time.
  void answer() {
    instep::RtdeWriter writer;
    const std::uint8_t number = byte();
    switch (number % 6) {
      case 0:
        return say(writer.begin(instep::RtdeMessageType::kProtocolVersion).u8(1));
      case 1:
        writer.begin(instep::RtdeMessageType::kControllerVersion).u32(number % 12).u32(9);
        return say(writer.u32(0).u32(0));
      case 2: {
        writer.begin(instep::RtdeMessageType::kSetupOutputs).u8(number < 200 ? 1 : 0);
        const std::uint8_t unknown = number < 200 ? 255 : byte();
        for (std::size_t i = 0; i < instep::kUrPacketFields; ++i) {
          if (i > 0) writer.text(",");
          writer.text(i == unknown ? "NOT_FOUND"
                                   : instep::rtde_type_name(instep::ur_packet_fields()[i].type));
        }
        return say(writer);
      }
      case 3:
        return say(
            writer.begin(instep::RtdeMessageType::kSetupInputs).u8(number % 2).text("INT32"));
      case 4:
        return say(writer.begin(instep::RtdeMessageType::kStart).u8(number < 240 ? 1 : 0));
      default:
        instep::write_rtde_text(writer, {"text", "RTDE", instep::RtdeTextLevel::kError});
        return say(writer);
    }
  }

  void package() {
    instep::UrReadings readings;
    readings.timestamp_s = timestamp_s_ += 0.008 * (byte() % 4);
    readings.robot_mode = byte() % 2 == 0 ? 7 : 3;
    readings.safety_mode = 1 + byte() % 12 / 4;
    readings.runtime_state = byte() % 6;
    readings.speed_fraction = byte() % 4 == 0 ? 0.0 : 1.0;
    readings.echo = byte();
    readings.beat = byte();
    readings.program = byte() % 8 - 4;
    std::array<std::uint8_t, instep::kUrPacketBytes> bytes{};
    instep::encode_ur_packet(readings, bytes);
    instep::RtdeWriter writer;
    writer.begin(instep::RtdeMessageType::kData).u8(1);
    for (const std::uint8_t one : bytes) writer.u8(one);
    for (int count = byte() % 12; count >= 0; --count) say(writer);
  }

  void dashboard() {
    static constexpr std::array<const char*, 4> kLines = {
        "Connected: Universal Robots Dashboard Server\n", "closing safety popup\n",
        "Protective stop releasing\n", "Cannot unlock protective stop until 5s after"};
    const std::string text = kLines[byte() % kLines.size()];
    session_->on_bytes(UrChannel::kDashboard,
                       {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, now_ns_,
                       sink_);
  }

  // Whatever was said: speeds on the wire stay within their limits.
  void look() {
    for (const int of : {UrChannel::kRtde, UrChannel::kScript, UrChannel::kDashboard}) {
      require(session_->output(of).size() <= 2048);
      static_cast<void>(session_->wants(of));
    }
    require(session_->error() != nullptr && session_->lacks() < 1U << instep::kUrPacketFields);
    static_cast<void>(session_->state());
  }

  // The socket takes bytes, and they reach a controller: they are RTDE, and speeds stay within
  // their limits.
  void consume(int of, std::size_t most) {
    const auto output = session_->output(of);
    const std::size_t count = std::min(most, output.size());
    if (of == UrChannel::kRtde) {
      require(robot_.push(output.first(count)) == count);
      for (instep::RtdeMessage message; robot_.next(&message);) {
        if (message.type != instep::RtdeMessageType::kData) continue;
        if (message.payload.size() != 1 + 8 + 56) continue;
        instep::RtdeReader reader(message.payload.subspan(9));
        for (int joint = 0; joint < instep::kUrJoints; ++joint) {
          require(std::fabs(reader.f64()) <= instep::kUrJointSpeedMaxRadS);
        }
      }
      require(!robot_.is_broken());
    }
    session_->consume(of, count);
  }

  instep::FuzzInput input_;
  std::int64_t now_ns_ = 0;
  double timestamp_s_ = 0.0;
  std::int32_t acknowledged_ = 0;
  std::unique_ptr<instep::UrSession> session_;
  Sink sink_;
  instep::RtdeParser robot_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Life(data, size).run();
  return 0;
}

// A client of the simulated UR controller, on simulated time.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "drivers/ur/rtde.h"
#include "drivers/ur/simulator.h"

namespace instep {

class UrClient {
 public:
  UrClient(UrSimulator& simulator, int port)
      : simulator_(simulator), number_(simulator.connect(port)) {}
  ~UrClient() {
    if (number_ >= 0) simulator_.disconnect(number_);
  }
  UrClient(const UrClient&) = delete;
  UrClient& operator=(const UrClient&) = delete;

  bool is_refused() const { return number_ < 0; }
  bool is_connected() const { return number_ >= 0 && simulator_.is_connected(number_); }
  int number() const { return number_; }

  void send(std::span<const std::uint8_t> bytes) {
    simulator_.on_bytes(number_, bytes, simulator_.now_ns());
  }
  void send(const std::string& text) {
    send({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  }

  std::vector<std::uint8_t> read() {
    std::vector<std::uint8_t> all;
    std::uint8_t bytes[1000];
    for (std::size_t count = 1; count > 0;) {
      count = simulator_.read(number_, bytes, simulator_.now_ns());
      all.insert(all.end(), bytes, bytes + count);
    }
    return all;
  }
  std::string read_text() {
    const auto bytes = read();
    return {bytes.begin(), bytes.end()};
  }

 private:
  UrSimulator& simulator_;
  int number_;
};

// One that speaks RTDE.
class UrRtdePeer : public UrClient {
 public:
  struct Message {
    RtdeMessageType type;
    std::vector<std::uint8_t> payload;
    RtdeReader reader() const { return RtdeReader(payload); }
  };

  explicit UrRtdePeer(UrSimulator& simulator) : UrClient(simulator, kUrRtdePort) {}

  std::vector<Message> messages() {
    const auto bytes = read();
    std::vector<Message> all;
    std::span<const std::uint8_t> rest(bytes);
    while (!rest.empty()) {
      rest = rest.subspan(parser_.push(rest));
      for (RtdeMessage message; parser_.next(&message);) {
        all.push_back({message.type, {message.payload.begin(), message.payload.end()}});
      }
    }
    return all;
  }

  // Sends a message and answers the payload of the reply of its type as text, numbers as letters.
  std::string ask(RtdeWriter& writer, RtdeMessageType type) {
    send(writer.finish());
    for (const Message& message : messages()) {
      if (message.type == type) return {message.payload.begin(), message.payload.end()};
    }
    return "nothing";
  }
  std::string ask_version(std::uint16_t version) {
    RtdeWriter writer;
    writer.begin(RtdeMessageType::kProtocolVersion).u16(version);
    return ask(writer, RtdeMessageType::kProtocolVersion);
  }
  std::string set_up_outputs(double frequency, const std::string& names) {
    RtdeWriter writer;
    writer.begin(RtdeMessageType::kSetupOutputs).f64(frequency).text(names);
    return ask(writer, RtdeMessageType::kSetupOutputs);
  }
  std::string set_up_inputs(const std::string& names) {
    RtdeWriter writer;
    writer.begin(RtdeMessageType::kSetupInputs).text(names);
    return ask(writer, RtdeMessageType::kSetupInputs);
  }
  std::string start() {
    RtdeWriter writer;
    writer.begin(RtdeMessageType::kStart);
    return ask(writer, RtdeMessageType::kStart);
  }
  std::string pause() {
    RtdeWriter writer;
    writer.begin(RtdeMessageType::kPause);
    return ask(writer, RtdeMessageType::kPause);
  }
  // The data packages that have come.
  std::vector<Message> packages() {
    auto all = messages();
    std::erase_if(all, [](const Message& m) { return m.type != RtdeMessageType::kData; });
    return all;
  }

 private:
  RtdeParser parser_;
};

}  // namespace instep

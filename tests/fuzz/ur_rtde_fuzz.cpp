// Any bytes, in any pieces, as RTDE messages.
#include <algorithm>
#include <span>

#include "drivers/ur/rtde.h"
#include "fuzz_file.h"

using instep::require;

namespace {

// What both ends do with a payload, whatever its type says.
void read_message(const instep::RtdeMessage& message) {
  instep::RtdeText text;
  if (instep::decode_rtde_text(message.payload, &text)) {
    instep::RtdeWriter writer;
    instep::write_rtde_text(writer, text);
    const auto bytes = writer.finish().subspan(instep::kRtdeHeaderBytes);
    require(bytes.size() == message.payload.size());
    require(std::equal(bytes.begin(), bytes.end() - 1, message.payload.begin()));
  }
  instep::RtdeReader reader(message.payload);
  static_cast<void>(reader.f64());
  instep::RtdeNames names(reader.rest());
  for (std::string_view name; names.next(&name);) {
    require(!name.empty() && name.find(',') == std::string_view::npos);
    for (const std::uint32_t major : {3U, 5U}) {
      const instep::UrVersion version{major, 12, 0, 0};
      const int output = instep::find_rtde_output(name, version);
      if (output >= 0) require(instep::rtde_type_bytes(instep::rtde_output_type(output)) > 0);
      const int input = instep::find_rtde_input(name, version);
      if (input >= 0) require(instep::rtde_type_bytes(instep::rtde_input_type(input)) > 0);
    }
    instep::RtdeType type = instep::RtdeType::kBool;
    if (instep::parse_rtde_type(name, &type)) require(instep::rtde_type_name(type) == name);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::span<const std::uint8_t> bytes(data + 1, size - 1);
  const std::size_t piece = std::size_t{1} + data[0];
  instep::RtdeParser parser;
  std::size_t in_messages = 0;
  while (!bytes.empty()) {
    auto rest = bytes.first(std::min(piece, bytes.size()));
    bytes = bytes.subspan(rest.size());
    while (!rest.empty()) {
      const std::size_t taken = parser.push(rest);
      require(taken > 0);
      rest = rest.subspan(taken);
      for (instep::RtdeMessage message; parser.next(&message);) {
        in_messages += instep::kRtdeHeaderBytes + message.payload.size();
        read_message(message);
      }
      require(parser.is_valid());
    }
  }
  require(in_messages < size);
  return 0;
}

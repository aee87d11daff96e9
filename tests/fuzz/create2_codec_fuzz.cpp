// Any bytes, in any pieces, as what a Create 2 sends and as what it is told.
#include <algorithm>
#include <cstdlib>

#include "drivers/create2/codec.h"
#include "drivers/create2/session.h"
#include "fuzz_file.h"

using instep::require;

namespace {

void decode(std::span<const std::uint8_t> ids, std::span<const std::uint8_t> bytes,
            std::size_t piece) {
  instep::Create2StreamDecoder decoder(ids);
  std::size_t fed = 0;
  std::size_t in_frames = 0;
  while (!bytes.empty()) {
    auto rest = bytes.first(std::min(piece, bytes.size()));
    bytes = bytes.subspan(rest.size());
    while (!rest.empty()) {
      const std::size_t taken = decoder.push(rest);
      require(taken > 0);
      fed += taken;
      rest = rest.subspan(taken);
      for (auto frame = decoder.next(); !frame.empty(); frame = decoder.next()) {
        in_frames += frame.size();
        std::uint8_t sum = 0;
        for (const std::uint8_t byte : frame) sum = static_cast<std::uint8_t>(sum + byte);
        require(sum == 0 && frame.size() == decoder.frame_bytes());
        instep::Create2Readings readings;
        require(instep::decode_create2_frame(frame, &readings));
      }
    }
  }
  // Every byte is in a frame, was skipped, or still waits for the rest of its frame.
  const std::size_t waiting = fed - in_frames - decoder.bytes_skipped();
  require(waiting < decoder.frame_bytes());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::span<const std::uint8_t> bytes(data + 1, size - 1);
  const std::size_t piece = std::size_t{1} + data[0] % 100;
  constexpr std::uint8_t kFew[] = {7, 43, 44};
  decode(kFew, bytes, piece);
  decode(instep::kCreate2StreamIds, bytes, piece);

  instep::Create2Readings readings;
  static_cast<void>(instep::decode_create2_frame(bytes, &readings));

  instep::Create2CommandParser parser;
  for (const std::uint8_t byte : bytes) {
    if (parser.take(byte)) require(!parser.is_waiting());
    require(parser.is_valid());
  }
  return 0;
}

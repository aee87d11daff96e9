// The file of a run's packets, `packets` in its folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/file.h"
#include "runtime/realtime/packet_record.h"

namespace instep {

// The path of a new file of a run's part that begins at `step`: DIR/NAME, DIR/NAME-STEP, and with a
// number behind it where there is one already (a run that was killed before its next checkpoint
// comes by the same step again).
std::string new_part_path(const std::string& folder, const std::string& name, std::int64_t step);

// Writes what a RecordingLink has kept. The writer's thread.
class PacketStore {
 public:
  // Makes the file; see take_error().
  PacketStore(const std::string& folder, std::int64_t step);
  void take(RecordingLink::Ring& ring);
  // Why the file had to be given up, as errno says, once; it ends with a whole packet, or is not
  // there. 0: it was not.
  int take_error() { return std::exchange(error_, 0); }

 private:
  void append(std::span<const std::uint8_t> bytes);

  std::optional<File> file_;  // none: given up
  std::int64_t file_bytes_ = 0;
  int error_ = 0;  // that nobody was told of yet
  std::vector<std::uint8_t> bytes_;
};

}  // namespace instep

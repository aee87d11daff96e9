// What the clock told of a run, and the counters and open means that its summary, report and event
// file are made of.
//
// A checkpoint holds what decides a run's bits, and no time: equal runs have equal checkpoints. So
// what was measured lies beside it, in the file `measured`, and belongs to it by its step and
// checksum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

#include "runtime/checkpoint.h"
#include "runtime/file.h"
#include "runtime/health.h"
#include "tools/library/listen/event_points.h"
#include "tools/library/listen/summary.h"
#include "tools/library/run/real_time.h"

namespace instep {

// Of a run from `since_step` on: that is 0, unless what had been measured by then was lost.
struct Measured {
  std::int64_t since_step = 0;
  double seconds_before = 0.0;  // that the run took until then, as its episodes tell
  double seconds = 0.0;         // of the loop
  SpeedRecord speed{};
  OpenPoint point{};
  HealthMemory health{};
  GpuLosses gpu{};
  RunCounts counts{};

  double steps_per_second(std::int64_t step) const {
    return step > since_step && seconds > 0.0 ? static_cast<double>(step - since_step) / seconds
                                              : 0.0;
  }
};
static_assert(std::is_trivially_copyable_v<Measured>, "it is written as it lies in memory");

// The file. For each of the checkpoint's two slots it has two copies, which take turns: written
// before the checkpoint is, without a sync, a copy never replaces the one that belongs to what
// stands there. So whenever the process is killed, the newest whole checkpoint has its copy. After
// a power cut it may have none, or a torn one, which read() tells. Nothing allocates after make()
// or open(). Functions answer 0 or an errno value.
class MeasuredFile {
 public:
  static constexpr const char* kName = "measured";

  // A new file with room for all copies, in place of any that is there.
  [[nodiscard]] int make(const std::string& path);
  // The file of an earlier process; made where there is none, or where another version of this
  // program or another kind of machine made it.
  [[nodiscard]] int open(const std::string& path);
  // After open(): what was measured up to that checkpoint. False where nothing whole belongs to it.
  [[nodiscard]] bool read(const CheckpointKey& checkpoint, Measured& out);
  [[nodiscard]] int write(const CheckpointKey& checkpoint, const Measured& measured);
  // The checkpoint that the last write() was for stands now.
  void keep() { standing_[slot_] = copy_; }

 private:
  struct Header;

  static std::int64_t place_of(std::size_t slot, std::size_t copy);
  bool read_copy(std::int64_t place, Header& header, Measured& out) const;

  std::unique_ptr<File> file_;
  std::size_t standing_[2] = {1, 1};  // by slot: the copy that belongs to what stands there
  std::size_t slot_ = 0;              // of the last write
  std::size_t copy_ = 0;
  std::uint64_t writes_ = 0;
};

}  // namespace instep

// The checkpoint file of a run: two slots, of which one is always whole.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/file.h"

namespace instep {

// Written; earlier ones are read, too. Version 2 has checksums of XXH3, version 1 of hash_words().
inline constexpr std::uint32_t kCheckpointVersion = 2;

// What a run must have in common with a checkpoint to go on from it.
struct CheckpointIdentity {
  int observation_dim = 0;
  int action_dim = 0;
  int hidden_dim = 0;               // 0 where the algorithm has no such setting
  std::uint32_t algorithm = 0;      // its number in the table
  std::uint64_t settings_hash = 0;  // of task, seed and everything else that decides the run's bits

  friend bool operator==(const CheckpointIdentity&, const CheckpointIdentity&) = default;
};

// Tells one checkpoint from all others.
struct CheckpointKey {
  std::size_t slot = 0;  // that it lies in
  std::int64_t step = -1;
  std::uint64_t checksum = 0;
};

// How opening a checkpoint ended. Where a system call failed, error() of the file says why.
enum class CheckpointStatus {
  kOk,
  kOkButNewestDamaged,  // the other slot was taken; this one was, or may have been, newer
  kSystemError,
  kNothingYet,      // made, but the first snapshot was never completed
  kNotACheckpoint,  // another kind of file, or cut short within its first slot
  kOtherVersion,    // written by a later format version
  kBothDamaged,     // neither slot passes its checksum
};

// A checkpoint file holds two slots of a header and a snapshot each. A slot is written, synced,
// then its header is written and synced, so that a crash at any moment leaves the other slot whole.
// The slot follows from the step alone, and no time, path or host is stored: equal runs have equal
// files. Writing allocates nothing. One thread.
class CheckpointFile {
 public:
  // `every`: the period of regular checkpoints, in steps; it decides which slot a step goes to. 0:
  // the slots take turns.
  explicit CheckpointFile(std::int64_t every,
                          const FileOperations& operations = system_file_operations())
      : every_(every), file_(operations) {}

  // Makes the file with room for two snapshots of that size. Answers 0 or an errno value.
  [[nodiscard]] int create(const std::string& path, const CheckpointIdentity& identity,
                           std::size_t snapshot_bytes);

  // Opens an existing file and reads its newest whole slot. `writable`: for write(); a file that
  // has been cut short behind its first slot (a copy onto a full disk) gets its length back. One
  // process at a time may write.
  [[nodiscard]] CheckpointStatus open(const std::string& path, bool writable);

  // Writes a snapshot of the size given to create(), taken after `step` steps. Answers 0 or an
  // errno value; after an error the previous checkpoint still stands.
  [[nodiscard]] int write(std::int64_t step, std::span<const std::uint8_t> snapshot) {
    return write(prepare(step, snapshot), snapshot);
  }
  // The same in two parts: the first tells which checkpoint it will be, so that files that belong
  // to it can be written before it.
  CheckpointKey prepare(std::int64_t step, std::span<const std::uint8_t> snapshot) const;
  [[nodiscard]] int write(const CheckpointKey& key, std::span<const std::uint8_t> snapshot);

  // What open() or the last write() left as the newest checkpoint.
  const CheckpointKey& key() const { return key_; }
  std::int64_t step() const { return key_.step; }
  const CheckpointIdentity& identity() const { return identity_; }
  std::span<const std::uint8_t> snapshot() const { return snapshot_; }  // only after open()
  int error() const { return error_; }
  // Of the slot that open() took or, after kOtherVersion, of the one that it could not read.
  std::uint32_t found_version() const { return found_version_; }

 private:
  struct SlotHeader;
  // What one slot was found to hold.
  struct Slot {
    bool is_empty = false;  // never written
    bool has_magic = false;
    bool has_header = false;  // of a known version, and its own checksum fits
    bool is_whole = false;    // so does that of the snapshot
    std::uint32_t version = 0;
    std::int64_t step = 0;
    std::uint64_t checksum = 0;
    CheckpointIdentity identity;
  };

  std::int64_t slot_offset(std::size_t slot) const;
  SlotHeader header_of(std::int64_t step) const;
  Slot read_slot(std::size_t number, std::int64_t half, std::vector<std::uint8_t>& snapshot);
  std::int64_t find_half() const;
  CheckpointStatus read_newest();

  std::int64_t every_;
  File file_;
  std::int64_t file_bytes_ = 0;  // as open() found it
  CheckpointIdentity identity_;
  std::size_t snapshot_bytes_ = 0;
  CheckpointKey key_{.slot = 1};  // of the newest checkpoint
  std::vector<std::uint8_t> snapshot_;
  int error_ = 0;
  std::uint32_t found_version_ = 0;
};

}  // namespace instep

#include "runtime/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "kernels/philox.h"
#include "temporary_folder.h"

namespace instep {
namespace {

constexpr std::int64_t kEvery = 10;
constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kHeaderBytes = 64;
constexpr std::size_t kSnapshotBytes = 300;
constexpr std::size_t kSlotBytes = 2 * kPageBytes;
constexpr CheckpointIdentity kIdentity{3, 2, 8, 1, 0xABCDEF0123456789};

std::vector<std::uint8_t> snapshot_of(std::int64_t step) {
  std::vector<double> draws(kSnapshotBytes);
  Random{11, 0}.uniform(static_cast<std::uint64_t>(step), draws.data(),
                        static_cast<int>(draws.size()));
  std::vector<std::uint8_t> bytes;
  for (const double draw : draws) bytes.push_back(static_cast<std::uint8_t>(draw * 256.0));
  return bytes;
}

// Changes one byte in place: writing a whole file for each would take most of the time.
void flip_byte(const std::string& path, std::size_t offset, int mask) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(offset));
  const int byte = file.get();
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(static_cast<char>(byte ^ mask));
  ASSERT_TRUE(file.good());
}

// A checkpoint file in which these steps were written one after another.
void make_checkpoint(const std::string& path, const std::vector<std::int64_t>& steps) {
  CheckpointFile file(kEvery);
  ASSERT_EQ(file.create(path, kIdentity, kSnapshotBytes), 0);
  for (const std::int64_t step : steps) ASSERT_EQ(file.write(step, snapshot_of(step)), 0);
}

void make_checkpoint_further(const std::string& path, std::int64_t step) {
  CheckpointFile file(kEvery);
  ASSERT_EQ(file.open(path, true), CheckpointStatus::kOk);
  ASSERT_EQ(file.write(step, snapshot_of(step)), 0);
}

// What opening a file comes to: the status, and the step where there is one. Checks that what is
// taken is whole.
struct Opened {
  CheckpointStatus status;
  std::int64_t step = -1;
  friend bool operator==(const Opened&, const Opened&) = default;
  friend std::ostream& operator<<(std::ostream& stream, const Opened& opened) {
    return stream << "status " << static_cast<int>(opened.status) << ", step " << opened.step;
  }
};

Opened open_checkpoint_file(const std::string& path) {
  CheckpointFile file(kEvery);
  const CheckpointStatus status = file.open(path, false);
  if (status != CheckpointStatus::kOk && status != CheckpointStatus::kOkButNewestDamaged) {
    return {status};
  }
  const std::vector<std::uint8_t> found(file.snapshot().begin(), file.snapshot().end());
  EXPECT_EQ(found, snapshot_of(file.step()));
  EXPECT_EQ(file.identity(), kIdentity);
  return {status, file.step()};
}

class CheckpointTest : public testing::Test {
 protected:
  std::string path() const { return folder_ / "checkpoint"; }

  // Opens the file with these bytes.
  Opened open_bytes(const std::string& bytes) const {
    write_bytes(path(), bytes);
    return open_checkpoint_file(path());
  }

  TemporaryFolder folder_;
};

TEST_F(CheckpointTest, GivesBackTheNewest) {
  std::vector<std::int64_t> steps;
  for (const std::int64_t step : {0, 10, 20, 30, 34}) {
    steps.push_back(step);
    std::filesystem::remove(path());
    make_checkpoint(path(), steps);
    EXPECT_EQ(open_checkpoint_file(path()), (Opened{CheckpointStatus::kOk, step}));
  }
}

TEST_F(CheckpointTest, GoesOnFromWhereItWasOpened) {
  make_checkpoint(path(), {0, 10});
  CheckpointFile file(kEvery);
  ASSERT_EQ(file.open(path(), true), CheckpointStatus::kOk);
  ASSERT_EQ(file.write(20, snapshot_of(20)), 0);
  EXPECT_EQ(file.step(), 20);
  EXPECT_EQ(open_checkpoint_file(path()), (Opened{CheckpointStatus::kOk, 20}));
}

// Equal runs have equal files, however often they were interrupted in between.
TEST_F(CheckpointTest, BytesFollowFromTheLastTwoRegularStepsAndTheEnd) {
  make_checkpoint(folder_ / "whole", {0, 10, 20, 27});
  make_checkpoint(folder_ / "interrupted", {0, 3, 7, 10, 14, 20, 21, 25, 27});
  EXPECT_EQ(read_bytes(folder_ / "interrupted"), read_bytes(folder_ / "whole"));
}

// Every flip of every byte of a file with two whole slots. The newest is 30, in the second slot.
TEST_F(CheckpointTest, NoticesEveryByteThatChanged) {
  make_checkpoint(path(), {0, 10, 20, 30});
  const std::string whole = read_bytes(path());
  ASSERT_EQ(whole.size(), 2 * kSlotBytes);
  const auto is_used = [](std::size_t within) {
    return within < kHeaderBytes || (within >= kPageBytes && within < kPageBytes + kSnapshotBytes);
  };
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const bool is_newest = i >= kSlotBytes;
    const std::size_t within = i % kSlotBytes;
    if (!is_used(within) && i % 97 != 0) continue;  // padding: nothing is read from it
    for (const int mask : {0x01, 0x10, 0x80, 0xFF}) {
      flip_byte(path(), i, mask);
      const Opened opened = open_checkpoint_file(path());
      flip_byte(path(), i, mask);
      if (!is_used(within)) {
        ASSERT_EQ(opened, (Opened{CheckpointStatus::kOk, 30})) << "byte " << i;
      } else if (is_newest) {
        ASSERT_EQ(opened, (Opened{CheckpointStatus::kOkButNewestDamaged, 20})) << "byte " << i;
      } else if (within < kHeaderBytes) {
        // Nothing tells that it was the older one, so it is said.
        ASSERT_EQ(opened, (Opened{CheckpointStatus::kOkButNewestDamaged, 30})) << "byte " << i;
      } else {
        // As a crash in the middle of the next checkpoint leaves it: no loss, no word.
        ASSERT_EQ(opened, (Opened{CheckpointStatus::kOk, 30})) << "byte " << i;
      }
    }
  }
}

TEST_F(CheckpointTest, RefusesTheOnlyOneWhenAnyByteChanged) {
  make_checkpoint(path(), {0});
  for (std::size_t i = 0; i < kPageBytes + kSnapshotBytes; ++i) {
    if (i == kHeaderBytes) i = kPageBytes;
    flip_byte(path(), i, 0x04);
    const CheckpointStatus status = open_checkpoint_file(path()).status;
    flip_byte(path(), i, 0x04);
    const CheckpointStatus expected = i < 8    ? CheckpointStatus::kNotACheckpoint
                                      : i < 12 ? CheckpointStatus::kOtherVersion
                                               : CheckpointStatus::kBothDamaged;
    ASSERT_EQ(status, expected) << "byte " << i;
  }
}

TEST_F(CheckpointTest, RefusesBothDamaged) {
  make_checkpoint(path(), {0, 10});
  std::string damaged = read_bytes(path());
  damaged[kPageBytes + 5] ^= 1;
  damaged[kSlotBytes + kPageBytes + 5] ^= 1;
  EXPECT_EQ(open_bytes(damaged), (Opened{CheckpointStatus::kBothDamaged}));
}

TEST_F(CheckpointTest, RefusesWhatIsNoCheckpoint) {
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(open_checkpoint_file(folder_ / "pipe").status, CheckpointStatus::kNotACheckpoint);
  EXPECT_EQ(open_checkpoint_file(folder_ / "missing").status, CheckpointStatus::kSystemError);
  EXPECT_EQ(open_checkpoint_file(folder_.path()).status, CheckpointStatus::kNotACheckpoint);
  EXPECT_EQ(open_bytes("x").status, CheckpointStatus::kNotACheckpoint);
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    std::vector<double> draws(8192 * (seed % 3 + 1) + (seed % 2) * 17);
    Random{seed, 0}.uniform(0, draws.data(), static_cast<int>(draws.size()));
    std::string bytes;
    for (const double draw : draws) bytes += static_cast<char>(static_cast<int>(draw * 256.0));
    EXPECT_EQ(open_bytes(bytes).status, CheckpointStatus::kNotACheckpoint) << seed;
  }
}

// As a copy onto a disk that became full: the first slot stands as long as all of it is there.
TEST_F(CheckpointTest, TakesTheFirstSlotOfAFileThatWasCutShort) {
  for (const std::int64_t newest : {20, 30}) {
    std::filesystem::remove(path());
    make_checkpoint(path(), {0, 10, 20});
    if (newest == 30) make_checkpoint_further(path(), 30);
    const std::size_t whole = std::filesystem::file_size(path());
    for (std::size_t bytes = whole; bytes > 1;) {
      bytes -= bytes <= 200 ? 1 : 61;
      std::filesystem::resize_file(path(), bytes);
      const Opened opened = open_checkpoint_file(path());
      if (bytes < kPageBytes + kSnapshotBytes) {
        EXPECT_EQ(opened, (Opened{CheckpointStatus::kNotACheckpoint})) << bytes;
      } else if (bytes >= kSlotBytes + kPageBytes + kSnapshotBytes) {
        EXPECT_EQ(opened, (Opened{CheckpointStatus::kOk, newest})) << "padding only, " << bytes;
      } else {
        // Where the second slot's header is still there, it says whether that one was newer.
        const bool is_older = newest == 20 && bytes >= kSlotBytes + kHeaderBytes;
        EXPECT_EQ(
            opened,
            (Opened{is_older ? CheckpointStatus::kOk : CheckpointStatus::kOkButNewestDamaged, 20}))
            << bytes;
      }
    }
  }
}

TEST_F(CheckpointTest, GoesOnInAFileThatWasCutShort) {
  make_checkpoint(path(), {0, 10, 20, 30});
  const std::string whole = read_bytes(path());
  std::filesystem::resize_file(path(), kSlotBytes + 1234);
  {
    CheckpointFile file(kEvery);
    ASSERT_EQ(file.open(path(), true), CheckpointStatus::kOkButNewestDamaged);
    EXPECT_EQ(std::filesystem::file_size(path()), 2 * kSlotBytes);
    ASSERT_EQ(file.write(30, snapshot_of(30)), 0);
  }
  EXPECT_EQ(read_bytes(path()), whole);

  std::filesystem::resize_file(path(), kSlotBytes + 1234);
  FileOperations full;
  full.reserve = [](void*, int, std::int64_t) { return ENOSPC; };
  CheckpointFile refused(kEvery, full);
  EXPECT_EQ(refused.open(path(), true), CheckpointStatus::kSystemError);
  EXPECT_EQ(refused.error(), ENOSPC);
}

TEST_F(CheckpointTest, RefusesAFileThatIsTooLong) {
  make_checkpoint(path(), {0, 10, 20});
  const std::string whole = read_bytes(path());
  for (const std::size_t more : {1U, 4096U, 8192U, 16384U}) {
    EXPECT_NE(open_bytes(whole + std::string(more, '\0')).status, CheckpointStatus::kOk) << more;
  }
}

TEST_F(CheckpointTest, TellsAFileThatHasNothingYet) {
  EXPECT_EQ(open_bytes(""), (Opened{CheckpointStatus::kNothingYet}));
  std::filesystem::remove(path());
  make_checkpoint(path(), {});
  EXPECT_EQ(open_checkpoint_file(path()), (Opened{CheckpointStatus::kNothingYet}));
}

TEST_F(CheckpointTest, TellsTheVersionThatWroteIt) {
  make_checkpoint(path(), {0, 10});
  std::string other = read_bytes(path());
  other[8] = 7;
  other[kSlotBytes + 8] = 7;
  write_bytes(path(), other);
  CheckpointFile file(kEvery);
  EXPECT_EQ(file.open(path(), false), CheckpointStatus::kOtherVersion);
  EXPECT_EQ(file.found_version(), 7U);
}

// A header that is right in itself but claims a snapshot of another size leads nowhere.
TEST_F(CheckpointTest, RefusesASlotOfAnotherSize) {
  make_checkpoint(path(), {0, 10});
  const std::string small = read_bytes(path());
  CheckpointFile large(kEvery);
  ASSERT_EQ(large.create(folder_ / "large", kIdentity, 3 * kPageBytes), 0);
  ASSERT_EQ(large.write(0, std::vector<std::uint8_t>(3 * kPageBytes, 1)), 0);
  const std::string header = read_bytes(folder_ / "large").substr(0, kHeaderBytes);
  std::string lying = small;
  lying.replace(0, kHeaderBytes, header);
  lying.replace(kSlotBytes, kHeaderBytes, header);
  EXPECT_EQ(open_bytes(lying).status, CheckpointStatus::kBothDamaged);
}

// File operations that fail, and may have done a part, when `countdown` calls are over.
struct Trouble {
  int countdown = 0;
  int error = ENOSPC;
  std::size_t bytes_done = 0;  // of the write that fails

  static int write_at(void* self, int descriptor, std::span<const std::uint8_t> bytes,
                      std::int64_t offset) {
    auto& trouble = *static_cast<Trouble*>(self);
    const FileOperations& system = system_file_operations();
    if (trouble.countdown-- != 0) return system.write_at(nullptr, descriptor, bytes, offset);
    const auto part = bytes.first(std::min(bytes.size(), trouble.bytes_done));
    EXPECT_EQ(system.write_at(nullptr, descriptor, part, offset), 0);
    return trouble.error;
  }
  static int sync(void* self, int) {
    auto& trouble = *static_cast<Trouble*>(self);
    return trouble.countdown-- == 0 ? trouble.error
                                    : 0;  // the medium's own cache is not under test
  }
  FileOperations operations() {
    FileOperations operations = system_file_operations();
    operations.self = this;
    operations.write_at = write_at;
    operations.sync = sync;
    return operations;
  }
};

// The four calls of a write: snapshot, sync, header, sync. Each fails once, with nothing, a part or
// all of it done.
TEST_F(CheckpointTest, KeepsTheOldOneWhenTheDiskRefuses) {
  for (int call = 0; call < 4; ++call) {
    for (const std::size_t bytes_done : {0U, 1U, 30U, 40U, 63U, 64U, 299U, 300U}) {
      SCOPED_TRACE(testing::Message() << "call " << call << ", " << bytes_done << " bytes");
      std::filesystem::remove(path());
      Trouble trouble;
      trouble.countdown = 1000;
      {
        CheckpointFile file(kEvery, trouble.operations());
        ASSERT_EQ(file.create(path(), kIdentity, kSnapshotBytes), 0);
        for (const std::int64_t step : {0, 10, 20}) {
          ASSERT_EQ(file.write(step, snapshot_of(step)), 0);
        }
        trouble = {.countdown = call, .error = ENOSPC, .bytes_done = bytes_done};
        EXPECT_EQ(file.write(30, snapshot_of(30)), ENOSPC);
        EXPECT_EQ(file.step(), 20);
      }
      // Only where the header was written all the same does the new one stand.
      const bool is_complete = call == 3 || (call == 2 && bytes_done >= kHeaderBytes);
      // Up to its checksum, the header is like the one it replaces.
      const bool is_header_torn = call == 2 && bytes_done > 28 && bytes_done < kHeaderBytes;
      const Opened opened = open_checkpoint_file(path());
      EXPECT_EQ(opened.step, is_complete ? 30 : 20);
      EXPECT_EQ(opened.status,
                is_header_torn ? CheckpointStatus::kOkButNewestDamaged : CheckpointStatus::kOk);

      // With room again, the run goes on in the same file.
      CheckpointFile again(kEvery);
      ASSERT_NE(again.open(path(), true), CheckpointStatus::kSystemError);
      ASSERT_EQ(again.write(30, snapshot_of(30)), 0);
      EXPECT_EQ(open_checkpoint_file(path()), (Opened{CheckpointStatus::kOk, 30}));
    }
  }
}

TEST_F(CheckpointTest, TellsWhyItCannotBeMade) {
  CheckpointFile file(kEvery);
  EXPECT_EQ(file.create(folder_ / "no/checkpoint", kIdentity, kSnapshotBytes), ENOENT);
  EXPECT_EQ(file.step(), -1);
}

}  // namespace
}  // namespace instep

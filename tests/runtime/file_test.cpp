#include "runtime/file.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

#include "temporary_folder.h"

namespace instep {
namespace {

using Bytes = std::vector<std::uint8_t>;

TEST(File, CreatesOnlyWhatIsNew) {
  const TemporaryFolder folder;
  File file;
  ASSERT_EQ(file.open(folder / "a", File::Mode::kCreate), 0);
  File second;
  EXPECT_EQ(second.open(folder / "a", File::Mode::kCreate), EEXIST);
  EXPECT_EQ(second.open(folder / "b", File::Mode::kWrite), ENOENT);
  EXPECT_EQ(second.open(folder / "b", File::Mode::kRead), ENOENT);
  EXPECT_EQ(second.open(folder / "no/b", File::Mode::kCreate), ENOENT);
}

TEST(File, ReadsBackWhatWasWrittenAtItsPlace) {
  const TemporaryFolder folder;
  File file;
  ASSERT_EQ(file.open(folder / "a", File::Mode::kCreate), 0);
  ASSERT_EQ(file.write_at(Bytes{1, 2, 3}, 5), 0);
  ASSERT_EQ(file.write_at(Bytes{9}, 0), 0);
  EXPECT_EQ(file.sync(), 0);
  std::int64_t bytes = 0;
  ASSERT_EQ(file.size(bytes), 0);
  EXPECT_EQ(bytes, 8);
  Bytes read(8, 77);
  ASSERT_EQ(file.read_at(read, 0), 0);
  EXPECT_EQ(read, (Bytes{9, 0, 0, 0, 0, 1, 2, 3}));
  EXPECT_EQ(file.truncate(6), 0);
  ASSERT_EQ(file.size(bytes), 0);
  EXPECT_EQ(bytes, 6);
}

TEST(File, SaysSoWhenTheFileEndsTooEarly) {
  const TemporaryFolder folder;
  File file;
  ASSERT_EQ(file.open(folder / "a", File::Mode::kCreate), 0);
  ASSERT_EQ(file.write_at(Bytes{1, 2, 3}, 0), 0);
  Bytes read(2);
  EXPECT_EQ(file.read_at(read, 2), EIO);
  EXPECT_EQ(file.read_at(read, 100), EIO);
  EXPECT_EQ(file.read_at({}, 100), 0);
}

TEST(File, RefusesToWriteWhereItMayOnlyRead) {
  const TemporaryFolder folder;
  write_bytes(folder / "a", "abc");
  File file;
  ASSERT_EQ(file.open(folder / "a", File::Mode::kRead), 0);
  EXPECT_EQ(file.write_at(Bytes{1}, 0), EBADF);
  EXPECT_EQ(read_bytes(folder / "a"), "abc");
}

TEST(File, ReservesRoomThatReadsAsZero) {
  const TemporaryFolder folder;
  File file;
  ASSERT_EQ(file.open(folder / "a", File::Mode::kCreate), 0);
  ASSERT_EQ(file.reserve(8192), 0);
  EXPECT_EQ(read_bytes(folder / "a"), std::string(8192, '\0'));
}

TEST(File, BelongsToOneAtATime) {
  const TemporaryFolder folder;
  write_bytes(folder / "a", "");
  File second;
  ASSERT_EQ(second.open(folder / "a", File::Mode::kWrite), 0);
  {
    File first;
    ASSERT_EQ(first.open(folder / "a", File::Mode::kWrite), 0);
    ASSERT_EQ(first.lock(), 0);
    EXPECT_EQ(second.lock(), EWOULDBLOCK);
  }
  EXPECT_EQ(second.lock(), 0) << "closing gives the file free";
}

TEST(File, WritesThroughItsOperations) {
  struct Record {
    int writes = 0;
    int syncs = 0;
  } record;
  FileOperations operations = system_file_operations();
  operations.self = &record;
  operations.write_at = [](void* self, int, std::span<const std::uint8_t>, std::int64_t) {
    return ++static_cast<Record*>(self)->writes == 2 ? ENOSPC : 0;
  };
  operations.sync = [](void* self, int) {
    ++static_cast<Record*>(self)->syncs;
    return EIO;
  };
  const TemporaryFolder folder;
  File file(operations);
  ASSERT_EQ(file.open(folder / "a", File::Mode::kCreate), 0);
  EXPECT_EQ(file.write_at(Bytes{1}, 0), 0);
  EXPECT_EQ(file.write_at(Bytes{1}, 0), ENOSPC);
  EXPECT_EQ(file.sync(), EIO);
  EXPECT_EQ(record.writes, 2);
  EXPECT_EQ(record.syncs, 1);
  EXPECT_EQ(read_bytes(folder / "a"), "");
}

TEST(File, TellsWhyItCannotWrite) {
  File file;
  if (file.open("/dev/full", File::Mode::kWrite) != 0) GTEST_SKIP() << "there is no /dev/full";
  EXPECT_EQ(file.write_at(Bytes{1}, 0), ENOSPC);
  EXPECT_EQ(file.sync(), 0) << "what cannot sync is no loss of data";
}

TEST(SyncFolder, WantsAFolder) {
  const TemporaryFolder folder;
  EXPECT_EQ(sync_folder(folder.path()), 0);
  EXPECT_EQ(sync_folder(folder / "missing"), ENOENT);
  write_bytes(folder / "file", "");
  EXPECT_EQ(sync_folder(folder / "file"), ENOTDIR);
}

}  // namespace
}  // namespace instep

#include "tools/library/listen/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "temporary_folder.h"

namespace instep {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

// ---- A reader of the format that shares nothing with the writer ----

// CRC-32C by its definition: division of the reflected polynomial, bit by bit.
std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char byte : bytes) {
    crc ^= static_cast<std::uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? (crc >> 1) ^ 0x82F63B78U : crc >> 1;
  }
  return ~crc;
}

std::uint32_t masked(std::uint32_t crc) {
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

template <typename Number>
Number number_at(std::string_view bytes, std::size_t at) {
  Number value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// The records of a TFRecord file; none where a length, a sum or the end is wrong.
std::optional<std::vector<std::string>> read_records(std::string_view file) {
  std::vector<std::string> records;
  while (!file.empty()) {
    if (file.size() < 16) return std::nullopt;
    const auto size = number_at<std::uint64_t>(file, 0);
    if (size > file.size() - 16) return std::nullopt;
    if (number_at<std::uint32_t>(file, 8) != masked(crc32c(file.substr(0, 8)))) return std::nullopt;
    const std::string_view data = file.substr(12, size);
    if (number_at<std::uint32_t>(file, 12 + size) != masked(crc32c(data))) return std::nullopt;
    records.emplace_back(data);
    file.remove_prefix(16 + size);
  }
  return records;
}

// One field of a protocol buffer: a number for the wire types 0, 1 and 5, bytes for 2.
struct Field {
  std::uint64_t number = 0;
  std::uint64_t value = 0;
  std::string_view bytes;
};

std::uint64_t take_varint(std::string_view& rest) {
  std::uint64_t value = 0;
  for (int shift = 0; !rest.empty(); shift += 7) {
    const auto byte = static_cast<std::uint8_t>(rest.front());
    rest.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
    if (byte < 0x80U) break;
  }
  return value;
}

std::vector<Field> read_fields(std::string_view rest) {
  std::vector<Field> fields;
  while (!rest.empty()) {
    const std::uint64_t key = take_varint(rest);
    Field field{key >> 3, 0, {}};
    if ((key & 7U) == 0) {
      field.value = take_varint(rest);
    } else {
      const std::size_t size = (key & 7U) == 1   ? 8
                               : (key & 7U) == 5 ? 4
                                                 : static_cast<std::size_t>(take_varint(rest));
      field.bytes = rest.substr(0, size);
      rest.remove_prefix(field.bytes.size());
    }
    fields.push_back(field);
  }
  return fields;
}

struct Event {
  double wall_time_s = 0.0;
  std::int64_t step = -1;
  std::string version;
  std::vector<std::pair<std::string, float>> scalars;
};

std::pair<std::string, float> read_scalar(std::string_view message) {
  std::pair<std::string, float> scalar;
  for (const Field& field : read_fields(message)) {
    if (field.number == 1) scalar.first = field.bytes;
    if (field.number == 2) scalar.second = number_at<float>(field.bytes, 0);
  }
  return scalar;
}

Event read_event(std::string_view message) {
  Event event;
  for (const Field& field : read_fields(message)) {
    if (field.number == 1) event.wall_time_s = number_at<double>(field.bytes, 0);
    if (field.number == 2) event.step = static_cast<std::int64_t>(field.value);
    if (field.number == 3) event.version = field.bytes;
    if (field.number != 5) continue;
    for (const Field& value : read_fields(field.bytes)) {
      event.scalars.push_back(read_scalar(value.bytes));
    }
  }
  return event;
}

std::vector<Event> read_events(const std::string& path) {
  const std::string file = read_bytes(path);
  const auto records = read_records(file);
  EXPECT_TRUE(records.has_value()) << path << " is no whole TFRecord file";
  std::vector<Event> events;
  for (const std::string& record : records.value_or(std::vector<std::string>())) {
    events.push_back(read_event(record));
  }
  return events;
}

// The steps of a file that must begin with its version.
std::vector<std::int64_t> read_steps(const std::string& path) {
  const std::vector<Event> events = read_events(path);
  std::vector<std::int64_t> steps;
  if (events.empty() || events[0].version != "brain.Event:2") {
    ADD_FAILURE() << path << " does not begin with its version";
    return steps;
  }
  for (std::size_t i = 1; i < events.size(); ++i) steps.push_back(events[i].step);
  return steps;
}

// A file with points of those steps; answers its bytes.
std::string make_file(const std::string& path, const std::vector<std::int64_t>& steps) {
  EventFile file;
  EXPECT_EQ(file.create(path, 1000.5), 0);
  for (const std::int64_t step : steps) {
    const Scalar scalars[] = {{"a", static_cast<float>(step)}, {"b/c", -1.5F}};
    EXPECT_EQ(file.add(step, 1001.0, scalars), 0);
  }
  EXPECT_EQ(file.flush(), 0);
  return read_bytes(path);
}

// ---- Tests ----

TEST(EventFile, TheReaderKnowsTheSum) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);            // the check value of CRC-32C
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);  // RFC 3720, B.4
}

TEST(EventFile, WritesWhatAnIndependentReaderReads) {
  const TemporaryFolder folder;
  const std::string path = folder / "events";
  EventFile file;
  ASSERT_EQ(file.create(path, 1700000000.25), 0);
  const Scalar first[] = {{"episode/return", 12.5F}, {"policy/entropy", -3e-20F}};
  const Scalar second[] = {{"episode/return", -1e30F}};
  ASSERT_EQ(file.add(1000, 1700000001.5, first), 0);
  ASSERT_EQ(file.add(2000, 1700000002.5, second), 0);
  ASSERT_EQ(file.flush(), 0);

  const std::vector<Event> events = read_events(path);
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].version, "brain.Event:2");
  EXPECT_EQ(events[0].wall_time_s, 1700000000.25);
  EXPECT_EQ(events[1].step, 1000);
  EXPECT_EQ(events[1].wall_time_s, 1700000001.5);
  EXPECT_THAT(events[1].scalars, ElementsAre(std::pair("episode/return", 12.5F),
                                             std::pair("policy/entropy", -3e-20F)));
  EXPECT_EQ(events[2].step, 2000);
  EXPECT_THAT(events[2].scalars, ElementsAre(std::pair("episode/return", -1e30F)));
}

TEST(EventFile, KeepsStepsOfEverySize) {
  const TemporaryFolder folder;
  const std::vector<std::int64_t> steps = {
      0, 1, 127, 128, 16383, 16384, 2097151, std::int64_t{1} << 31, std::int64_t{1} << 52};
  make_file(folder / "events", steps);
  EXPECT_THAT(read_steps(folder / "events"), ElementsAreArray(steps));
}

TEST(EventFile, TakesMorePointsThanItsBufferHolds) {
  const TemporaryFolder folder;
  const std::string tag(EventFile::kTagBytesMax, 't');
  const std::vector<Scalar> scalars(EventFile::kScalarsMax, Scalar{tag, 2.0F});
  EventFile file;
  ASSERT_EQ(file.create(folder / "events", 0.0), 0);
  for (std::int64_t step = 1; step <= 50; ++step) ASSERT_EQ(file.add(step, 0.0, scalars), 0);
  ASSERT_EQ(file.flush(), 0);
  const std::vector<Event> events = read_events(folder / "events");
  ASSERT_EQ(events.size(), 51U);
  for (std::size_t i = 1; i < events.size(); ++i) {
    EXPECT_EQ(events[i].step, static_cast<std::int64_t>(i));
    ASSERT_EQ(events[i].scalars.size(), EventFile::kScalarsMax);
    EXPECT_EQ(events[i].scalars.back(), std::pair(tag, 2.0F));
  }
}

TEST(EventFile, GoesOnAfterTheStepOfTheCheckpoint) {
  const TemporaryFolder folder;
  const std::string whole = make_file(folder / "events", {10, 20, 30, 40});
  const std::string until20 = make_file(folder / "until20", {10, 20});
  {
    EventFile file;
    ASSERT_EQ(file.open_at(folder / "events", 29, 2000.0), 0);
  }
  EXPECT_EQ(read_bytes(folder / "events"), until20);
  EXPECT_LT(until20.size(), whole.size());
  const Scalar scalar[] = {{"a", 1.0F}};
  EventFile file;
  ASSERT_EQ(file.open_at(folder / "events", 20, 2000.0), 0);
  ASSERT_EQ(file.add(25, 2001.0, scalar), 0);
  ASSERT_EQ(file.flush(), 0);
  EXPECT_THAT(read_steps(folder / "events"), ElementsAre(10, 20, 25));
}

// A crash may leave any number of its bytes.
TEST(EventFile, GoesOnFromAFileCutAnywhere) {
  const TemporaryFolder folder;
  const std::string path = folder / "events";
  const std::string whole = make_file(path, {10, 200, 3000, 40000});
  // Where each record ends, the version's first.
  std::vector<std::size_t> ends;
  for (std::size_t at = 0; at < whole.size();) {
    at += 16 + static_cast<std::size_t>(number_at<std::uint64_t>(whole, at));
    ends.push_back(at);
  }
  ASSERT_EQ(ends.size(), 5U);
  const std::vector<std::int64_t> steps = {10, 200, 3000};
  for (std::size_t bytes = 0; bytes <= whole.size(); ++bytes) {
    write_bytes(path, whole.substr(0, bytes));
    {
      EventFile file;
      ASSERT_EQ(file.open_at(path, 3000, 2000.0), 0) << bytes;
      const Scalar scalar[] = {{"a", 1.0F}};
      ASSERT_EQ(file.add(3500, 2001.0, scalar), 0);
      ASSERT_EQ(file.flush(), 0);
    }
    std::vector<std::int64_t> expected;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (ends[i + 1] <= bytes) expected.push_back(steps[i]);
    }
    expected.push_back(3500);
    EXPECT_THAT(read_steps(path), ElementsAreArray(expected)) << bytes << " bytes were left";
  }
}

TEST(EventFile, KeepsWhatStandsBeforeADamagedByte) {
  const TemporaryFolder folder;
  const std::string path = folder / "events";
  const std::string whole = make_file(path, {10, 20});
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write_bytes(path, damaged);
    {
      EventFile file;
      ASSERT_EQ(file.open_at(path, 20, 2000.0), 0) << at;
    }
    const std::vector<std::int64_t> steps = read_steps(path);
    EXPECT_LT(steps.size(), 2U) << "byte " << at << " was changed";
    if (!steps.empty()) {
      EXPECT_EQ(steps[0], 10);
    }
  }
}

TEST(EventFile, MakesAFileThatIsMissingOrOfAnotherKind) {
  const TemporaryFolder folder;
  EventFile missing;
  ASSERT_EQ(missing.open_at(folder / "missing", 5, 1.0), 0);
  EXPECT_TRUE(read_steps(folder / "missing").empty());
  write_bytes(folder / "other", std::string(1000, 'x'));
  EventFile other;
  ASSERT_EQ(other.open_at(folder / "other", 5, 1.0), 0);
  EXPECT_TRUE(read_steps(folder / "other").empty());
}

TEST(EventFile, AnswersTheErrorOfTheSystem) {
  const TemporaryFolder folder;
  EventFile file;
  EXPECT_EQ(file.create(folder / "no/such/folder", 0.0), ENOENT);
}

}  // namespace
}  // namespace instep

// The Create 2's bytes against the worked examples of its specification and hand-computed ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "drivers/create2/codec.h"
#include "drivers/create2/fields.h"

namespace instep {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::vector<Bytes> parse(const Bytes& bytes, Create2CommandParser* parser) {
  std::vector<Bytes> commands;
  for (const std::uint8_t byte : bytes) {
    if (!parser->take(byte)) continue;
    const Create2Command& command = parser->command();
    Bytes one = {command.opcode};
    one.insert(one.end(), command.data.begin(), command.data.begin() + command.size);
    commands.push_back(one);
  }
  return commands;
}

std::vector<Bytes> parse(const Bytes& bytes) {
  Create2CommandParser parser;
  return parse(bytes, &parser);
}

template <typename Array>
Bytes as_bytes(const Array& array) {
  return {array.begin(), array.end()};
}

TEST(Create2Commands, AreTheSpecificationsExamples) {
  EXPECT_EQ(as_bytes(encode_create2_drive(-200, 500)), (Bytes{0x89, 0xff, 0x38, 0x01, 0xf4}));
  EXPECT_EQ(as_bytes(encode_create2_drive(200, kCreate2Straight)),
            (Bytes{0x89, 0x00, 0xc8, 0x80, 0x00}));
  EXPECT_EQ(as_bytes(encode_create2_drive_direct(100, 100)), (Bytes{0x91, 0x00, 0x64, 0x00, 0x64}));
  // Left 200, right -100: the right wheel comes first.
  EXPECT_EQ(as_bytes(encode_create2_drive_direct(200, -100)),
            (Bytes{0x91, 0xff, 0x9c, 0x00, 0xc8}));
}

TEST(Create2Commands, ClipSpeedsToTheRobotsRange) {
  EXPECT_EQ(encode_create2_drive_direct(9000, -9000), encode_create2_drive_direct(500, -500));
  EXPECT_EQ(as_bytes(encode_create2_drive_direct(501, 0)), (Bytes{0x91, 0, 0, 0x01, 0xf4}));
}

TEST(Create2Commands, AreReadBack) {
  const auto commands = parse({0x89, 0xff, 0x38, 0x01, 0xf4, 0x91, 0xff, 0x9c, 0x00, 0xc8});
  ASSERT_EQ(commands.size(), 2U);
  Create2CommandParser parser;
  for (const std::uint8_t byte : commands[0]) parser.take(byte);
  EXPECT_EQ(parser.command().word(0), -200);
  EXPECT_EQ(parser.command().word(2), 500);
  for (const std::uint8_t byte : commands[1]) parser.take(byte);
  EXPECT_EQ(parser.command().word(0), -100);  // right
  EXPECT_EQ(parser.command().word(2), 200);   // left
}

TEST(Create2Commands, EndWhereTheSpecificationSays) {
  // Each with the number of bytes behind its opcode.
  const std::vector<std::pair<int, int>> fixed = {
      {7, 0},   {128, 0}, {129, 1}, {130, 0}, {131, 0}, {132, 0}, {133, 0},  {134, 0}, {135, 0},
      {136, 0}, {137, 4}, {138, 1}, {139, 3}, {141, 1}, {142, 1}, {143, 0},  {144, 3}, {145, 4},
      {146, 4}, {150, 1}, {162, 2}, {163, 4}, {164, 4}, {165, 1}, {167, 15}, {168, 3}, {173, 0}};
  for (const auto& [opcode, data] : fixed) {
    SCOPED_TRACE(opcode);
    Bytes bytes = {static_cast<std::uint8_t>(opcode)};
    bytes.insert(bytes.end(), static_cast<std::size_t>(data), 1);
    Bytes twice = bytes;
    twice.insert(twice.end(), bytes.begin(), bytes.end());
    EXPECT_EQ(parse(twice), (std::vector<Bytes>{bytes, bytes}));
  }
  EXPECT_EQ(parse({138, 13, 139, 4, 0, 128}), (std::vector<Bytes>{{138, 13}, {139, 4, 0, 128}}));
  EXPECT_EQ(parse({148, 2, 29, 13, 128}), (std::vector<Bytes>{{148, 2, 29, 13}, {128}}));
  EXPECT_EQ(parse({149, 0, 128}), (std::vector<Bytes>{{149, 0}, {128}}));
}

TEST(Create2Commands, OfOtherClientsAreRead) {
  // What pycreate2 sends at its start, and libcreate to ask for its stream.
  EXPECT_EQ(parse({0x80, 0x83, 0x8c, 0, 1, 0x46, 0, 0x8d, 0, 0x8e, 0x64}),
            (std::vector<Bytes>{{0x80}, {0x83}, {0x8c, 0, 1, 0x46, 0}, {0x8d, 0}, {0x8e, 0x64}}));
  Bytes request = {0x94, 0x1e};
  for (const int id : {7,  8,  9,  10, 11, 12, 13, 14, 15, 17, 18, 21, 22, 23, 24,
                       25, 26, 35, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 58}) {
    request.push_back(static_cast<std::uint8_t>(id));
  }
  ASSERT_EQ(request.size(), 32U);
  Bytes bytes = request;
  bytes.push_back(0x84);
  EXPECT_EQ(parse(bytes), (std::vector<Bytes>{request, {0x84}}));
}

TEST(Create2Commands, ThatLackBytesSwallowTheNext) {
  Create2CommandParser parser;
  // Drive direct without its last two bytes: Safe and Start become its left speed.
  EXPECT_EQ(parse({0x91, 0x00, 0x64, 0x83, 0x80}, &parser),
            (std::vector<Bytes>{{0x91, 0x00, 0x64, 0x83, 0x80}}));
  EXPECT_FALSE(parser.is_waiting());
  EXPECT_TRUE(parse({0x91, 0x00}, &parser).empty());
  EXPECT_TRUE(parser.is_waiting());
  EXPECT_EQ(parse({0, 0, 0, 0, 0, 0x80}, &parser),
            (std::vector<Bytes>{{0x91, 0, 0, 0, 0}, {0x80}}));
}

TEST(Create2Commands, OfTheLongestListEnd) {
  Bytes bytes = {148, 255};
  bytes.insert(bytes.end(), 255, 7);
  bytes.push_back(131);
  const auto commands = parse(bytes);
  ASSERT_EQ(commands.size(), 2U);
  EXPECT_EQ(commands[0].front(), 148);
  EXPECT_EQ(commands[1], (Bytes{131}));
}

TEST(Create2Commands, NeedAnOpcode) {
  EXPECT_TRUE(parse({0, 1, 6, 8, 19, 100, 127, 147, 151, 161, 166, 169, 172, 174, 255}).empty());
}

TEST(Create2Packets, HaveTheSpecificationsSizes) {
  const std::vector<std::pair<int, std::size_t>> groups = {{0, 26},   {1, 10},   {2, 6},  {3, 10},
                                                           {4, 14},   {5, 12},   {6, 52}, {100, 80},
                                                           {101, 28}, {106, 12}, {107, 9}};
  for (const auto& [id, bytes] : groups) {
    SCOPED_TRACE(id);
    const auto group = static_cast<std::uint8_t>(id);
    EXPECT_EQ(create2_packet_bytes(group), bytes);
    const Create2IdRange range = create2_id_range(group);
    std::size_t sum = 0;
    for (std::uint8_t i = range.first; i <= range.last; ++i) sum += create2_packet_bytes(i);
    EXPECT_EQ(sum, bytes);
  }
  for (const int id : {19, 20, 22, 23, 25, 26, 27, 31, 33, 39, 42, 43, 44, 46, 51, 54, 57}) {
    EXPECT_EQ(create2_packet_bytes(static_cast<std::uint8_t>(id)), 2U) << id;
  }
  for (const int id : {7, 18, 21, 24, 32, 34, 38, 45, 52, 53, 58}) {
    EXPECT_EQ(create2_packet_bytes(static_cast<std::uint8_t>(id)), 1U) << id;
  }
  for (const int id : {59, 99, 102, 103, 105, 108, 255}) {
    EXPECT_EQ(create2_packet_bytes(static_cast<std::uint8_t>(id)), 0U) << id;
  }
}

TEST(Create2Packets, FillFramesOfKnownSize) {
  const auto frame_bytes = [](const Bytes& ids) { return Create2StreamDecoder(ids).frame_bytes(); };
  EXPECT_EQ(frame_bytes({46, 47, 48, 49, 50, 51, 7, 20, 25, 34, 35, 58, 19, 9, 10, 11, 12}), 46U);
  EXPECT_EQ(frame_bytes({46, 47, 48, 49, 50, 51, 7, 25, 35, 19, 34, 9, 10, 11, 12}), 41U);
  EXPECT_EQ(frame_bytes({7,  8,  9,  10, 11, 12, 13, 14, 15, 17, 18, 21, 22, 23, 24,
                         25, 26, 35, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 58}),
            75U);
}

// ids, the frame, in the order of the worked examples.
struct Worked {
  Bytes ids;
  std::vector<std::uint32_t> values;
  Bytes frame;
};
const std::vector<Worked> kWorked = {
    // The specification's own; its text calls the value 549, which is 0x0225, but 2 and 25 are 537.
    {{29, 13}, {537, 0}, {19, 5, 29, 2, 25, 13, 0, 163}},
    {{7, 8, 9, 10, 11, 12, 35},
     {0, 0, 0, 0, 0, 0, 2},
     {0x13, 0x0e, 0x07, 0x00, 0x08, 0x00, 0x09, 0x00, 0x0a, 0x00, 0x0b, 0x00, 0x0c, 0x00, 0x23,
      0x02, 0x81}},
    {{7, 43, 44, 22, 23, 25, 35, 58},
     {0, 0xFFFA, 12, 16000, 0xFF06, 2600, 2, 1},
     {0x13, 0x15, 0x07, 0x00, 0x2b, 0xff, 0xfa, 0x2c, 0x00, 0x0c, 0x16, 0x3e,
      0x80, 0x17, 0xff, 0x06, 0x19, 0x0a, 0x28, 0x23, 0x02, 0x3a, 0x01, 0xda}},
};

TEST(Create2Frames, AreTheWorkedExamples) {
  for (const Worked& worked : kWorked) {
    Create2FrameWriter writer;
    writer.begin();
    for (std::size_t i = 0; i < worked.ids.size(); ++i) {
      writer.add(worked.ids[i], worked.values[i]);
    }
    const auto frame = writer.finish();
    EXPECT_EQ(Bytes(frame.begin(), frame.end()), worked.frame);

    Create2StreamDecoder decoder(worked.ids);
    EXPECT_EQ(decoder.push(worked.frame), worked.frame.size());
    const auto found = decoder.next();
    EXPECT_EQ(Bytes(found.begin(), found.end()), worked.frame);
    EXPECT_TRUE(decoder.next().empty());
    EXPECT_EQ(decoder.bytes_skipped(), 0U);
  }
}

TEST(Create2Frames, AreReadIntoReadings) {
  Create2Readings readings;
  ASSERT_TRUE(decode_create2_frame(kWorked[2].frame, &readings));
  EXPECT_EQ(readings.encoder_left, -6);
  EXPECT_EQ(readings.encoder_right, 12);
  EXPECT_EQ(readings.voltage_mv, 16000);
  EXPECT_EQ(readings.current_ma, -250);
  EXPECT_EQ(readings.charge_mah, 2600);
  EXPECT_EQ(readings.mode, static_cast<std::uint8_t>(Create2Mode::kSafe));
  EXPECT_EQ(readings.stasis, 1);
  EXPECT_FALSE(readings.bump_left || readings.bump_right);
}

TEST(Create2Frames, NameEachBitAsTheSpecificationDoes) {
  const auto read = [](std::uint8_t id, std::uint32_t value) {
    Create2FrameWriter writer;
    writer.begin();
    writer.add(id, value);
    Create2Readings readings;
    EXPECT_TRUE(decode_create2_frame(writer.finish(), &readings));
    return readings;
  };
  EXPECT_TRUE(read(7, 1).bump_right);
  EXPECT_TRUE(read(7, 2).bump_left);
  EXPECT_TRUE(read(7, 4).drop_right);
  EXPECT_TRUE(read(7, 8).drop_left);
  EXPECT_FALSE(read(7, 14).bump_right);
  EXPECT_FALSE(read(7, 13).bump_left);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(read(static_cast<std::uint8_t>(9 + i), 1).cliff[i]);
  }
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(read(static_cast<std::uint8_t>(46 + i), 4095).light_bump[i], 4095);
  }
  EXPECT_EQ(read(41, 0xFF6A).requested_right_mm_s, -150);
  EXPECT_EQ(read(42, 150).requested_left_mm_s, 150);
  EXPECT_EQ(read(34, 2).charging_sources, 2);
  EXPECT_EQ(read(21, 2).charging_state, 2);
  EXPECT_EQ(read(26, 2696).capacity_mah, 2696);
}

// The fields of a frame, by their names.
std::map<std::string, double> fields_of(const std::map<int, std::uint32_t>& values) {
  Create2FrameWriter writer;
  writer.begin();
  for (const auto& [id, value] : values) writer.add(static_cast<std::uint8_t>(id), value);
  const auto frame = writer.finish();
  Packet packet;
  packet.size = static_cast<std::uint32_t>(frame.size());
  std::copy(frame.begin(), frame.end(), packet.bytes.begin());
  std::array<double, kCreate2Fields> read{};
  EXPECT_TRUE(kCreate2Packets.decode(packet, read));
  std::map<std::string, double> fields;
  for (std::size_t i = 0; i < read.size(); ++i) fields[kCreate2Packets.fields[i].name] = read[i];
  return fields;
}

TEST(Create2Fields, HaveTheirNamesAndSiUnits) {
  const std::map<int, std::uint32_t> frame = {
      {46, 100}, {47, 200},    {48, 300}, {49, 400},  {50, 500},         {51, 600},
      {7, 6},    {10, 1},      {21, 3},   {25, 1348}, {26, 2696},        {34, 2},
      {35, 2},   {41, 0xFF6A}, {42, 150}, {43, 1000}, {44, 65536 - 2000}};
  std::map<std::string, double> fields = fields_of(frame);
  const std::map<std::string, double> expected = {{"mode", 2},
                                                  {"charging", 3},
                                                  {"battery", 0.5},
                                                  {"left_asked", 0.15},
                                                  {"right_asked", -0.15},
                                                  {"bump_left", 1},
                                                  {"drop_right", 1},
                                                  {"cliff_fl", 1},
                                                  {"light_l", 100},
                                                  {"light_fl", 200},
                                                  {"light_cl", 300},
                                                  {"light_cr", 400},
                                                  {"light_fr", 500},
                                                  {"light_r", 600},
                                                  {"on_dock", 1},
                                                  {"left_turned", 0.444565},
                                                  {"right_turned", -0.88913}};
  for (const auto& [name, value] : fields) {
    const auto found = expected.find(name);
    EXPECT_NEAR(value, found == expected.end() ? 0.0 : found->second, 1e-6) << name;
  }
  EXPECT_EQ(create2_counts(fields["left_turned"]), 1000);
  EXPECT_EQ(create2_counts(fields["right_turned"]), -2000);
}

TEST(Create2Fields, KeepEveryCountOfAnEncoder) {
  for (int count = -32768; count <= 32767; ++count) {
    const double turned_m = fields_of({{43, static_cast<std::uint16_t>(count)}})["left_turned"];
    ASSERT_EQ(create2_counts(turned_m), count);
  }
}

TEST(Create2Fields, DoNotKnowABatteryWhoseGaugeTellsNonsense) {
  const auto battery = [](std::uint32_t charge, std::uint32_t capacity) {
    return fields_of({{25, charge}, {26, capacity}})["battery"];
  };
  EXPECT_EQ(battery(2800, 2696), 1.0);
  for (const auto& [charge, capacity] : {std::pair{100U, 0U}, {100U, 65535U}, {4000U, 2696U}}) {
    EXPECT_TRUE(std::isnan(battery(charge, capacity))) << charge << " of " << capacity;
  }
}

TEST(Create2Frames, ThatLieAboutThemselvesAreRefused) {
  Create2Readings readings;
  Bytes frame = kWorked[1].frame;
  EXPECT_TRUE(decode_create2_frame(frame, &readings));
  Bytes wrong = frame;
  wrong[1] = 13;
  EXPECT_FALSE(decode_create2_frame(wrong, &readings));
  wrong = frame;
  wrong[2] = 200;  // no such packet
  EXPECT_FALSE(decode_create2_frame(wrong, &readings));
  wrong = frame;
  wrong[14] = 43;  // two bytes, where one is left
  EXPECT_FALSE(decode_create2_frame(wrong, &readings));
  EXPECT_FALSE(decode_create2_frame({}, &readings));
}

class Create2Resync : public testing::Test {
 protected:
  // Every way to hand over the bytes in pieces of `piece` finds the frames.
  std::size_t frames_in(const Bytes& bytes, std::size_t piece) {
    decoder_ = Create2StreamDecoder(kWorked[2].ids);
    std::size_t frames = 0;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      std::span<const std::uint8_t> rest(bytes.data() + at, std::min(piece, bytes.size() - at));
      while (!rest.empty()) {
        rest = rest.subspan(decoder_.push(rest));
        for (auto frame = decoder_.next(); !frame.empty(); frame = decoder_.next()) {
          EXPECT_EQ(Bytes(frame.begin(), frame.end()), frame_);
          ++frames;
        }
      }
    }
    return frames;
  }
  Bytes repeated(std::size_t count) const {
    Bytes bytes;
    for (std::size_t i = 0; i < count; ++i) bytes.insert(bytes.end(), frame_.begin(), frame_.end());
    return bytes;
  }

  Bytes frame_ = kWorked[2].frame;
  Create2StreamDecoder decoder_{kWorked[2].ids};
};

TEST_F(Create2Resync, TakesBytesInAnyPieces) {
  for (std::size_t piece = 1; piece < 60; ++piece) {
    EXPECT_EQ(frames_in(repeated(50), piece), 50U) << piece;
    EXPECT_EQ(decoder_.bytes_skipped(), 0U);
  }
  EXPECT_EQ(frames_in(repeated(1000), 1000 * frame_.size()), 1000U);
}

TEST_F(Create2Resync, LosesOneFrameForAByteThatWasDropped) {
  for (std::size_t lost = 0; lost < frame_.size(); ++lost) {
    Bytes bytes = repeated(5);
    bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(frame_.size() + lost));
    EXPECT_EQ(frames_in(bytes, 7), 4U) << lost;
    EXPECT_EQ(decoder_.bytes_skipped(), frame_.size() - 1) << lost;
  }
}

TEST_F(Create2Resync, LosesOneFrameForAByteThatWasChanged) {
  for (std::size_t wrong = 0; wrong < frame_.size(); ++wrong) {
    Bytes bytes = repeated(5);
    bytes[2 * frame_.size() + wrong] ^= 0x10;
    EXPECT_EQ(frames_in(bytes, 1), 4U) << wrong;
  }
}

TEST_F(Create2Resync, SurvivesTextAndHeadersInsideData) {
  const std::string text = "Flash CRC successful: 0x0 (0x0)\r\n";
  Bytes bytes = repeated(2);
  bytes.insert(bytes.end(), text.begin(), text.end());
  // What looks like the begin of a frame, right before one.
  for (const std::uint8_t byte : {0x13, 0x15, 0x07, 0x13, 0x13, 0x15}) bytes.push_back(byte);
  const Bytes more = repeated(3);
  bytes.insert(bytes.end(), more.begin(), more.end());
  EXPECT_EQ(frames_in(bytes, 11), 5U);
  EXPECT_EQ(decoder_.bytes_skipped(), text.size() + 6);

  // Header and length inside the data of a whole frame: 19, 21 as the charge.
  Create2FrameWriter writer;
  writer.begin();
  for (std::size_t i = 0; i < kWorked[2].ids.size(); ++i) {
    writer.add(kWorked[2].ids[i], kWorked[2].ids[i] == 25 ? 0x1315 : kWorked[2].values[i]);
  }
  const auto frame = writer.finish();
  frame_.assign(frame.begin(), frame.end());
  Bytes begins_inside(repeated(4));
  begins_inside.erase(begins_inside.begin(), begins_inside.begin() + 5);
  EXPECT_EQ(frames_in(begins_inside, 9), 3U);
}

TEST(Create2Encoders, WrapAt65536) {
  EXPECT_EQ(create2_counts_between(static_cast<std::int16_t>(65530), 1), 7);
  EXPECT_EQ(create2_counts_between(1, static_cast<std::int16_t>(65530)), -7);
  EXPECT_EQ(create2_counts_between(32767, -32768), 1);
  EXPECT_EQ(create2_counts_between(-32768, 32767), -1);
  EXPECT_EQ(create2_counts_between(-6, 12), 18);
  // A turn of the wheel, and how far the whole range reaches.
  EXPECT_NEAR(508.8 * kCreate2MmPerCount, 226.195, 1e-3);
  EXPECT_NEAR(kCreate2MmPerCount, 0.444565, 1e-6);
  EXPECT_NEAR(65536 * kCreate2MmPerCount, 29135.0, 1.0);
}

}  // namespace
}  // namespace instep

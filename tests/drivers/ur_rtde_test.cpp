// The RTDE codec against worked bytes: what controllers and three public clients exchange.
#include <gtest/gtest.h>

#include <algorithm>
#include <numbers>
#include <string>
#include <vector>

#include "drivers/ur/rtde.h"

namespace instep {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr UrVersion kCb3{3, 15, 8, 106339};
constexpr UrVersion kESeries{5, 12, 8, 0};

Bytes from_hex(const std::string& text) {
  Bytes bytes;
  std::string digits;
  for (const char letter : text) {
    if (letter == ' ' || letter == '\n') continue;
    digits += letter;
    if (digits.size() < 2) continue;
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(digits, nullptr, 16)));
    digits.clear();
  }
  return bytes;
}

Bytes bytes_of(RtdeWriter& writer) {
  const auto bytes = writer.finish();
  return {bytes.begin(), bytes.end()};
}

// The one message that these bytes are.
struct Parsed {
  explicit Parsed(const Bytes& bytes) {
    EXPECT_EQ(parser.push(bytes), bytes.size());
    EXPECT_TRUE(parser.next(&message));
    RtdeMessage more;
    EXPECT_FALSE(parser.next(&more));
    EXPECT_FALSE(parser.is_broken());
  }
  RtdeReader reader() const { return RtdeReader(message.payload); }

  RtdeParser parser;
  RtdeMessage message;
};

std::vector<std::string> names_of(std::string_view list) {
  std::vector<std::string> all;
  RtdeNames names(list);
  for (std::string_view name; names.next(&name);) all.emplace_back(name);
  return all;
}

TEST(UrRtdeTest, AsksForProtocolVersionTwo) {
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kProtocolVersion).u16(kRtdeVersion);
  EXPECT_EQ(bytes_of(writer), from_hex("00 05 56 00 02"));
  EXPECT_EQ(Parsed(from_hex("00 05 56 00 02")).reader().u16(), 2);
}

TEST(UrRtdeTest, AcceptsOrRefusesTheVersion) {
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kProtocolVersion).u8(1);
  EXPECT_EQ(bytes_of(writer), from_hex("00 04 56 01"));
  writer.begin(RtdeMessageType::kProtocolVersion).u8(0);
  EXPECT_EQ(bytes_of(writer), from_hex("00 04 56 00"));
  const Parsed refused(from_hex("00 04 56 00"));
  EXPECT_EQ(refused.message.type, RtdeMessageType::kProtocolVersion);
  EXPECT_EQ(refused.reader().u8(), 0);
}

TEST(UrRtdeTest, TellsTheControllersVersion) {
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kControllerVersion);
  EXPECT_EQ(bytes_of(writer), from_hex("00 03 76"));
  writer.begin(RtdeMessageType::kControllerVersion)
      .u32(kCb3.major)
      .u32(kCb3.minor)
      .u32(kCb3.bugfix)
      .u32(kCb3.build);
  const Bytes reply = from_hex("00 13 76 00 00 00 03 00 00 00 0f 00 00 00 08 00 01 9f 63");
  EXPECT_EQ(bytes_of(writer), reply);
  const Parsed parsed(reply);
  RtdeReader reader = parsed.reader();
  for (const std::uint32_t number : {3U, 15U, 8U, 106339U}) EXPECT_EQ(reader.u32(), number);
  EXPECT_TRUE(reader.is_done());
}

TEST(UrRtdeTest, SetsOutputsUp) {
  const Bytes request = from_hex(
      "00 29 4f 40 5f 40 00 00 00 00 00 74 69 6d 65 73 74 61 6d 70 2c 61 63 74 75 61 6c 5f 71 2c "
      "73 61 66 65 74 79 5f 6d 6f 64 65");
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kSetupOutputs).f64(125.0).text("timestamp,actual_q,safety_mode");
  EXPECT_EQ(bytes_of(writer), request);
  const Parsed parsed(request);
  RtdeReader reader = parsed.reader();
  EXPECT_EQ(reader.f64(), 125.0);
  const auto names = names_of(reader.rest());
  EXPECT_EQ(names, (std::vector<std::string>{"timestamp", "actual_q", "safety_mode"}));
  std::string types;
  for (const auto& name : names) {
    types += std::string(rtde_type_name(rtde_output_type(find_rtde_output(name, kCb3)))) + ",";
  }
  types.pop_back();
  writer.begin(RtdeMessageType::kSetupOutputs).u8(1).text(types);
  EXPECT_EQ(bytes_of(writer), from_hex("00 19 4f 01 44 4f 55 42 4c 45 2c 56 45 43 54 4f 52 36 44 "
                                       "2c 49 4e 54 33 32"));
}

TEST(UrRtdeTest, NamesTheFieldThatIsNotFound) {
  const Parsed reply(
      from_hex("00 1a 4f 00 44 4f 55 42 4c 45 2c 4e 4f 54 5f 46 4f 55 4e 44 2c 49 4e 54 33 32"));
  RtdeReader reader = reply.reader();
  EXPECT_EQ(reader.u8(), 0);
  const auto names = names_of(reader.rest());
  ASSERT_EQ(names.size(), 3U);
  RtdeType type = RtdeType::kBool;
  ASSERT_TRUE(parse_rtde_type(names[1], &type));
  EXPECT_EQ(type, RtdeType::kNotFound);
  EXPECT_FALSE(parse_rtde_type("TABLE", &type));
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kSetupOutputs).u8(0).text("DOUBLE,NOT_FOUND,INT32");
  EXPECT_EQ(bytes_of(writer), Bytes(from_hex("00 1a 4f 00 44 4f 55 42 4c 45 2c 4e 4f 54 5f 46 4f "
                                             "55 4e 44 2c 49 4e 54 33 32")));
}

TEST(UrRtdeTest, WritesFrequenciesAsDoubles) {
  const auto hex = [](double frequency) {
    RtdeWriter writer;
    writer.begin(RtdeMessageType::kSetupOutputs).f64(frequency);
    return bytes_of(writer);
  };
  EXPECT_EQ(hex(125.0), from_hex("00 0b 4f 40 5f 40 00 00 00 00 00"));
  EXPECT_EQ(hex(500.0), from_hex("00 0b 4f 40 7f 40 00 00 00 00 00"));
  EXPECT_EQ(hex(25.0), from_hex("00 0b 4f 40 39 00 00 00 00 00 00"));
}

TEST(UrRtdeTest, SetsInputsUp) {
  const Bytes request = from_hex(
      "00 31 49 69 6e 70 75 74 5f 69 6e 74 5f 72 65 67 69 73 74 65 72 5f 32 34 2c 69 6e 70 75 74 "
      "5f 64 6f 75 62 6c 65 5f 72 65 67 69 73 74 65 72 5f 32 34");
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kSetupInputs)
      .text("input_int_register_24,input_double_register_24");
  EXPECT_EQ(bytes_of(writer), request);
  const Parsed parsed(request);
  const auto names = names_of(parsed.reader().rest());
  ASSERT_EQ(names.size(), 2U);
  EXPECT_EQ(find_rtde_input(names[0], kCb3), kRtdeInputInt0 + 24);
  EXPECT_EQ(find_rtde_input(names[1], kCb3), kRtdeInputDouble0 + 24);
  writer.begin(RtdeMessageType::kSetupInputs).u8(1).text("INT32,DOUBLE");
  EXPECT_EQ(bytes_of(writer), from_hex("00 10 49 01 49 4e 54 33 32 2c 44 4f 55 42 4c 45"));
  writer.begin(RtdeMessageType::kSetupInputs).u8(0).text("IN_USE,DOUBLE");
  EXPECT_EQ(bytes_of(writer), from_hex("00 11 49 00 49 4e 5f 55 53 45 2c 44 4f 55 42 4c 45"));
  const Parsed in_use(from_hex("00 11 49 00 49 4e 5f 55 53 45 2c 44 4f 55 42 4c 45"));
  RtdeType type = RtdeType::kBool;
  RtdeReader reader = in_use.reader();
  EXPECT_EQ(reader.u8(), 0);
  EXPECT_TRUE(parse_rtde_type(names_of(reader.rest())[0], &type));
  EXPECT_EQ(type, RtdeType::kInUse);
}

TEST(UrRtdeTest, StartsAndPauses) {
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kStart);
  EXPECT_EQ(bytes_of(writer), from_hex("00 03 53"));
  writer.begin(RtdeMessageType::kStart).u8(1);
  EXPECT_EQ(bytes_of(writer), from_hex("00 04 53 01"));
  writer.begin(RtdeMessageType::kPause);
  EXPECT_EQ(bytes_of(writer), from_hex("00 03 50"));
  writer.begin(RtdeMessageType::kPause).u8(1);
  EXPECT_EQ(bytes_of(writer), from_hex("00 04 50 01"));
}

TEST(UrRtdeTest, PacksOutputs) {
  const Bytes package = from_hex(
      "00 40 55 01 3f f0 00 00 00 00 00 00  00 00 00 00 00 00 00 00  bf f9 21 fb 54 44 2d 18 "
      "00 00 00 00 00 00 00 00  bf f9 21 fb 54 44 2d 18  00 00 00 00 00 00 00 00 "
      "00 00 00 00 00 00 00 00  00 00 00 01");
  ASSERT_EQ(package.size(), 64U);
  constexpr double kHalf = std::numbers::pi / 2;
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kData).u8(1).f64(1.0);
  for (const double q : {0.0, -kHalf, 0.0, -kHalf, 0.0, 0.0}) writer.f64(q);
  writer.i32(1);
  EXPECT_EQ(bytes_of(writer), package);
  const Parsed parsed(package);
  RtdeReader reader = parsed.reader();
  EXPECT_EQ(reader.u8(), 1);
  EXPECT_EQ(reader.f64(), 1.0);
  EXPECT_EQ(reader.f64(), 0.0);
  EXPECT_EQ(reader.f64(), -kHalf);
  for (int i = 0; i < 4; ++i) reader.f64();
  EXPECT_FALSE(reader.is_done());
  EXPECT_EQ(reader.i32(), 1);
  EXPECT_TRUE(reader.is_done());
  EXPECT_EQ(reader.f64(), 0.0);
  EXPECT_TRUE(reader.is_short());
}

TEST(UrRtdeTest, PacksInputs) {
  RtdeWriter writer;
  writer.begin(RtdeMessageType::kData).u8(1).i32(9).f64(0.3);
  EXPECT_EQ(bytes_of(writer), from_hex("00 10 55 01 00 00 00 09 3f d3 33 33 33 33 33 33"));
}

TEST(UrRtdeTest, ReadsTextMessages) {
  const Bytes bytes = from_hex("00 0c 4d 02 48 69 04 52 54 44 45 02");
  const Parsed parsed(bytes);
  RtdeText text;
  ASSERT_TRUE(decode_rtde_text(parsed.message.payload, &text));
  EXPECT_EQ(text.message, "Hi");
  EXPECT_EQ(text.source, "RTDE");
  EXPECT_EQ(text.level, RtdeTextLevel::kWarning);
  RtdeWriter writer;
  write_rtde_text(writer, text);
  EXPECT_EQ(bytes_of(writer), bytes);
  EXPECT_FALSE(decode_rtde_text(parsed.message.payload.first(8), &text));
  const std::string long_text(300, 'x');
  write_rtde_text(writer, {long_text, "RTDE", RtdeTextLevel::kInfo});
  EXPECT_EQ(bytes_of(writer).size(), 3U + 1 + 255 + 1 + 4 + 1);
}

TEST(UrRtdeTest, FindsMessagesHoweverTheyAreCut) {
  Bytes stream;
  for (const char* hex : {"00 04 56 01", "00 0c 4d 02 48 69 04 52 54 44 45 02", "00 04 53 01"}) {
    const Bytes message = from_hex(hex);
    stream.insert(stream.end(), message.begin(), message.end());
  }
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    RtdeParser parser;
    std::string types;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      const auto size = std::min(piece, stream.size() - at);
      ASSERT_EQ(parser.push({stream.data() + at, size}), size);
      for (RtdeMessage message; parser.next(&message);) {
        types += static_cast<char>(message.type);
      }
    }
    EXPECT_EQ(types, "VMS") << piece;
  }
}

TEST(UrRtdeTest, AWrongSizeEndsTheStream) {
  for (const char* hex : {"00 02 56", "00 00 00", "ff ff 55", "10 01 55"}) {
    RtdeParser parser;
    const Bytes bytes = from_hex(hex);
    EXPECT_EQ(parser.push(bytes), 3U);
    RtdeMessage message;
    EXPECT_FALSE(parser.next(&message));
    EXPECT_TRUE(parser.is_broken()) << hex;
    const Bytes good = from_hex("00 04 56 01");
    EXPECT_EQ(parser.push(good), 4U);
    EXPECT_FALSE(parser.next(&message));
    parser.clear();
    EXPECT_EQ(parser.push(good), 4U);
    EXPECT_TRUE(parser.next(&message));
  }
}

TEST(UrRtdeTest, TakesTheLargestMessageAndMoreBytesThanItHolds) {
  Bytes bytes(kRtdeMessageBytesMax, 'x');
  bytes[0] = kRtdeMessageBytesMax >> 8;
  bytes[1] = kRtdeMessageBytesMax & 0xFF;
  const Bytes second = from_hex("00 04 53 01");
  bytes.insert(bytes.end(), second.begin(), second.end());
  RtdeParser parser;
  EXPECT_EQ(parser.push(bytes), kRtdeMessageBytesMax);
  RtdeMessage message;
  ASSERT_TRUE(parser.next(&message));
  EXPECT_EQ(message.payload.size(), kRtdeMessageBytesMax - kRtdeHeaderBytes);
  EXPECT_EQ(parser.push(second), 4U);
  ASSERT_TRUE(parser.next(&message));
  EXPECT_EQ(message.type, RtdeMessageType::kStart);
}

TEST(UrRtdeTest, LeavesEmptyNamesOut) {
  EXPECT_EQ(names_of("a,b,c,"), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(names_of(""), std::vector<std::string>{});
  EXPECT_EQ(names_of(",,a"), std::vector<std::string>{"a"});
}

TEST(UrRtdeTest, KnowsWhatEachVersionHas) {
  constexpr UrVersion kOld{3, 4, 0, 0};
  EXPECT_LT(find_rtde_output("safety_status", kOld), 0);
  EXPECT_GE(find_rtde_output("safety_status", kCb3), 0);
  EXPECT_LT(find_rtde_output("ft_raw_wrench", kCb3), 0);
  EXPECT_GE(find_rtde_output("ft_raw_wrench", kESeries), 0);
  EXPECT_LT(find_rtde_output("elbow_position", kOld), 0);
  EXPECT_LT(find_rtde_input("input_int_register_24", kOld), 0);
  EXPECT_GE(find_rtde_input("input_int_register_23", kOld), 0);
  EXPECT_LT(find_rtde_input("input_int_register_48", kCb3), 0);
  EXPECT_LT(find_rtde_input("input_int_register_07", kCb3), 0);
  EXPECT_LT(find_rtde_input("input_int_register_", kCb3), 0);
  EXPECT_LT(find_rtde_input("input_bit_register_63", kCb3), 0);
  EXPECT_EQ(rtde_input_type(find_rtde_input("input_bit_register_127", kCb3)), RtdeType::kBool);
  EXPECT_LT(find_rtde_output("", kCb3), 0);
  EXPECT_EQ(find_rtde_output("actual_TCP_pose", kCb3),
            static_cast<int>(RtdeOutput::kActualTcpPose));
  EXPECT_EQ(find_rtde_output("ft_raw_wrench", kESeries),
            static_cast<int>(RtdeOutput::kFtRawWrench));
  for (int field = 0; field < kRtdeOutputs; ++field) {
    EXPECT_GT(rtde_type_bytes(rtde_output_type(field)), 0U);
  }
  for (int field = 0; field < kRtdeInputs; ++field) {
    EXPECT_GT(rtde_type_bytes(rtde_input_type(field)), 0U);
  }
}

}  // namespace
}  // namespace instep

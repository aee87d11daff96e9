// The hashes that are written to files: they may never change.
#include "runtime/hash.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace instep {
namespace {

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// From xxHash's own program: xxhsum -H3.
TEST(Hash, OfBytesIsXxh3) {
  EXPECT_EQ(hash_bytes({}), 0x2D06800538D394C2U);
  EXPECT_EQ(hash_bytes(bytes_of("a")), 0xE6C632B61E964E1FU);
  EXPECT_EQ(hash_bytes(bytes_of("abc")), 0x78AF5F94892F3950U);
}

TEST(Hash, OfBytesSeesEveryByteAndTheSeed) {
  std::vector<std::uint8_t> bytes(5000);
  const std::uint64_t before = hash_bytes(bytes);
  EXPECT_NE(hash_bytes(bytes, 1), before);
  for (std::size_t i = 0; i < bytes.size(); i += 7) {
    bytes[i] ^= 1;
    EXPECT_NE(hash_bytes(bytes), before) << i;
    bytes[i] ^= 1;
  }
  EXPECT_EQ(hash_bytes(bytes), before);
}

// Checkpoints of version 1 and records have it.
TEST(Hash, OfWordsIsAsItWas) {
  EXPECT_EQ(hash_words({}), kHashStart);
  EXPECT_EQ(hash_words(bytes_of("a")), hash_text("a"));
  EXPECT_NE(hash_words(bytes_of("abcdefgh")), hash_text("abcdefgh"));
}

}  // namespace
}  // namespace instep

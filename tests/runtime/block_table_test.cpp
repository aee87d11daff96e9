#include "runtime/algorithms/actor_critic/block_table.h"

#include <gtest/gtest.h>

#include <set>

namespace instep {
namespace {

// Shapes at the limits and around the size of an output block.
constexpr Shape kShapes[] = {{1, 1, 4},    {3, 2, 64},     {17, 6, 256},
                             {27, 8, 100}, {376, 17, 256}, {512, 32, 512}};

void expect_whole(const Layout& layout) {
  std::size_t end = 0;
  std::set<std::string_view> names;
  for (const MemoryPart& part : block_parts(layout)) {
    EXPECT_EQ(part.offset, end) << part.name;
    EXPECT_GT(part.bytes, 0U) << part.name;
    EXPECT_LT(part.padding_bytes, part.bytes) << part.name;
    EXPECT_EQ(part.offset % 64, 0U) << part.name;
    EXPECT_TRUE(names.insert(part.name).second) << part.name << " stands there twice";
    end = part.offset + part.bytes;
  }
  EXPECT_EQ(end, layout.bytes);
}

TEST(BlockTable, PartsAreTheWholeBlockInOrder) {
  for (const Shape& shape : kShapes) {
    for (const Algorithm algorithm : {Algorithm::kAvg, Algorithm::kIac}) {
      for (const int optimizer_arrays : {1, 2}) {
        SCOPED_TRACE(testing::Message() << shape.observation_dim << ' ' << shape.action_dim << ' '
                                        << shape.hidden_dim << ' ' << optimizer_arrays);
        expect_whole(make_layout(shape, algorithm, optimizer_arrays));
      }
    }
  }
}

TEST(BlockTable, FirstMomentsStandInItOnlyWhereTheyAreStored) {
  const std::size_t without = block_parts(make_layout({3, 2, 64}, Algorithm::kAvg, 1)).size();
  const std::size_t with = block_parts(make_layout({3, 2, 64}, Algorithm::kAvg, 2)).size();
  EXPECT_EQ(with, without + 2);
}

// 64 hidden units fill their block of outputs, so that only rows shorter than a cache line are
// padded.
TEST(BlockTable, CountsWhatHoldsNoNumber) {
  for (const MemoryPart& part : block_parts(make_layout({16, 2, 64}, Algorithm::kAvg, 1))) {
    if (part.name != "actor second moments") continue;
    // Weights 16*64 + 64 + 64*64 + 64 + 4*64, all whole lines; four head biases in a line of
    // sixteen.
    EXPECT_EQ(part.bytes, (1024 + 64 + 4096 + 64 + 256 + 16) * sizeof(float));
    EXPECT_EQ(part.padding_bytes, 12 * sizeof(float));
    return;
  }
  FAIL() << "no such part";
}

}  // namespace
}  // namespace instep

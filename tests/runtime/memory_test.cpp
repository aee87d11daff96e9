// The block a learner lives in.
#include "runtime/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <thread>

#include "kernels/layout.h"
#include "kernels/seal.h"

namespace instep {
namespace {

bool is_zero(const MemoryBlock& block) {
  return std::all_of(block.data(), block.data() + block.size(),
                     [](std::uint8_t byte) { return byte == 0; });
}

bool is_aligned(const MemoryBlock& block) {
  return reinterpret_cast<std::uintptr_t>(block.data()) % 64 == 0;
}

TEST(MemoryBlock, TakesTheStaticBlockWhenItFits) {
  const MemoryBlock block(kStaticBlockBytes);
  EXPECT_TRUE(block.is_static());
  EXPECT_EQ(block.size(), kStaticBlockBytes);
  EXPECT_TRUE(is_aligned(block));
  EXPECT_TRUE(is_zero(block));
}

TEST(MemoryBlock, FitsEveryRobotShape) {
  for (const Algorithm algorithm : {Algorithm::kAvg, Algorithm::kIac}) {
    for (const int optimizer_arrays : {1, 2}) {
      for (const int hidden_dim : {64, 128, 256}) {
        EXPECT_LE(make_layout({8, 2, hidden_dim}, algorithm, optimizer_arrays).bytes,
                  kStaticBlockBytes);
      }
    }
  }
}

TEST(MemoryBlock, MapsWhatIsLarger) {
  const MemoryBlock block(kStaticBlockBytes + 64);
  EXPECT_FALSE(block.is_static());
  EXPECT_EQ(block.size(), kStaticBlockBytes + 64);
  EXPECT_TRUE(is_aligned(block));
  EXPECT_TRUE(is_zero(block));
  // A larger one leaves the static block to others.
  EXPECT_TRUE(MemoryBlock(64).is_static());
}

TEST(MemoryBlock, MapsTheSecondOfTwo) {
  const MemoryBlock one(1000);
  const MemoryBlock two(1000);
  EXPECT_TRUE(one.is_static());
  EXPECT_FALSE(two.is_static());
  std::memset(one.data(), 0xff, one.size());
  EXPECT_TRUE(is_zero(two));
}

TEST(MemoryBlock, IsZeroedWhenItIsUsedAgain) {
  {
    const MemoryBlock block(5000);
    ASSERT_TRUE(block.is_static());
    std::memset(block.data(), 0xff, block.size());
  }
  const MemoryBlock block(5000);
  EXPECT_TRUE(block.is_static());
  EXPECT_TRUE(is_zero(block));
}

TEST(MemoryBlock, ThrowsWhereThereIsNoMemory) {
  EXPECT_THROW(MemoryBlock(std::size_t{1} << 62), std::bad_alloc);
  EXPECT_TRUE(MemoryBlock(64).is_static());
}

TEST(MemoryDeathTest, NoBlockIsTakenInASealedThread) {
  {
    const Seal seal;
    EXPECT_DEATH(MemoryBlock(64), "internal error: !is_sealed\\(\\) does not hold");
    std::thread([] { EXPECT_TRUE(MemoryBlock(64).is_static()); }).join();  // another one's
  }
  EXPECT_TRUE(MemoryBlock(64).is_static());
}

}  // namespace
}  // namespace instep

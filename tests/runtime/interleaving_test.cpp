// The two structures between threads, through every interleaving of their steps and with two real
// threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "interleavings.h"
#include "runtime/realtime/latest_value.h"
#include "runtime/realtime/spsc_ring.h"

namespace instep {
namespace {

TEST(Interleavings, WalksThroughAllOfThem) {
  // Three steps against two, each followed by its end: every merge of 4 and 3 segments once.
  std::vector<std::vector<int>> seen;
  std::vector<int> order;
  const long schedules = Interleavings::explore([&] { order.clear(); },
                                                [&] {
                                                  for (int i = 0; i < 3; ++i) {
                                                    Interleavings::step();
                                                    order.push_back(0);
                                                  }
                                                },
                                                [&] {
                                                  for (int i = 0; i < 2; ++i) {
                                                    Interleavings::step();
                                                    order.push_back(1);
                                                  }
                                                },
                                                [&] { seen.push_back(order); });
  std::sort(seen.begin(), seen.end());
  const auto distinct = std::unique(seen.begin(), seen.end()) - seen.begin();
  EXPECT_EQ(distinct, 10);  // 5! / (3! 2!)
  EXPECT_GE(schedules, distinct);
}

// A broken ring, to show that the walk finds what it is there for: it publishes before it copies.
struct BrokenRing {
  TornValue item;
  SteppedAtomic<std::uint32_t> is_full{0};
};

TEST(Interleavings, FindsATornCopy) {
  std::unique_ptr<BrokenRing> ring;
  long torn = 0;
  Interleavings::explore([&] { ring = std::make_unique<BrokenRing>(); },
                         [&] {
                           ring->is_full.store(1, std::memory_order_release);
                           ring->item = TornValue(7);
                         },
                         [&] {
                           TornValue copy;
                           if (ring->is_full.load(std::memory_order_acquire) == 1)
                             copy = ring->item;
                           if (!copy.is_whole()) ++torn;
                         },
                         [] {});
  EXPECT_GT(torn, 0);
}

TEST(SpscRing, KeepsOrderAndLosesNothingInEveryInterleaving) {
  using Ring = SpscRing<TornValue, 1, SteppedAtomic>;
  std::unique_ptr<Ring> ring;
  std::vector<int> pushed;
  std::vector<int> popped;
  long refused = 0;
  long found_empty = 0;
  const long schedules = Interleavings::explore(
      [&] {
        ring = std::make_unique<Ring>();
        pushed.clear();
        popped.clear();
      },
      [&] {
        for (int i = 1; i <= 2; ++i) {
          if (ring->push(TornValue(i))) {
            pushed.push_back(i);
          } else {
            ++refused;
          }
        }
      },
      [&] {
        for (int i = 0; i < 2; ++i) {
          const TornValue* front = ring->front();
          if (front == nullptr) {
            ++found_empty;
            continue;
          }
          TornValue copy;
          copy = *front;
          ASSERT_TRUE(copy.is_whole());
          popped.push_back(copy.first);
          ring->pop();
        }
      },
      [&] {
        while (const TornValue* front = ring->front()) {
          popped.push_back(front->first);
          ring->pop();
        }
        ASSERT_EQ(popped, pushed);
      });
  EXPECT_GT(schedules, 1000);
  EXPECT_GT(refused, 0);
  EXPECT_GT(found_empty, 0);
}

TEST(SpscRing, HasNothingToForgetWhenItIsEmpty) {
  SpscRing<int, 4> ring;
  ASSERT_TRUE(ring.push(1));
  ring.pop();
  EXPECT_THROW(ring.pop(), std::logic_error);
}

TEST(LatestValue, IsWholeAndNeverGoesBackInEveryInterleaving) {
  using Value = LatestValue<TornValue, SteppedAtomic>;
  std::unique_ptr<Value> value;
  std::vector<int> read;
  bool was_overtaken = false;
  const long schedules = Interleavings::explore(
      [&] {
        value = std::make_unique<Value>();
        read.clear();
      },
      [&] {
        for (int i = 1; i <= 3; ++i) value->write(TornValue(i));
      },
      [&] {
        for (int i = 0; i < 3; ++i) {
          TornValue out;
          if (!value->read(&out)) continue;
          ASSERT_TRUE(out.is_whole());
          read.push_back(out.first);
        }
      },
      [&] {
        TornValue out;
        if (value->read(&out)) read.push_back(out.first);
        ASSERT_FALSE(read.empty());
        ASSERT_EQ(read.back(), 3) << "the newest is never lost";
        for (std::size_t i = 1; i < read.size(); ++i) ASSERT_LT(read[i - 1], read[i]);
        was_overtaken = was_overtaken || read.size() < 3;
        ASSERT_FALSE(value->read(&out)) << "news only once";
      });
  EXPECT_GT(schedules, 1000);
  EXPECT_TRUE(was_overtaken);
}

struct Numbers {
  std::uint64_t values[20] = {};
};

// ThreadSanitizer watches these.
TEST(SpscRing, KeepsOrderBetweenTwoThreads) {
  constexpr std::uint64_t kCount = 200'000;
  SpscRing<Numbers, 64> ring;
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < kCount;) {
      Numbers numbers;
      std::fill(std::begin(numbers.values), std::end(numbers.values), i);
      if (ring.push(numbers)) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  for (std::uint64_t i = 0; i < kCount;) {
    const Numbers* front = ring.front();
    if (front == nullptr) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(front->values[0], i);
    ASSERT_EQ(front->values[19], i);
    ring.pop();
    ++i;
  }
  producer.join();
  EXPECT_EQ(ring.front(), nullptr);
  EXPECT_EQ(ring.size(), 0U);
}

TEST(LatestValue, GivesWholeValuesBetweenTwoThreads) {
  constexpr std::uint64_t kCount = 200'000;
  LatestValue<Numbers> latest;
  std::thread writer([&] {
    for (std::uint64_t i = 1; i <= kCount; ++i) {
      Numbers numbers;
      std::fill(std::begin(numbers.values), std::end(numbers.values), i);
      latest.write(numbers);
    }
  });
  std::uint64_t last = 0;
  while (last < kCount) {
    Numbers numbers;
    if (!latest.read(&numbers)) {
      std::this_thread::yield();
      continue;
    }
    for (const std::uint64_t value : numbers.values) ASSERT_EQ(value, numbers.values[0]);
    ASSERT_GT(numbers.values[0], last);
    last = numbers.values[0];
  }
  writer.join();
}

}  // namespace
}  // namespace instep

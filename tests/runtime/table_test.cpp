#include "runtime/table.h"

#include <gtest/gtest.h>

#include <array>

namespace instep {
namespace {

struct Line {
  std::string_view name;
  int number = 0;
};

constexpr std::array kLines = {Line{"one", 1}, Line{"two", 2}};

class TableTest : public testing::Test {
 protected:
  Table<Line> table_{"line", kLines, [](const Line& line) { return line.name; }};
};

TEST_F(TableTest, KeepsItsOrderAndTakesMore) {
  table_.add({"three", 3});
  const auto lines = table_.lines();
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0].name, "one");
  EXPECT_EQ(lines[2].name, "three");
  EXPECT_EQ(table_.lines().data(), lines.data()) << "lines stay where they are";
}

TEST_F(TableTest, RefusesANameOrANumberTwice) {
  EXPECT_THROW(table_.add({"two", 3}), std::invalid_argument);
  table_.add({"three", 3});
  EXPECT_THROW(table_.add({"three", 4}), std::invalid_argument);
  const auto has_number_2 = [](const Line& line) { return line.number == 2; };
  EXPECT_THROW(table_.add({"four", 2}, has_number_2), std::invalid_argument);
  EXPECT_EQ(table_.lines().size(), 3U);
}

TEST_F(TableTest, TakesNoneOnceItWasRead) {
  static_cast<void>(table_.lines());
  EXPECT_THROW(table_.add({"three", 3}), std::logic_error);
  EXPECT_EQ(table_.lines().size(), 2U);
}

}  // namespace
}  // namespace instep

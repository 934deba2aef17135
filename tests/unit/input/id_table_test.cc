#include "id_table.h"

#include <string>

#include <gtest/gtest.h>

namespace pawl::input {
namespace {

TEST(IdTable, TellsTheLineOfAnEarlierId) {
  IdTable table;
  EXPECT_EQ(table.insert("a", 1), std::nullopt);
  EXPECT_EQ(table.insert("b", 2), std::nullopt);
  EXPECT_EQ(table.insert("a", 3), 1u);
  EXPECT_EQ(table.insert("a", 4), 1u);
  EXPECT_EQ(table.size(), 2u);
}

TEST(IdTable, FindsEveryIdAgainAfterGrowing) {
  constexpr std::uint64_t kIds = 300'000;
  IdTable table;
  for (std::uint64_t i = 0; i < kIds; ++i) {
    ASSERT_EQ(table.insert("request-" + std::to_string(i), i + 1), std::nullopt) << i;
    if (i > 10'000) {
      ASSERT_LE(table.memory_bytes(), (i + 1) * 22) << i;
    }
  }
  for (std::uint64_t i = 0; i < kIds; ++i) ASSERT_EQ(table.insert("request-" + std::to_string(i), 1), i + 1);
  EXPECT_EQ(table.size(), kIds);
}

TEST(IdTable, LineNumbersBeyondThirtyTwoBitsStayTheLargest) {
  IdTable table;
  EXPECT_EQ(table.insert("a", std::uint64_t{1} << 40), std::nullopt);
  EXPECT_EQ(table.insert("a", 1), 0xffffffffu);
}

}  // namespace
}  // namespace pawl::input

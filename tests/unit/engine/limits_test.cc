#include <gtest/gtest.h>

#include <pawl/limits.h>

namespace pawl {
namespace {

Result<void> validate(Limits limits) { return limits.validate(); }

TEST(Limits, DefaultsAreValid) { EXPECT_TRUE(Limits{}.validate()); }

TEST(Limits, BoundsThemselvesAreValid) {
  EXPECT_TRUE(validate({.tasks_in_flight = 1, .bytes_in_flight = 1024 * 1024, .encode_threads = 1}));
  EXPECT_TRUE(validate({.tasks_in_flight = 4'194'304, .bytes_in_flight = UINT64_MAX, .encode_threads = 1024}));
}

TEST(Limits, SaysWhichLimitIsWrongAndWhatItWas) {
  const auto message = [](Limits limits) {
    const auto result = limits.validate();
    if (result) return std::string("valid");
    EXPECT_EQ(result.error().code, ErrorCode::usage);
    return result.error().context;
  };
  EXPECT_EQ(message({.tasks_in_flight = 0}), "tasks in flight must be 1 to 4194304, not 0");
  EXPECT_EQ(message({.tasks_in_flight = 4'194'305}), "tasks in flight must be 1 to 4194304, not 4194305");
  EXPECT_EQ(message({.bytes_in_flight = 1048575}), "bytes in flight must be at least 1048576, not 1048575");
  EXPECT_EQ(message({.encode_threads = 1025}), "encode threads must be 0 to 1024, not 1025");
}

}  // namespace
}  // namespace pawl

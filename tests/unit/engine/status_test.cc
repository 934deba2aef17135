#include <gtest/gtest.h>

#include <pawl/status.h>

namespace pawl {
namespace {

TEST(Status, DifferencesAddUpToWhatIsInFlight) {
  Status status;
  status.admitted = 100;
  status.saved = 90;
  status.called = 70;
  status.ordered = 60;
  status.retired = 55;
  EXPECT_EQ(status.in_flight(), 45u);
  EXPECT_EQ(status.saving(), 10u);
  EXPECT_EQ(status.in_call_stage(), 20u);
  EXPECT_EQ(status.ordering(), 10u);
  EXPECT_EQ(status.committing(), 5u);
  EXPECT_EQ(status.saving() + status.in_call_stage() + status.ordering() + status.committing(), status.in_flight());
}

}  // namespace
}  // namespace pawl

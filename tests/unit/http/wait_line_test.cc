#include "wait_line.h"

#include <deque>
#include <vector>

#include <gtest/gtest.h>

namespace pawl::http {
namespace {

class WaitLineTest : public ::testing::Test {
 protected:
  Call& call(WaitLine& line, const std::string& origin) {
    Call& made = calls_.emplace_back();
    made.host = &line.enter(origin);
    return made;
  }
  std::deque<Call> calls_;
};

TEST_F(WaitLineTest, KeepsOrderWhereNobodyIsFull) {
  WaitLine line(0);
  line.enter("a").warm = true;
  Call& first = call(line, "a");
  Call& second = call(line, "a");
  line.push(first);
  line.push(second);
  EXPECT_EQ(line.size(), 2u);
  EXPECT_EQ(line.next(), &first);
  EXPECT_EQ(line.next(), &second);
  EXPECT_EQ(line.next(), nullptr);
  EXPECT_EQ(line.size(), 0u);
}

TEST_F(WaitLineTest, FullHostHoldsNobodyUp) {
  WaitLine line(1);
  Call& busy = call(line, "slow");
  Call& parked = call(line, "slow");
  Call& other = call(line, "quick");
  for (Call* c : {&busy, &parked, &other}) line.push(*c);
  EXPECT_EQ(line.next(), &busy);
  EXPECT_EQ(line.next(), &other);
  EXPECT_EQ(line.next(), nullptr);
  EXPECT_FALSE(line.ready());
  EXPECT_EQ(line.size(), 1u);
  line.end(*busy.host);
  EXPECT_TRUE(line.ready());
  EXPECT_EQ(line.next(), &parked);
}

TEST_F(WaitLineTest, ColdHostGetsOneCallUntilAConnectionStands) {
  WaitLine line(3);
  std::vector<Call*> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(&call(line, "a"));
    line.push(*all.back());
  }
  EXPECT_EQ(line.next(), all[0]);
  EXPECT_EQ(line.next(), nullptr);
  line.warm(*all[0]->host);
  EXPECT_EQ(line.next(), all[1]);
  EXPECT_EQ(line.next(), all[2]);
  EXPECT_EQ(line.next(), nullptr);
  EXPECT_EQ(all[0]->host->active, 3u);
}

TEST_F(WaitLineTest, TriedCallsGoAheadOfNewOnes) {
  WaitLine line(0);
  Call& fresh = call(line, "a");
  Call& tried = call(line, "b");
  line.push(fresh);
  line.push_again(tried);
  EXPECT_EQ(line.next(), &tried);
  EXPECT_EQ(line.next(), &fresh);
}

TEST_F(WaitLineTest, DrainGivesEveryCallOnceAndFreesTheHosts) {
  WaitLine line(2);
  Call& active = call(line, "a");
  line.push(active);
  ASSERT_EQ(line.next(), &active);
  for (int i = 0; i < 4; ++i) line.push(call(line, "a"));
  EXPECT_EQ(line.next(), nullptr);  // parks them
  line.warm(*active.host);          // one of them is resumed
  line.push(call(line, "b"));
  line.push_again(call(line, "b"));
  std::vector<Call*> given;
  line.drain([&](Call& c) { given.push_back(&c); });
  EXPECT_EQ(given.size(), 6u);
  EXPECT_EQ(line.size(), 0u);
  EXPECT_FALSE(line.ready());
  EXPECT_EQ(active.host->active, 1u);
}

TEST_F(WaitLineTest, ForgetsIdleHostsBeyondItsBound) {
  WaitLine line(0);
  for (std::size_t i = 0; i < WaitLine::kIdleHostsMax; ++i) {
    EXPECT_FALSE(line.leave(line.enter("host" + std::to_string(i))));
  }
  EXPECT_TRUE(line.leave(line.enter("one more")));
}

}  // namespace
}  // namespace pawl::http

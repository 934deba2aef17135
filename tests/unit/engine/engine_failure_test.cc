#include <atomic>
#include <set>

#include "engine_rig.h"

namespace pawl::test {
namespace {

TEST(Engine, TaskBehindAnUnfinishedOneIsNeverCommitted) {
  RigOptions options;
  options.call.seed = test_seed();
  options.call.answer = [](const Task& task) {
    return task.request.id == "30" && task.request.stream == "broken" ? Answer::unfinished : Answer::ok;
  };
  std::map<std::string, std::string> reasons;
  options.on_retire = [&](const Task& task) {
    if (task.error) reasons[task.request.id] = task.error->context;
  };
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  for (const auto& id : ids(100)) {
    submit(producer, "broken", id);
    submit(producer, "whole", id);
  }
  rig.engine->flush();
  submit(producer, "broken", "after the flush");
  rig.engine->flush();
  EXPECT_EQ(rig.committed()["broken"], ids(30));
  EXPECT_EQ(rig.committed()["whole"], ids(100));
  EXPECT_EQ(reasons.size(), 71u);
  EXPECT_EQ(reasons["30"], "the call could not be made");
  EXPECT_EQ(reasons["31"], "an earlier task of its stream is unfinished");
  EXPECT_TRUE(reasons.contains("after the flush"));
}

TEST(Engine, FailedAnswersAreResultsAndAreCommitted) {
  RigOptions options;
  options.call.answer = [](const Task& task) {
    if (task.request.id == "1") return Answer::http_error;
    return task.request.id == "2" ? Answer::no_response : Answer::ok;
  };
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  for (const auto& id : ids(4)) submit(producer, "s", id);
  rig.engine->flush();
  EXPECT_EQ(rig.committed()["s"], ids(4));
  const Status status = rig.engine->status();
  EXPECT_EQ(status.committed, 4u);
  EXPECT_EQ(status.failed, 2u);
  EXPECT_EQ(status.unfinished, 0u);
}

TEST(Engine, TaskThatCannotBeSavedIsNotCalled) {
  RigOptions options;
  options.save.fail_from = 40;
  std::atomic<std::uint64_t> io{0};
  options.on_retire = [&](const Task& task) { io += task.error && task.error->code == ErrorCode::io; };
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  for (const auto& id : ids(100)) submit(producer, "s" + id, id);  // a stream each, so none is given up for another
  rig.engine->flush();
  EXPECT_EQ(rig.call->called(), 40u);
  EXPECT_EQ(io.load(), 60u);
  EXPECT_EQ(rig.commit->committed().size(), 40u);
  EXPECT_EQ(rig.save->released(), 40u);
}

TEST(Engine, RefusedCommitOfOneTaskDoesNotDisturbOthers) {
  RigOptions options;
  options.commit.refuse = [](const Task& task) { return task.request.id == "7"; };
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  for (const auto& id : ids(50)) submit(producer, "s", id);
  rig.engine->flush();
  auto expected = ids(50);
  expected.erase(expected.begin() + 7);
  EXPECT_EQ(rig.committed()["s"], expected);
  EXPECT_EQ(rig.engine->status().unfinished, 1u);
  EXPECT_EQ(rig.save->released(), 49u);
}

TEST(Engine, EngineOutlivesACommitStageThatRefusesEverything) {
  RigOptions options;
  options.limits.tasks_in_flight = 8;
  options.commit.refuse = [](const Task&) { return true; };
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  for (const auto& id : ids(100)) submit(producer, "s", id);
  rig.engine->close();
  EXPECT_EQ(rig.engine->status().unfinished, 100u);
  EXPECT_EQ(rig.save->released(), 0u);
}

Recovered recovered(const std::string& stream, const std::string& id, bool answered) {
  Recovered made;
  made.request = request(stream, id);
  made.save_mark = 5;
  if (answered) {
    made.outcome.kind = Outcome::Kind::answered;
    made.outcome.status_code = 200;
    made.outcome.body = "from the journal";
    made.answer_mark = 6;
  }
  return made;
}

TEST(Engine, RecoveredTasksSkipSaveAndAnsweredOnesTheCallToo) {
  std::map<std::string, std::string> bodies;
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> marks;
  std::set<std::string> called;
  RigOptions options;
  options.call.on_begin = [&](const Task& task) { called.insert(task.request.id); };
  options.on_retire = [&](const Task& task) {
    bodies[task.request.id] = task.outcome.body;
    marks[task.request.id] = {task.save_mark, task.answer_mark};
  };
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  for (const auto& id : ids(20)) {
    Recovered task = recovered("s", id, std::stoi(id) % 2 == 0);
    ASSERT_EQ(producer.submit_recovered(task), Admission::accepted);
  }
  submit(producer, "s", "20");
  rig.engine->flush();
  EXPECT_EQ(rig.committed()["s"], ids(21));
  EXPECT_EQ(rig.save->saved(), 1u);     // the new one
  EXPECT_EQ(rig.save->answers(), 11u);  // the odd ones and the new one
  EXPECT_EQ(rig.save->released(), 21u);
  EXPECT_EQ(called.size(), 11u);
  EXPECT_FALSE(called.contains("0"));
  EXPECT_EQ(bodies["0"], "from the journal");
  EXPECT_EQ(bodies["1"], "rr");
  EXPECT_EQ(marks["0"], (std::pair<std::uint64_t, std::uint64_t>{5, 6}));
  EXPECT_EQ(rig.engine->status().bytes_in_flight, 0u);
}

TEST(Engine, SlotsKeepNothingOfTheTaskBefore) {
  RigOptions options;
  options.limits.tasks_in_flight = 1;  // one slot for all
  options.call.answer = [](const Task& task) {
    return task.request.id == "refused" ? Answer::no_response : Answer::ok;
  };
  std::vector<std::string> seen;
  options.commit.unchanged = [](const Task& task) { return task.request.id == "old"; };
  options.on_retire = [&](const Task& task) {
    seen.push_back(task.request.id + " " + std::to_string(task.outcome.status_code) + " " + task.outcome.error_code +
                   (task.unchanged ? " unchanged" : ""));
  };
  Rig rig(std::move(options));
  Producer producer = rig.engine->producer();
  Recovered old = recovered("a", "old", true);
  ASSERT_EQ(producer.submit_recovered(old), Admission::accepted);
  submit(producer, "b", "refused");
  submit(producer, "c", "new");
  rig.engine->flush();
  EXPECT_EQ(seen, (std::vector<std::string>{"old 200  unchanged", "refused 0 connect_failed", "new 200 "}));
  EXPECT_EQ(rig.call->called(), 2u);
  EXPECT_EQ(rig.save->saved(), 2u);
}

}  // namespace
}  // namespace pawl::test

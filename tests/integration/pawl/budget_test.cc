// Budgets, and streams whose calls must not overlap, as a user meets them: the real tool against real sockets, its
// messages, exit codes and what is left.
#include <condition_variable>
#include <mutex>
#include <set>

#include "scripted_server.h"
#include "tool.h"

namespace pawl::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class PawlBudget : public PawlTool {
 protected:
  void start(const std::string& latency = "0") {
    mockapi::Options options;
    options.latency = *mockapi::Latency::parse(latency);
    server_ = serve(options);
    file_ = input("in.jsonl", batch_lines(kTasks, 3, 7, asked_));
  }
  Process& resume(std::vector<std::string> more = {}) {
    std::vector<std::string> words = pawl({"resume", repo().string()});
    words.insert(words.end(), more.begin(), more.end());
    resumed_ = std::make_unique<Process>(words);
    return *resumed_;
  }
  void expect_finished() {
    expect_exactly_once_in_order(repo(), asked_);
    expect_sound(repo());
    EXPECT_TRUE(!std::filesystem::exists(journal()) || std::filesystem::is_empty(journal()));
  }
  /// The records of the work tree.
  std::vector<std::string> records() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(repo()))
      if (entry.path().extension() == ".json") found.push_back(read_file(entry.path()));
    return found;
  }
  std::string file_;
  Asked asked_;
  std::unique_ptr<Process> resumed_;
};

TEST_F(PawlBudget, CallsStopExactlyAndResumeGoesOnWithABudgetOfItsOwn) {
  start();
  Process run(run_words(file_, {"--budget-calls", "25", "--parallel-max", "8"}));
  EXPECT_EQ(run.wait(), 7) << run.err();
  EXPECT_EQ(server_->stats().calls, 25u);
  EXPECT_THAT(run.err(), AllOf(HasSubstr("--budget-calls 25 is spent: 25 calls in "), HasSubstr("pawl resume ")));
  EXPECT_EQ(resume().wait(), 7) << "the setting is remembered" << resumed_->err();
  EXPECT_EQ(server_->stats().calls, 50u);
  EXPECT_EQ(resume({"--budget-calls", "10"}).wait(), 0) << "just enough: " << resumed_->err();
  EXPECT_THAT(resumed_->err(), Not(HasSubstr("is spent")));
  EXPECT_EQ(server_->stats().calls, kTasks);
  expect_finished();
}

TEST_F(PawlBudget, TokensStopAndTheLastWordsSayHowManyWereSpent) {
  start();
  Process run(run_words(file_, {"--budget-tokens", "200", "--parallel-max", "1", "--progress", "json"}));
  EXPECT_EQ(run.wait(), 7) << run.err();
  std::uint64_t spent = 0;
  simdjson::dom::parser parser;
  for (const auto& text : records())
    spent += parser.parse(text)["response"]["body"]["usage"]["total_tokens"].get_uint64().value_unsafe();
  EXPECT_GE(spent, 200u);
  EXPECT_LT(spent, 300u) << "the one call on its way comes on top";
  EXPECT_THAT(run.err(), HasSubstr(fmt::format("--budget-tokens 200 is spent: {} calls and {} tokens in ",
                                               server_->stats().calls, spent)));
  EXPECT_EQ(resume({"--budget-tokens", "0"}).wait(), 0) << resumed_->err();
  expect_finished();
}

TEST_F(PawlBudget, TokensAreReadWhereTheOptionSays) {
  start();
  Process run(run_words(
      file_, {"--budget-tokens", "3", "--budget-tokens-by", "/usage/completion_tokens", "--parallel-max", "1"}));
  EXPECT_EQ(run.wait(), 7) << run.err();
  EXPECT_LE(server_->stats().calls, 3u);
  Process nowhere(run_words(file_, {"--budget-tokens", "3", "--budget-tokens-by", "/no/such"}));
  EXPECT_EQ(nowhere.wait(), 0) << nowhere.err();
  EXPECT_THAT(nowhere.err(), HasSubstr("no number at /no/such"));
  expect_finished();
  Process wrong(run_words(file_, {"--budget-tokens", "3", "--budget-tokens-by", "usage"}));
  EXPECT_EQ(wrong.wait(), 2);
  EXPECT_THAT(wrong.err(), HasSubstr("JSON pointer"));
}

TEST_F(PawlBudget, TimeEndsARunThatWaitsForInputToo) {
  start();
  Process::Options options;
  options.pipe_input = true;
  Process run(run_words("-", {"--budget-time", "300ms"}), options);
  run.write_input(batch_line("first", "s", "q"));
  EXPECT_EQ(run.wait(), 7) << run.err();
  EXPECT_THAT(run.err(), HasSubstr("--budget-time 300ms is spent"));
}

TEST_F(PawlBudget, TimeLetsWhatIsOnItsWayFinish) {
  start("1s");
  Process run(run_words(file_, {"--budget-time", "1s", "--parallel-max", "2"}));
  EXPECT_EQ(run.wait(), 7) << run.err();
  const auto calls = server_->stats().calls;
  EXPECT_EQ(records().size(), calls) << "what was called is committed";
  EXPECT_LT(calls, kTasks);
  server_.reset();
}

// However slow the machine: a bound within which the run can be paused is looked for.
TEST_F(PawlBudget, TimeInWhichThePersonHasPausedTheRunDoesNotCount) {
  start();
  simdjson::dom::parser parser;
  const auto time_of = [&](const char* group, const char* field) -> std::uint64_t {
    Process look(pawl({"status", repo().string(), "--json"}));
    if (look.wait() != 0) return 0;
    const auto seen = parser.parse(look.out());
    return (*group == '\0' ? seen[field] : seen[group][field]).get_uint64().value();
  };
  const auto say = [&](const char* what) { return Process(pawl({"ctl", repo().string(), what})).wait(); };
  for (std::uint64_t bound_ms = 500; bound_ms < 60'000; bound_ms *= 2) {
    Process::Options options;
    options.pipe_input = true;
    Process run(run_words("-", {"--budget-time", fmt::format("{}ms", bound_ms)}), options);
    run.write_input(batch_line("first", "s", "q"));
    ASSERT_TRUE(eventually([&] { return run.ended() || say("pause") == 0; }));
    const auto counted = time_of("budget", "time_ms");
    if (run.ended() || counted == 0 || counted >= bound_ms) continue;
    ASSERT_TRUE(eventually([&] { return run.ended() || time_of("", "elapsed_ms") > bound_ms + 100; }));
    ASSERT_FALSE(run.ended()) << run.err();
    EXPECT_EQ(time_of("budget", "time_ms"), counted) << "it is paused";
    EXPECT_THAT(run.err(), Not(HasSubstr("is spent")));
    EXPECT_EQ(say("resume"), 0);
    EXPECT_EQ(run.wait(), 7) << run.err();
    EXPECT_THAT(run.err(), HasSubstr(fmt::format("--budget-time {}ms is spent", bound_ms)));
    return;
  }
  FAIL() << "no run could be paused within its bound";
}

class PawlSerial : public PawlTool {
 protected:
  static constexpr std::size_t kStreams = 50, kEach = 8;

  /// The id that a line's question repeats.
  static std::string id_in(const SeenRequest& request) {
    const auto begin = request.body.find("id:") + 3;
    return request.body.substr(begin, request.body.find('"', begin) - begin);
  }
  std::string handle(const SeenRequest& request, Connection& connection) {
    const std::string id = id_in(request);
    const std::string stream = id.substr(0, id.find('/'));
    std::unique_lock lock(mutex_);
    if (!active_.insert(stream).second) overlapped_.insert(stream);
    const int attempt = ++attempts_[id];
    if (attempt == 1) order_[stream].push_back(id);
    // The first calls wait for each other: all streams overlap.
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::seconds{120}, [&] { return order_.size() >= kStreams; });
    lock.unlock();
    static_cast<void>(connection.pause(std::chrono::milliseconds{2}));  // so that calls that could overlap do
    lock.lock();
    active_.erase(stream);
    if (failing_.contains(id)) return response(404, "{}", "Content-Type: application/json\r\n");
    const bool again = attempt == 1 && id.back() == '3';
    return response(again ? 503 : 200, "{}", "Content-Type: application/json\r\n");
  }
  /// Ids `STREAM/NUMBER` in an order that mixes the streams.
  std::string lines(std::size_t from, std::size_t to) const {
    std::string text;
    for (std::size_t i = from; i < to; ++i)
      for (std::size_t s = 0; s < kStreams; ++s) {
        const std::string id = fmt::format("s{}/{}", s, i);
        text += batch_line(id, fmt::format("s{}", s), "id:" + id);
      }
    return text;
  }
  std::vector<std::string> words(const std::vector<std::string>& files, std::vector<std::string> more = {}) {
    std::vector<std::string> all = pawl({"run", "--repo", repo().string(), "--retry-delay", "5ms", "--stream-serial",
                                         "--base-url", scripted_.url("/v1"), "--parallel-max", "64"});
    all.insert(all.end(), files.begin(), files.end());
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  /// Ids in the order in which the branch has them.
  Asked committed() const {
    Asked found;
    for (const auto& commit : committed_records(repo()))
      for (const auto& record : commit) found[record.stream].push_back(record.id);
    return found;
  }
  std::set<std::string> overlapped() {
    const std::lock_guard lock(mutex_);
    return overlapped_;
  }
  Asked order() {
    const std::lock_guard lock(mutex_);
    return order_;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> active_, overlapped_, failing_;
  std::map<std::string, int> attempts_;
  Asked order_;
  ScriptedServer scripted_{[this](Connection& connection) {
    while (const auto request = connection.read_request())
      if (!connection.send(handle(*request, connection))) return;
  }};
};

// Two inputs feed the same streams: what counts is the order in which they were taken, which is that of the branch.
TEST_F(PawlSerial, OneCallOfAStreamAtATimeInTheOrderOfTheBranchFromTwoInputs) {
  Process run(words({input("a.jsonl", lines(0, kEach / 2)), input("b.jsonl", lines(kEach / 2, kEach))}));
  ASSERT_EQ(run.wait(), 0) << run.err();
  const Asked called = order();
  EXPECT_EQ(called.size(), kStreams);
  for (const auto& [stream, ids] : called) EXPECT_EQ(ids.size(), kEach) << stream;
  EXPECT_EQ(called, committed());
  EXPECT_TRUE(overlapped().empty());
  expect_sound(repo());
}

TEST_F(PawlSerial, GoesOnInOrderAfterABudgetAndAfterAKill) {
  const std::string file = input("in.jsonl", lines(0, kEach));
  Process run(words({file}, {"--budget-calls", "120"}));
  ASSERT_EQ(run.wait(), 7) << run.err();
  Process killed(pawl({"resume", repo().string(), "--budget-calls", "0"}));
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex_);
    return attempts_.size() > 200;
  }));
  killed.signal(SIGKILL);
  killed.wait();
  EXPECT_TRUE(overlapped().empty());
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex_);
    return active_.empty();  // what died with it has been seen to its end
  }));
  Process rest(pawl({"resume", repo().string()}));
  ASSERT_EQ(rest.wait(), 0) << rest.err();
  Process same(words({file}));
  ASSERT_EQ(same.wait(), 0) << same.err();
  Asked asked;
  for (std::size_t s = 0; s < kStreams; ++s)
    for (std::size_t i = 0; i < kEach; ++i) asked[fmt::format("s{}", s)].push_back(fmt::format("s{}/{}", s, i));
  EXPECT_EQ(order(), asked);
  EXPECT_TRUE(overlapped().empty());
  expect_exactly_once_in_order(repo(), asked);
}

TEST_F(PawlSerial, DoesNotGoOnPastAHeldFailure) {
  {
    const std::lock_guard lock(mutex_);
    failing_ = {"s7/2"};
  }
  const std::string file = input("in.jsonl", lines(0, kEach));
  Process run(words({file}, {"--on-failure", "hold"}));
  ASSERT_EQ(run.wait(), 7) << run.err();
  EXPECT_THAT(run.err(), HasSubstr("stream s7, id s7/2: status 404"));
  EXPECT_EQ(order()["s7"], (std::vector<std::string>{"s7/0", "s7/1", "s7/2"}));
  EXPECT_EQ(order()["s8"].size(), kEach);
  {
    const std::lock_guard lock(mutex_);
    failing_.clear();
  }
  Process resume(pawl({"resume", repo().string()}));
  ASSERT_EQ(resume.wait(), 0) << resume.err();
  Process same(words({file}));
  ASSERT_EQ(same.wait(), 0) << same.err();
  EXPECT_EQ(order(), committed());
}

}  // namespace
}  // namespace pawl::test

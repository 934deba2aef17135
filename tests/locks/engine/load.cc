#include "load.h"

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "call_counter.h"

namespace pawl::locks {
namespace {

/// A stage that gives tasks back at once, after `Touch` has done to each what the port asks.
template <class Port, auto Touch>
class NoOp : public Port {
 public:
  void attach(StageSink& sink) override { sink_ = &sink; }
  void take(std::span<Task* const> tasks) noexcept override {
    for (Task* task : tasks) Touch(*task);
    sink_->done(tasks);
  }
  void cancel(Cancel) noexcept override {}
  void stop() noexcept override {}

 private:
  StageSink* sink_ = nullptr;
};

constexpr auto kSave = [](Task& task) { task.saved = true; };
constexpr auto kCall = [](Task& task) {
  task.outcome.kind = Outcome::Kind::answered;
  task.outcome.body.assign("an answer that is too long to be kept inside a std::string");
};
/// A call stage that can be told to keep tasks, and then gives them back one by one.
class HoldingCall final : public NoOp<Stage, kCall> {
 public:
  explicit HoldingCall(std::size_t most) { kept_.reserve(most); }
  void take(std::span<Task* const> tasks) noexcept override {
    if (!holding_.load(std::memory_order_acquire)) return NoOp::take(tasks);
    kept_.insert(kept_.end(), tasks.begin(), tasks.end());
    count_.fetch_add(tasks.size(), std::memory_order_release);  // release [H1]
  }
  void hold() noexcept { holding_.store(true, std::memory_order_release); }
  [[nodiscard]] std::size_t held() const noexcept { return count_.load(std::memory_order_acquire); }  // acquire [H1]
  /// Gives back what is held; `after(n)` is called after the n-th. Nothing comes in meanwhile.
  template <class After>
  void give_back(After&& after) {
    holding_.store(false, std::memory_order_release);
    std::size_t given = 0;
    for (Task* task : std::exchange(kept_, {})) {
      NoOp::take({&task, 1});
      after(++given);
    }
    count_.store(0, std::memory_order_release);
  }

 private:
  std::atomic<bool> holding_{false};
  std::vector<Task*> kept_;            // take() alone, then give_back() alone: [H1]
  std::atomic<std::size_t> count_{0};  // how many are kept
};

constexpr auto kCommit = [](Task& task) { task.committed = true; };

class NoSave final : public NoOp<SaveStage, kSave> {
 public:
  void note_answers(std::span<Task* const>) noexcept override {}
  void release(std::span<Task* const>) noexcept override {}
};

class PlantedCommit final : public NoOp<Stage, kCommit> {
 public:
  explicit PlantedCommit(void (*planted)()) : planted_(planted) {}
  void take(std::span<Task* const> tasks) noexcept override {
    if (planted_ != nullptr) planted_();
    NoOp::take(tasks);
  }

 private:
  void (*planted_)();
};

/// Holds whoever comes by while it is shut.
class Gate {
 public:
  void shut() noexcept { shut_.store(1, std::memory_order_release); }
  void open() noexcept {
    shut_.store(0, std::memory_order_release);
    shut_.notify_all();
  }
  void pass() noexcept {
    if (shut_.load(std::memory_order_acquire) == 0) return;
    held_.fetch_add(1, std::memory_order_release);
    shut_.wait(1, std::memory_order_acquire);
    held_.fetch_sub(1, std::memory_order_release);
  }
  void wait_until_held(std::uint32_t count) const noexcept {
    while (held_.load(std::memory_order_acquire) != count) std::this_thread::yield();
  }

 private:
  std::atomic<std::uint32_t> shut_{0};  // 1: shut; written by who warms up
  std::atomic<std::uint32_t> held_{0};  // how many wait
};

class GatedEncoder final : public Encoder {
 public:
  explicit GatedEncoder(Gate& gate) : gate_(gate) {}
  void encode(Task&) noexcept override { gate_.pass(); }

 private:
  Gate& gate_;
};

/// What retires, by producer and stream: once each, in order. One caller at a time.
class Ledger {
 public:
  explicit Ledger(const Load& load) : streams_(load.streams), next_(load.producers * load.streams, 0) {}
  void note(const Task& task) noexcept {
    const Request& request = task.request;
    ++count_;
    wrong_ += !task.committed;
    if (streams_ == 0) return;
    std::uint64_t& next = next_[request.digest[0] * streams_ + request.task_id.ordinal];
    wrong_ += request.position != next++;
  }
  [[nodiscard]] std::string fault(std::uint64_t submitted) const {
    if (wrong_ != 0) return std::to_string(wrong_) + " tasks out of order or not committed";
    if (count_ != submitted) return std::to_string(submitted) + " submitted, " + std::to_string(count_) + " retired";
    return {};
  }

 private:
  std::size_t streams_;
  std::vector<std::uint64_t> next_;  // position expected next
  std::uint64_t count_ = 0, wrong_ = 0;
};

/// One producer's requests: every stream once, then streams drawn at random.
class Source {
 public:
  Source(std::size_t who, const std::vector<std::string>& names)
      : who_(who), names_(names), next_(names.size(), 0), random_(who * 2 + 88172645463325252ull) {}
  void fill(Request& request) {
    request.id = "an id that is too long to be kept inside a std::string";
    request.body = "a body that is too long to be kept inside a std::string, and longer than the id";
    request.digest[0] = static_cast<std::uint8_t>(who_);
    if (names_.empty())
      name_afresh(request);
    else
      draw(request);
    ++count_;
  }

 private:
  void draw(Request& request) {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    const std::size_t stream = count_ < names_.size() ? count_ : (random_ >> 20) % names_.size();
    request.stream = names_[stream];
    request.task_id.ordinal = stream;
    request.position = next_[stream]++;
  }
  void name_afresh(Request& request) const {
    std::array<char, 20> digits{};
    const auto end = std::to_chars(digits.begin(), digits.end(), count_ * 256 + who_).ptr;
    request.stream = "a stream for one task, number ";
    request.stream.append(digits.begin(), end);
  }

  std::size_t who_;
  const std::vector<std::string>& names_;
  std::vector<std::uint64_t> next_;
  std::uint64_t random_, count_ = 0;
};

/// One submitting thread. What has been filled and not yet accepted is kept for the next call.
class Feeder {
 public:
  Feeder(Engine& engine, const Load& load, std::size_t who, const std::vector<std::string>& names)
      : producer_(engine.producer()), source_(who, names), way_(load.way), lot_(kLot) {
    for (Request& request : lot_) source_.fill(request);
  }
  /// Submits what it can in this load's way; false if that was nothing.
  bool submit_some() {
    if (way_ != Way::bulk) return note_sent(submit_one());
    return note_sent(producer_.submit_bulk(std::span(lot_).subspan(sent_)));
  }
  /// One, without waiting.
  bool touch_one() { return note_sent(producer_.try_submit(lot_[sent_]) == Admission::accepted); }

  [[nodiscard]] std::uint64_t submitted() const noexcept { return submitted_; }

 private:
  static constexpr std::size_t kLot = 64;

  std::size_t submit_one() {
    Request& request = lot_[sent_];
    const Admission admission = way_ == Way::waiting ? producer_.submit(request) : producer_.try_submit(request);
    return admission == Admission::accepted ? 1 : 0;
  }
  bool note_sent(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) source_.fill(lot_[sent_ + i]);
    submitted_ += count;
    // A bulk that was cut short is followed by one that begins where it ended: order within a stream.
    sent_ = (sent_ + count) % lot_.size();
    return count != 0;
  }

  Producer producer_;
  Source source_;
  const Way way_;
  std::vector<Request> lot_;  // a ring: the next to go is at sent_, all are filled
  std::size_t sent_ = 0;
  std::uint64_t submitted_ = 0;
};

/// Counts while `load.tasks` retire; called by the first producer between its submits.
class Window {
 public:
  Window(const Engine& engine, const Load& load) : engine_(engine), load_(load) {}
  /// True when it is over.
  bool look() noexcept {
    const std::uint64_t retired = engine_.status().retired;
    const auto now = std::chrono::steady_clock::now();
    if (!begun_ && retired >= kWarmTasks) {
      begun_ = true;
      from_ = retired;
      begin_ = now;
      begin_counting();
    } else if (begun_ && retired - from_ >= load_.tasks) {
      end_counting();
      ran_.tasks = retired - from_;
      ran_.seconds = std::chrono::duration<double>(now - begin_).count();
      return true;
    }
    return false;
  }
  [[nodiscard]] Ran& ran() noexcept { return ran_; }

 private:
  static constexpr std::uint64_t kWarmTasks = 100'000;  // oneTBB and the queues have grown to what they need
  const Engine& engine_;
  const Load& load_;
  bool begun_ = false;
  std::uint64_t from_ = 0;
  std::chrono::steady_clock::time_point begin_;
  Ran ran_;
};

constexpr std::uint32_t kWorkers = 2;

/// Fills the pipeline to the brim in each way that takes memory of its own, so that later it needs no more.
class Brim {
 public:
  Brim(Engine& engine, HoldingCall& call, Gate& gate) : engine_(engine), call_(call), gate_(gate) {}

  /// All tasks in the intake queue at once, all of one producer; each slot and its buffers used.
  void fill_intake(Feeder& feeder) {
    feeder.touch_one();  // so that each time begins one place further on in the queue's blocks
    engine_.flush();
    gate_.shut();
    for (std::uint32_t held = 1; held <= kWorkers; ++held) {
      feeder.touch_one();
      gate_.wait_until_held(held);  // the last one held, nobody empties the queue
    }
    while (feeder.touch_one()) {
    }
    gate_.open();
    engine_.flush();
  }
  /// Each task in a batch of its own.
  void fill_batches(Feeder& feeder) {
    call_.hold();
    std::size_t count = 0;
    while (feeder.touch_one()) ++count;
    while (call_.held() != count) std::this_thread::yield();
    gate_.shut();
    call_.give_back([&](std::size_t given) {
      if (given <= kWorkers) gate_.wait_until_held(static_cast<std::uint32_t>(given));
    });
    gate_.open();
    engine_.flush();
  }

 private:
  Engine& engine_;
  HoldingCall& call_;
  Gate& gate_;  // in the encoder
};

}  // namespace

Ran run(const Load& load) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < load.streams; ++i)
    names.push_back("a stream whose name is not kept inside, number " + std::to_string(100'000 + i));
  Ledger ledger(load);
  Gate gate;
  auto holding = std::make_unique<HoldingCall>(load.tasks_in_flight);
  HoldingCall& call = *holding;
  auto made = Engine::make({.tasks_in_flight = load.tasks_in_flight, .encode_threads = kWorkers},
                           {std::make_unique<NoSave>(), std::move(holding), std::make_unique<GatedEncoder>(gate),
                            std::make_unique<PlantedCommit>(load.in_commit)},
                           [&](const Task& task) { ledger.note(task); });
  if (!made) return {.fault = made.error().context};
  Engine& engine = **made;
  std::vector<std::unique_ptr<Feeder>> feeders;
  for (std::size_t i = 0; i < load.producers; ++i) feeders.push_back(std::make_unique<Feeder>(engine, load, i, names));
  Brim brim(engine, call, gate);
  // The queue's blocks hold 32, and from some places within one the same number of tasks touches one block more.
  for (int round = 0; round < 33; ++round)
    for (auto& feeder : feeders) brim.fill_intake(*feeder);
  brim.fill_batches(*feeders[0]);

  std::atomic<bool> over{false};
  const auto submit_for_ever = [&](Feeder& feeder, auto&& done) {
    for (std::uint64_t i = 0; !over.load(std::memory_order_relaxed); ++i) {  // relaxed: tells nothing else
      if (!feeder.submit_some()) std::this_thread::yield();
      if (i % 64 == 0 && done()) over.store(true, std::memory_order_relaxed);
    }
  };
  Window window(engine, load);
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < load.producers; ++i)
    threads.emplace_back([&, i] { submit_for_ever(*feeders[i], [] { return false; }); });
  submit_for_ever(*feeders[0], [&] { return window.look(); });
  for (auto& thread : threads) thread.join();
  engine.flush();

  std::uint64_t submitted = 0;
  for (const auto& feeder : feeders) submitted += feeder->submitted();
  window.ran().fault = ledger.fault(submitted);
  feeders.clear();  // producers go before their engine
  return std::move(window.ran());
}

}  // namespace pawl::locks

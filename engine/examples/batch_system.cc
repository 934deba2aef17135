// A larger batch system: it has threads and a shutdown of its own, feeds two pipelines, and shows their status with
// its own.
//
//   batch_system [JOBS [MILLISECONDS]]
//
// Four workers turn each job (1,000 by default) into two tasks: one for the pipeline "thumbnails", one for "mails",
// which fails for every 50th. Every MILLISECONDS (default 100) a line says how both stand. The first SIGINT drains:
// calls that run are finished and committed, the rest comes back unfinished; a second one aborts. At the end the
// program checks that every task it handed over is accounted for, each stream in order: exit code 0 if so.
#include <pawl/engine.h>
#include <pawl/inbox.h>
#include <pawl/plain_stages.h>

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

constexpr unsigned kWorkers = 4;

/// One pipeline and what this system knows of it.
class Pipeline {
 public:
  static std::unique_ptr<Pipeline> make(const char* name, pawl::StoppableCallFn call) {
    std::unique_ptr<Pipeline> made(new Pipeline(name));
    auto engine =
        pawl::Engine::make({.tasks_in_flight = 512, .encode_threads = 1},
                           {.save = pawl::save_nothing(),
                            .call = pawl::call_with(std::move(call), {.threads = 8}),
                            .commit = pawl::commit_with([p = made.get()](const pawl::Task& task) { p->store(task); })},
                           [p = made.get()](const pawl::Task& task) { p->retired(task); });
    if (!engine) {
      std::fprintf(stderr, "%s: %s\n", name, engine.error().context.c_str());
      return nullptr;
    }
    made->engine_ = std::move(*engine);
    return made;
  }

  pawl::Engine& engine() { return *engine_; }
  void count_submit() { submitted_.fetch_add(1, std::memory_order_relaxed); }

  /// One snapshot as text; any thread, at any time.
  std::string line() const {
    const pawl::Status s = engine_->status();
    char text[160];
    std::snprintf(text, sizeof text, "%s: %llu in, %llu in flight (%llu waiting, %llu calling), %llu done, %llu failed",
                  name_, static_cast<unsigned long long>(s.admitted), static_cast<unsigned long long>(s.in_flight()),
                  static_cast<unsigned long long>(s.call.waiting), static_cast<unsigned long long>(s.call.active),
                  static_cast<unsigned long long>(s.committed), static_cast<unsigned long long>(s.failed));
    return text;
  }

  /// After close(): everything that was handed over retired once, and what was stored was in order.
  bool adds_up() const {
    const pawl::Status s = engine_->status();
    const std::uint64_t submitted = submitted_.load(std::memory_order_relaxed);
    return s.in_flight() == 0 && s.admitted == submitted && s.committed + s.unfinished == submitted &&
           stored_ == s.committed && given_up_ == s.unfinished && out_of_order_ == 0;
  }
  std::uint64_t unfinished() const { return given_up_; }

 private:
  explicit Pipeline(const char* name) : name_(name) {}

  // On the commit thread. Between two tasks of a stream there may be a gap (given up), never a step back.
  void store(const pawl::Task& task) {
    ++stored_;
    const auto [last, first_of_stream] = last_.try_emplace(task.request.stream, task.request.position);
    if (!first_of_stream && task.request.position <= last->second) ++out_of_order_;
    last->second = task.request.position;
  }
  // On a worker of the engine, one call at a time: be quick.
  void retired(const pawl::Task& task) {
    if (task.fate == pawl::Fate::unfinished) ++given_up_;
  }

  const char* name_;
  std::atomic<std::uint64_t> submitted_{0};
  std::map<std::string, std::uint64_t> last_;
  std::uint64_t stored_ = 0, out_of_order_ = 0, given_up_ = 0;
  std::unique_ptr<pawl::Engine> engine_;  // last: goes first, and with it all that calls back
};

/// Takes as long as a remote service would; returns at once when the pipeline aborts. False: it does.
bool pause(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::atomic<std::uint32_t> stopped{0};
  const std::stop_callback told(stop, [&] {
    stopped.store(1, std::memory_order_release);
    pawl::wake_all(stopped);
  });
  const auto until = std::chrono::steady_clock::now() + time;
  while (stopped.load(std::memory_order_acquire) == 0 && std::chrono::steady_clock::now() < until)
    pawl::wait_on(stopped, 0, until);
  return stopped.load(std::memory_order_acquire) == 0;
}

// What the two pipelines do with a task. Left without an outcome after an abort, it comes back as cancelled.
void make_thumbnail(const pawl::Request& request, pawl::Outcome& outcome, const std::stop_token& stop) {
  if (pause(std::chrono::milliseconds(1), stop)) outcome.body = request.body.substr(0, 8);
}
void send_mail(const pawl::Request& request, pawl::Outcome& outcome, const std::stop_token& stop) {
  if (!pause(std::chrono::milliseconds(2), stop)) return;
  if (request.position % 50 == 49) throw std::runtime_error("the mailbox is full");
  outcome.body = "sent";
}

/// Hands jobs over until there are none left or a pipeline takes no more.
void work(unsigned worker, std::uint64_t jobs, Pipeline& thumbnails, Pipeline& mails) {
  pawl::Producer to_thumbnails = thumbnails.engine().producer();
  pawl::Producer to_mails = mails.engine().producer();
  pawl::Request request;
  const auto submit = [&](Pipeline& pipeline, pawl::Producer& producer, std::uint64_t job) {
    request.stream = "worker-" + std::to_string(worker);
    request.id = std::to_string(job);
    request.position = job;
    request.body = "the body of job " + request.id;
    if (producer.submit(request) != pawl::Admission::accepted) return false;
    pipeline.count_submit();
    return true;
  };
  for (std::uint64_t job = 0; job < jobs / kWorkers; ++job)
    if (!submit(thumbnails, to_thumbnails, job) || !submit(mails, to_mails, job)) return;
}

/// Shows both pipelines every `every`, and stops them on SIGINT. Ends on SIGUSR1.
void watch(const sigset_t& signals, std::chrono::milliseconds every, Pipeline& thumbnails, Pipeline& mails) {
  const timespec pause{.tv_sec = every.count() / 1000, .tv_nsec = every.count() % 1000 * 1'000'000};
  for (int interrupts = 0;;) {
    std::printf("%s | %s\n", thumbnails.line().c_str(), mails.line().c_str());
    std::fflush(stdout);
    const int signal = sigtimedwait(&signals, nullptr, &pause);
    if (signal == SIGUSR1) return;
    if (signal != SIGINT) continue;
    std::puts(++interrupts == 1 ? "draining; once more to abort" : "aborting");
    for (Pipeline* pipeline : {&thumbnails, &mails}) {
      if (interrupts == 1)
        pipeline->engine().drain();
      else
        pipeline->engine().abort();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t jobs = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1000;
  const std::chrono::milliseconds every(argc > 2 ? std::strtol(argv[2], nullptr, 10) : 100);

  // Before any thread starts, so that all of them leave these signals to the watcher.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const auto thumbnails = Pipeline::make("thumbnails", make_thumbnail);
  const auto mails = Pipeline::make("mails", send_mail);
  if (!thumbnails || !mails) return 1;

  std::thread watcher([&] { watch(signals, every, *thumbnails, *mails); });
  std::vector<std::thread> workers;
  for (unsigned worker = 0; worker < kWorkers; ++worker)
    workers.emplace_back([&, worker] { work(worker, jobs, *thumbnails, *mails); });

  for (std::thread& worker : workers) worker.join();  // producers are gone before the engine closes
  thumbnails->engine().close();
  mails->engine().close();
  pthread_kill(watcher.native_handle(), SIGUSR1);
  watcher.join();

  std::printf("%s | %s\n", thumbnails->line().c_str(), mails->line().c_str());
  std::printf("unfinished: %llu thumbnails, %llu mails\n", static_cast<unsigned long long>(thumbnails->unfinished()),
              static_cast<unsigned long long>(mails->unfinished()));
  return thumbnails->adds_up() && mails->adds_up() ? 0 : 1;
}

// Between submit and retire, under load, the engine takes no lock, makes no futex call and allocates nothing.
//
// What is counted is what the shared library calls: header-only code inlined into it, moodycamel's queue and oneTBB's
// templates, counts as the engine's. What libtbb, libc and libstdc++ do for themselves is printed, not judged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <memory>
#include <ostream>
#include <regex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "call_counter.h"
#include "load.h"
#include "planted.h"

namespace pawl::locks {
namespace {

constexpr std::string_view kEngine = "libpawl_engine";
constexpr std::string_view kPlanted = "libpawl_engine_planted";

constexpr std::array kLocks = {Call::mutex,          Call::rwlock,           Call::spin,
                               Call::condition_wait, Call::condition_signal, Call::semaphore};
constexpr std::array kLocksAndFutex = {Call::mutex,          Call::rwlock,           Call::spin,
                                       Call::condition_wait, Call::condition_signal, Call::semaphore,
                                       Call::futex_wait,     Call::futex_wake};
// Releases are printed and not judged: oneTBB's functions that free end in a call of free(), which then seems to come
// from whoever called them. If nobody but oneTBB allocates, only its memory can be freed.
constexpr std::array kAllocations = {Call::allocate};

bool is_engine(const LibraryCalls& library) { return std::string_view(library.name.data()).starts_with(kEngine); }

bool is_real_engine(const LibraryCalls& library) {
  return is_engine(library) && !std::string_view(library.name.data()).starts_with(kPlanted);
}

bool is_not_third_party(const LibraryCalls& library) {
  return !library.runtime && !std::string_view(library.name.data()).starts_with("libtbb");
}

const char* name_of(Call call) { return kCallNames[static_cast<std::size_t>(call)]; }

std::vector<Call> every_call() {
  std::vector<Call> calls;
  for (std::size_t i = 0; i < kCalls; ++i) calls.push_back(static_cast<Call>(i));
  return calls;
}

/// The name as one word, for the name of a test.
std::string word_of(Call call) {
  std::string word = name_of(call);
  std::ranges::replace(word, ' ', '_');
  return word;
}

/// One line for each kind of call that somebody judged here must not have made but did.
template <class Judged>
std::vector<std::string> found(std::span<const Call> forbidden, Judged&& judged) {
  std::vector<std::string> lines;
  for (const LibraryCalls& library : counted()) {
    if (!judged(library)) continue;
    for (const Call call : forbidden)
      if (const std::uint64_t count = library.count(call); count != 0)
        lines.push_back(std::string(library.name.data()) + ": " + name_of(call) + " " + std::to_string(count) +
                        " times");
  }
  return lines;
}

std::uint64_t count_of(std::string_view library_prefix, Call call) {
  std::uint64_t sum = 0;
  for (const LibraryCalls& library : counted())
    if (std::string_view(library.name.data()).starts_with(library_prefix)) sum += library.count(call);
  return sum;
}

/// Where in the engine's library the calls were made from.
void print_sites() {
  for (const CallSite& site : counted_sites())
    for (const LibraryCalls& library : counted())
      if (is_engine(library) && site.address() >= library.first && site.address() < library.past)
        std::printf("    %s+%#zx: %s %llu times\n", library.name.data(),
                    static_cast<std::size_t>(site.address() - library.first), name_of(site.call()),
                    static_cast<unsigned long long>(site.count.load(std::memory_order_relaxed)));
}

void print_table(const char* title, const Ran& ran) {
  std::printf("%s: %llu tasks, %.0f ns each\n", title, static_cast<unsigned long long>(ran.tasks),
              ran.seconds * 1e9 / static_cast<double>(ran.tasks));
  for (const LibraryCalls& library : counted()) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < kCalls; ++i) {
      const std::uint64_t count = library.count(static_cast<Call>(i));
      sum += count;
      if (count != 0)
        std::printf("  %-28s %-20s %9llu  %.6f a task\n", library.name.data(), kCallNames[i],
                    static_cast<unsigned long long>(count),
                    static_cast<double>(count) / static_cast<double>(ran.tasks));
    }
    if (sum == 0 && is_engine(library)) std::printf("  %-28s nothing\n", library.name.data());
  }
  print_sites();
  std::fflush(stdout);
}

struct Case {
  const char* name;
  Load load;
  friend std::ostream& operator<<(std::ostream& out, const Case& which) { return out << which.name; }
};

class EngineHotPath : public testing::TestWithParam<Case> {};

TEST_P(EngineHotPath, TakesNoLockAndAllocatesNothing) {
  const Load& load = GetParam().load;
  const Ran ran = run(load);
  ASSERT_EQ(ran.fault, "");
  ASSERT_GE(ran.tasks, load.tasks);
  print_table(GetParam().name, ran);
  ASSERT_TRUE(std::ranges::any_of(counted(), is_real_engine)) << "the engine is not a library of its own here";

  // The program and what is unknown as well: a function of the engine that ends in a call is taken for its caller.
  // A producer that finds no credit in submit() sleeps, having nothing to do, and is woken; otherwise nobody sleeps.
  const auto forbidden =
      load.way == Way::waiting ? std::span<const Call>(kLocks) : std::span<const Call>(kLocksAndFutex);
  EXPECT_THAT(found(forbidden, is_not_third_party), testing::IsEmpty());
  EXPECT_THAT(found(kAllocations, is_not_third_party), testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Loads, EngineHotPath,
                         testing::Values(Case{"one_64_streams", {.streams = 64, .way = Way::one}},
                                         Case{"one_10000_streams", {.streams = 10'000, .way = Way::one}},
                                         Case{"one_fresh_streams", {.streams = 0, .way = Way::one}},
                                         Case{"bulk_64_streams", {.streams = 64, .way = Way::bulk}},
                                         Case{"bulk_10000_streams", {.streams = 10'000, .way = Way::bulk}},
                                         Case{"waiting_64_streams", {.streams = 64, .way = Way::waiting}},
                                         Case{"waiting_10000_streams", {.streams = 10'000, .way = Way::waiting}}),
                         [](const auto& tested) { return std::string(tested.param.name); });

// ---- the counter itself, and that the check can fail

class CallCounter : public testing::TestWithParam<Call> {};

TEST_P(CallCounter, CountsEachCallOfTheLibraryThatMadeIt) {
  constexpr std::uint64_t kTimes = 1000;
  plant(GetParam());  // what a first call does besides
  begin_counting();
  for (std::uint64_t i = 0; i < kTimes; ++i) plant(GetParam());
  end_counting();
  plant(GetParam());
  EXPECT_EQ(count_of(kPlanted, GetParam()), kTimes);
  const std::array call = {GetParam()};
  EXPECT_THAT(found(call, is_not_third_party), testing::SizeIs(1)) << "counted elsewhere as well";
}

INSTANTIATE_TEST_SUITE_P(Calls, CallCounter, testing::ValuesIn(every_call()),
                         [](const auto& tested) { return word_of(tested.param); });

TEST(CallCounter, LooksThroughTheRuntimeForWhoeverCalledIt) {
  const std::string text(1000, 'x');
  begin_counting();
  const std::size_t size = plant_in_string(text);  // libstdc++ allocates
  end_counting();
  EXPECT_EQ(size, text.size());
  EXPECT_EQ(count_of(kPlanted, Call::allocate), 1u);
  EXPECT_EQ(count_of("libstdc++", Call::allocate), 0u);
}

template <Call kCall>
void plant_one() {
  plant(kCall);
}

struct Plant {
  Call call;
  void (*in_commit)();
};

class EngineCheck : public testing::TestWithParam<Plant> {};

TEST_P(EngineCheck, FindsWhatIsPlantedInTheCommitStage) {
  const Ran ran = run({.tasks = 100'000, .in_commit = GetParam().in_commit});
  ASSERT_EQ(ran.fault, "");
  const std::array wanted = {GetParam().call};
  const auto lines = found(wanted, is_not_third_party);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], testing::StartsWith(std::string(kPlanted)));
  EXPECT_THAT(lines[0], testing::HasSubstr(name_of(GetParam().call)));
}

INSTANTIATE_TEST_SUITE_P(Plants, EngineCheck,
                         testing::Values(Plant{Call::mutex, plant_one<Call::mutex>},
                                         Plant{Call::condition_signal, plant_one<Call::condition_signal>},
                                         Plant{Call::futex_wake, plant_one<Call::futex_wake>},
                                         Plant{Call::allocate, plant_one<Call::allocate>}),
                         [](const auto& tested) { return word_of(tested.param.call); });

// ---- what the library could call at all

std::vector<std::string> imports_of(const std::string& library) {
  const std::string command = std::string(PAWL_NM) + " -D --undefined-only " + library;
  const std::unique_ptr<FILE, int (*)(FILE*)> nm(::popen(command.c_str(), "r"), ::pclose);
  std::vector<std::string> names;
  char kind = 0;
  std::array<char, 4096> name{};
  while (nm && std::fscanf(nm.get(), " %c %4095s", &kind, name.data()) == 2) names.emplace_back(name.data());
  return names;
}

std::vector<std::string> locks_among(const std::vector<std::string>& imports) {
  static const std::regex lock(
      "pthread_(mutex|cond|rwlock|spin|barrier)_.*|sem_.*|mtx_.*|cnd_.*|.*condition_variable.*");
  std::vector<std::string> locks;
  std::ranges::copy_if(imports, std::back_inserter(locks),
                       [](const std::string& name) { return std::regex_match(name, lock); });
  return locks;
}

TEST(EngineLibrary, ImportsNoLock) {
  const auto imports = imports_of(PAWL_ENGINE_LIBRARY);
  ASSERT_THAT(imports, testing::Contains(testing::StartsWith("syscall")));  // that names were read at all
  EXPECT_THAT(locks_among(imports), testing::IsEmpty());
}

TEST(EngineLibrary, ImportOfALockWouldBeFound) {
  const auto locks = locks_among(imports_of(PAWL_PLANTED_LIBRARY));
  for (const char* name :
       {"pthread_mutex_lock", "pthread_rwlock_rdlock", "pthread_spin_lock", "pthread_cond_signal", "sem_trywait"})
    EXPECT_THAT(locks, testing::Contains(testing::StartsWith(name)));
}

}  // namespace
}  // namespace pawl::locks

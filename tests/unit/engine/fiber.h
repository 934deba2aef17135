// Fiber: a stack of its own to run something on, switched to and from by hand, all in one thread (ucontext).
//
// For the deterministic scheduler of stepped.h: a switch costs 0.17 µs (measured; most of it the system call with which
// swapcontext(3) keeps the signal mask), a hand-over between two threads 10 µs. A pair of _setjmp/_longjmp would take
// 0.02 µs, but fortified C libraries and shadow stacks refuse to jump between stacks. Stacks are kept for the next
// user. Known to AddressSanitizer and ThreadSanitizer through their fiber interfaces; under ThreadSanitizer a switch
// orders everything before it against everything after it. Not for code that blocks the thread or throws out of the
// fiber.
#pragma once

#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#define PAWL_FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PAWL_FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define PAWL_FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PAWL_FIBER_TSAN 1
#endif
#endif

#if defined(PAWL_FIBER_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(PAWL_FIBER_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace pawl::test {

class Fiber {
 public:
  using Entry = void (*)(void* with);
  static constexpr std::size_t kStackBytes = 256 * 1024;
#if defined(PAWL_FIBER_ASAN) || defined(PAWL_FIBER_TSAN)
  static constexpr bool kWatched = true;  // a sanitizer looks on
#else
  static constexpr bool kWatched = false;
#endif

  /// The running thread itself, to switch back to.
  Fiber() noexcept {
#if defined(PAWL_FIBER_ASAN)
    pthread_attr_t attributes;
    must(pthread_getattr_np(pthread_self(), &attributes) == 0);
    must(pthread_attr_getstack(&attributes, &stack_, &stack_bytes_) == 0);
    pthread_attr_destroy(&attributes);
#endif
#if defined(PAWL_FIBER_TSAN)
    tsan_ = __tsan_get_current_fiber();
#endif
  }
  /// A fiber that begins with `entry(with)`, which must never return.
  Fiber(Entry entry, void* with) noexcept : owns_stack_(true), stack_bytes_(kStackBytes), entry_(entry), with_(with) {
    void* all = ::mmap(nullptr, kGuardBytes + kStackBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    must(all != MAP_FAILED);
    stack_ = static_cast<std::byte*>(all) + kGuardBytes;
    must(::mprotect(stack_, kStackBytes, PROT_READ | PROT_WRITE) == 0);
    prepare();
  }
  ~Fiber() {
    if (!owns_stack_) return;
    forget();
    ::munmap(static_cast<std::byte*>(stack_) - kGuardBytes, kGuardBytes + kStackBytes);
  }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Drops what is on the stack, without unwinding it, and begins anew at the next switch to it.
  void restart() noexcept {
    forget();
    prepare();
  }

  /// Leaves `from`, which must be running, for `to`; returns when something switches to `from`.
  static void change(Fiber& from, Fiber& to) noexcept {
#if defined(PAWL_FIBER_ASAN)
    __sanitizer_start_switch_fiber(&from.fake_stack_, to.stack_, to.stack_bytes_);
#endif
#if defined(PAWL_FIBER_TSAN)
    __tsan_switch_to_fiber(to.tsan_, 0);
#endif
    must(::swapcontext(&from.context_, &to.context_) == 0);
#if defined(PAWL_FIBER_ASAN)
    __sanitizer_finish_switch_fiber(from.fake_stack_, nullptr, nullptr);
#endif
  }

 private:
  static constexpr std::size_t kGuardBytes = 4096;  // below the stack: an overflow faults

  static void must(bool worked) noexcept {
    if (worked) return;
    std::perror("fiber");
    std::abort();
  }
  void prepare() noexcept {
    must(::getcontext(&context_) == 0);
    context_.uc_stack.ss_sp = stack_;
    context_.uc_stack.ss_size = stack_bytes_;
    context_.uc_link = nullptr;
    // makecontext(3) passes ints only.
    const auto self = reinterpret_cast<std::uintptr_t>(this);
    ::makecontext(&context_, reinterpret_cast<void (*)()>(&begin), 2, static_cast<unsigned>(self >> 32),
                  static_cast<unsigned>(self & 0xffffffffu));
#if defined(PAWL_FIBER_TSAN)
    tsan_ = __tsan_create_fiber(0);
#endif
  }
  void forget() noexcept {
#if defined(PAWL_FIBER_ASAN)
    __asan_unpoison_memory_region(stack_, stack_bytes_);  // the frames that were left there
    fake_stack_ = nullptr;
#endif
#if defined(PAWL_FIBER_TSAN)
    __tsan_destroy_fiber(tsan_);
#endif
  }
  static void begin(unsigned high, unsigned low) noexcept {
    auto* self = reinterpret_cast<Fiber*>((static_cast<std::uintptr_t>(high) << 32) | low);
#if defined(PAWL_FIBER_ASAN)
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
    self->entry_(self->with_);
    must(false);
  }

  bool owns_stack_ = false;
  void* stack_ = nullptr;  // lowest address
  std::size_t stack_bytes_ = 0;
  Entry entry_ = nullptr;
  void* with_ = nullptr;
  ucontext_t context_{};
#if defined(PAWL_FIBER_ASAN)
  void* fake_stack_ = nullptr;
#endif
#if defined(PAWL_FIBER_TSAN)
  void* tsan_ = nullptr;
#endif
};

}  // namespace pawl::test

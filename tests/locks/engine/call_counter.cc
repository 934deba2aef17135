#include "call_counter.h"

#include <dlfcn.h>
#include <link.h>
#include <linux/futex.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

// glibc's own names for what is replaced here: to look them up with dlsym() would need malloc.
extern "C" {
void* __libc_malloc(std::size_t size) noexcept;
void* __libc_calloc(std::size_t count, std::size_t size) noexcept;
void* __libc_realloc(void* block, std::size_t size) noexcept;
void* __libc_memalign(std::size_t alignment, std::size_t size) noexcept;
void __libc_free(void* block) noexcept;
}

namespace pawl::locks {
namespace {

constexpr std::size_t kMostLibraries = 128;
constexpr std::size_t kMostSites = 64;

LibraryCalls libraries[kMostLibraries];  // the first is "unknown"
CallSite sites[kMostSites];
std::atomic<std::size_t> library_count{1};  // written by begin_counting() [L1]
std::atomic<bool> counting{false};          // written by begin_counting() and end_counting() [L1]
// The unwinder may call what is counted. In the static block: a thread must not allocate to learn where it is.
[[gnu::tls_model("initial-exec")]] constinit thread_local bool inside_counter = false;

bool is_runtime(std::string_view name) noexcept {
  constexpr std::array<std::string_view, 9> kRuntime = {"libc.so",   "libstdc++.so", "libgcc_s.so",
                                                        "libm.so",   "ld-linux",     "libpthread.so",
                                                        "libc++.so", "libc++abi.so", "libunwind.so"};
  return std::ranges::any_of(kRuntime, [&](std::string_view known) { return name.starts_with(known); });
}

int note_library(dl_phdr_info* info, std::size_t, void*) noexcept {
  std::uintptr_t first = UINTPTR_MAX, past = 0;
  for (unsigned i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD) continue;
    const std::uintptr_t begin = info->dlpi_addr + header.p_vaddr;
    first = std::min(first, begin);
    past = std::max(past, begin + header.p_memsz);
  }
  const std::size_t count = library_count.load(std::memory_order_relaxed);  // relaxed: one caller at a time
  for (std::size_t i = 1; i < count; ++i)
    if (libraries[i].first == first) return 0;
  if (past == 0 || count == kMostLibraries) return 0;
  LibraryCalls& library = libraries[count];
  const char* slash = std::strrchr(info->dlpi_name, '/');
  const char* name = slash != nullptr ? slash + 1 : info->dlpi_name;
  if (*name == '\0') name = "program";
  std::strncpy(library.name.data(), name, library.name.size() - 1);
  library.first = first;
  library.past = past;
  const auto own = reinterpret_cast<std::uintptr_t>(&libraries);
  library.runtime = is_runtime(name) || (own >= first && own < past);
  library_count.store(count + 1, std::memory_order_release);  // release [L1]: publishes the row
  return 0;
}

LibraryCalls& library_at(std::uintptr_t address) noexcept {
  const std::size_t count = library_count.load(std::memory_order_acquire);  // acquire [L1]
  for (std::size_t i = 1; i < count; ++i)
    if (address >= libraries[i].first && address < libraries[i].past) return libraries[i];
  return libraries[0];
}

struct Caller {
  LibraryCalls* library;
  std::uintptr_t address;  // of the call: a return address may lie just past its function
};

_Unwind_Reason_Code leave_runtime(_Unwind_Context* context, void* found) noexcept {
  int before = 0;  // where a signal came in, the address is not one to return to
  const std::uintptr_t address = _Unwind_GetIPInfo(context, &before) - (before == 0 ? 1 : 0);
  LibraryCalls& library = library_at(address);
  if (library.runtime) return _URC_NO_REASON;
  *static_cast<Caller*>(found) = {&library, address};
  return _URC_END_OF_STACK;
}

void note_site(Call call, std::uintptr_t address) noexcept {
  const std::uint64_t key = (static_cast<std::uint64_t>(address) << 4) | static_cast<std::uint64_t>(call);
  for (CallSite& site : sites) {
    std::uint64_t known = site.key.load(std::memory_order_relaxed);  // relaxed, all here: nothing hangs on it
    if (known == 0 && site.key.compare_exchange_strong(known, key, std::memory_order_relaxed)) known = key;
    if (known != key) continue;
    site.count.fetch_add(1, std::memory_order_relaxed);
    return;
  }
}

/// `from`: where the counted function returns to.
void note(Call call, const void* from) noexcept {
  if (!counting.load(std::memory_order_acquire) || inside_counter) return;  // acquire [L1]
  inside_counter = true;
  const int error = errno;
  const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(from) - 1;
  Caller caller{&library_at(address), address};
  if (caller.library->runtime) _Unwind_Backtrace(leave_runtime, &caller);  // nobody outside: it stays the runtime's
  caller.library->calls[static_cast<std::size_t>(call)].fetch_add(1, std::memory_order_relaxed);  // relaxed: a count
  note_site(call, caller.address);
  errno = error;
  inside_counter = false;
}

/// The next library's function of this name. pthread_cond_* have an old version on some machines, which dlsym() finds
/// first; `version` is the one that programs are linked with today.
template <class Function>
Function* next(const char* name, const char* version = nullptr) noexcept {
  void* found = version != nullptr ? ::dlvsym(RTLD_NEXT, name, version) : nullptr;
  if (found == nullptr) found = ::dlsym(RTLD_NEXT, name);
  if (found == nullptr) std::abort();  // a function that this machine's libc lacks cannot have been called
  return reinterpret_cast<Function*>(found);
}

bool wakes(long operation) noexcept {
  const long command = operation & FUTEX_CMD_MASK;
  return command == FUTEX_WAKE || command == FUTEX_WAKE_BITSET || command == FUTEX_WAKE_OP;
}

}  // namespace

void begin_counting() noexcept {
  constexpr std::string_view kUnknown = "unknown";
  std::ranges::copy(kUnknown, libraries[0].name.begin());
  ::dl_iterate_phdr(note_library, nullptr);
  for (LibraryCalls& library : libraries)
    for (auto& count : library.calls) count.store(0, std::memory_order_relaxed);  // relaxed: published by `counting`
  for (CallSite& site : sites) {
    site.key.store(0, std::memory_order_relaxed);
    site.count.store(0, std::memory_order_relaxed);
  }
  counting.store(true, std::memory_order_release);  // release [L1]
}

void end_counting() noexcept { counting.store(false, std::memory_order_release); }

std::span<const LibraryCalls> counted() noexcept {
  return {libraries, library_count.load(std::memory_order_acquire)};  // acquire [L1]
}

std::span<const CallSite> counted_sites() noexcept {
  const auto free = std::ranges::find(sites, std::uint64_t{0}, [](const CallSite& site) {
    return site.key.load(std::memory_order_relaxed);  // relaxed: read when callers rest
  });
  return {sites, free};
}

}  // namespace pawl::locks

using pawl::locks::Call;
using pawl::locks::next;
using pawl::locks::note;

#define PAWL_CALLER __builtin_extract_return_addr(__builtin_return_address(0))
#define PAWL_EXPORT extern "C" [[gnu::visibility("default"), gnu::noinline]]

// The function is looked up at its first call; the lookup is idempotent, so a race is harmless.
#define PAWL_COUNTED(call, type, name, version, parameters, exception, arguments)            \
  PAWL_EXPORT type name parameters exception {                                               \
    static constinit std::atomic<type(*) parameters> known{nullptr};                         \
    auto* function = known.load(std::memory_order_relaxed); /* relaxed: code, not data */    \
    if (function == nullptr) {                                                               \
      function = next<type parameters>(#name, version);                                      \
      known.store(function, std::memory_order_relaxed); /* relaxed: the same for everyone */ \
    }                                                                                        \
    note(call, PAWL_CALLER);                                                                 \
    return function arguments;                                                               \
  }

using Mutex = pthread_mutex_t;
using RwLock = pthread_rwlock_t;
using Condition = pthread_cond_t;
using Until = const timespec;

// clang-format off
PAWL_COUNTED(Call::mutex, int, pthread_mutex_lock, nullptr, (Mutex* m), noexcept, (m))
PAWL_COUNTED(Call::mutex, int, pthread_mutex_trylock, nullptr, (Mutex* m), noexcept, (m))
PAWL_COUNTED(Call::mutex, int, pthread_mutex_timedlock, nullptr, (Mutex* m, Until* t), noexcept, (m, t))
PAWL_COUNTED(Call::mutex, int, pthread_mutex_clocklock, nullptr, (Mutex* m, clockid_t c, Until* t), noexcept, (m, c, t))
PAWL_COUNTED(Call::rwlock, int, pthread_rwlock_rdlock, nullptr, (RwLock* l), noexcept, (l))
PAWL_COUNTED(Call::rwlock, int, pthread_rwlock_wrlock, nullptr, (RwLock* l), noexcept, (l))
PAWL_COUNTED(Call::rwlock, int, pthread_rwlock_tryrdlock, nullptr, (RwLock* l), noexcept, (l))
PAWL_COUNTED(Call::rwlock, int, pthread_rwlock_trywrlock, nullptr, (RwLock* l), noexcept, (l))
PAWL_COUNTED(Call::rwlock, int, pthread_rwlock_timedrdlock, nullptr, (RwLock* l, Until* t), noexcept, (l, t))
PAWL_COUNTED(Call::rwlock, int, pthread_rwlock_timedwrlock, nullptr, (RwLock* l, Until* t), noexcept, (l, t))
PAWL_COUNTED(Call::rwlock, int, pthread_rwlock_clockrdlock, nullptr, (RwLock* l, clockid_t c, Until* t), noexcept,
             (l, c, t))
PAWL_COUNTED(Call::rwlock, int, pthread_rwlock_clockwrlock, nullptr, (RwLock* l, clockid_t c, Until* t), noexcept,
             (l, c, t))
PAWL_COUNTED(Call::spin, int, pthread_spin_lock, nullptr, (pthread_spinlock_t* l), noexcept, (l))
PAWL_COUNTED(Call::spin, int, pthread_spin_trylock, nullptr, (pthread_spinlock_t* l), noexcept, (l))
PAWL_COUNTED(Call::condition_wait, int, pthread_cond_wait, "GLIBC_2.3.2", (Condition* c, Mutex* m), , (c, m))
PAWL_COUNTED(Call::condition_wait, int, pthread_cond_timedwait, "GLIBC_2.3.2", (Condition* c, Mutex* m, Until* t), ,
             (c, m, t))
PAWL_COUNTED(Call::condition_wait, int, pthread_cond_clockwait, nullptr,
             (Condition* c, Mutex* m, clockid_t k, Until* t), , (c, m, k, t))
PAWL_COUNTED(Call::condition_signal, int, pthread_cond_signal, "GLIBC_2.3.2", (Condition* c), noexcept, (c))
PAWL_COUNTED(Call::condition_signal, int, pthread_cond_broadcast, "GLIBC_2.3.2", (Condition* c), noexcept, (c))
PAWL_COUNTED(Call::semaphore, int, sem_wait, nullptr, (sem_t* s), , (s))
PAWL_COUNTED(Call::semaphore, int, sem_trywait, nullptr, (sem_t* s), noexcept, (s))
PAWL_COUNTED(Call::semaphore, int, sem_timedwait, nullptr, (sem_t* s, Until* t), , (s, t))
PAWL_COUNTED(Call::semaphore, int, sem_clockwait, nullptr, (sem_t* s, clockid_t c, Until* t), , (s, c, t))
PAWL_COUNTED(Call::semaphore, int, sem_post, nullptr, (sem_t* s), noexcept, (s))
PAWL_COUNTED(Call::yield, int, sched_yield, nullptr, (), noexcept, ())
// clang-format on

PAWL_EXPORT long syscall(long number, ...) noexcept {
  using Function = long(long, ...);
  static constinit std::atomic<Function*> known{nullptr};
  Function* function = known.load(std::memory_order_relaxed);  // relaxed: code, not data
  if (function == nullptr) known.store(function = next<Function>("syscall"), std::memory_order_relaxed);
  // No system call takes more than six arguments; libc's syscall() reads as many whatever was given.
  std::va_list arguments;
  va_start(arguments, number);
  std::array<long, 6> a{};
  for (long& argument : a) argument = va_arg(arguments, long);
  va_end(arguments);
  if (number == SYS_futex) note(pawl::locks::wakes(a[1]) ? Call::futex_wake : Call::futex_wait, PAWL_CALLER);
  return function(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

PAWL_EXPORT void* malloc(std::size_t size) noexcept {
  note(Call::allocate, PAWL_CALLER);
  return __libc_malloc(size);
}
PAWL_EXPORT void* calloc(std::size_t count, std::size_t size) noexcept {
  note(Call::allocate, PAWL_CALLER);
  return __libc_calloc(count, size);
}
PAWL_EXPORT void* realloc(void* block, std::size_t size) noexcept {
  note(Call::allocate, PAWL_CALLER);
  return __libc_realloc(block, size);
}
PAWL_EXPORT void* memalign(std::size_t alignment, std::size_t size) noexcept {
  note(Call::allocate, PAWL_CALLER);
  return __libc_memalign(alignment, size);
}
PAWL_EXPORT void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  note(Call::allocate, PAWL_CALLER);
  return __libc_memalign(alignment, size);
}
PAWL_EXPORT int posix_memalign(void** block, std::size_t alignment, std::size_t size) noexcept {
  note(Call::allocate, PAWL_CALLER);
  void* made = __libc_memalign(alignment, size);
  if (made == nullptr) return ENOMEM;
  *block = made;
  return 0;
}
PAWL_EXPORT void free(void* block) noexcept {
  if (block != nullptr) note(Call::release, PAWL_CALLER);
  __libc_free(block);
}

// The other forms of new and delete (arrays, nothrow) lead to these in libstdc++, and from there to their caller.
namespace {
void* allocate_or_throw(std::size_t alignment, std::size_t size) {
  for (;;) {
    void* made = alignment == 0 ? __libc_malloc(size) : __libc_memalign(alignment, size);
    if (made != nullptr) return made;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}
}  // namespace

#define PAWL_REPLACED [[gnu::visibility("default"), gnu::noinline]]
PAWL_REPLACED void* operator new(std::size_t size) {
  note(Call::allocate, PAWL_CALLER);
  return allocate_or_throw(0, size == 0 ? 1 : size);
}
PAWL_REPLACED void* operator new(std::size_t size, std::align_val_t alignment) {
  note(Call::allocate, PAWL_CALLER);
  return allocate_or_throw(static_cast<std::size_t>(alignment), size == 0 ? 1 : size);
}
PAWL_REPLACED void operator delete(void* block) noexcept {
  if (block != nullptr) note(Call::release, PAWL_CALLER);
  __libc_free(block);
}
PAWL_REPLACED void operator delete(void* block, std::size_t) noexcept {
  if (block != nullptr) note(Call::release, PAWL_CALLER);
  __libc_free(block);
}
PAWL_REPLACED void operator delete(void* block, std::align_val_t) noexcept {
  if (block != nullptr) note(Call::release, PAWL_CALLER);
  __libc_free(block);
}
PAWL_REPLACED void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
  if (block != nullptr) note(Call::release, PAWL_CALLER);
  __libc_free(block);
}

// oneTBB allocates from a library that it loads by itself; without it, it uses malloc, and its allocations show.
PAWL_EXPORT void* dlopen(const char* file, int flags) noexcept {
  using Function = void*(const char*, int);
  static constinit std::atomic<Function*> known{nullptr};
  Function* function = known.load(std::memory_order_relaxed);  // relaxed: code, not data
  if (function == nullptr) known.store(function = next<Function>("dlopen"), std::memory_order_relaxed);
  if (file != nullptr && std::strstr(file, "libtbbmalloc") != nullptr) return nullptr;
  return function(file, flags);
}

// What oneTBB's headers call beside their inlined locks when compiled with TBB_USE_PROFILING_TOOLS=1.
namespace tbb::detail::r1 {
[[gnu::visibility("default"), gnu::noinline]] void call_itt_notify(int what, void*);
void call_itt_notify(int what, void*) {
  constexpr int kAcquired = 2;
  if (what == kAcquired) note(Call::tbb_lock, PAWL_CALLER);
}
}  // namespace tbb::detail::r1

#include "memory.h"

#include <cstdlib>
#include <cstring>

namespace pawl::http {

namespace {

thread_local bool allocation_failed = false;

void* noted(void* memory) noexcept {
  if (memory == nullptr) [[unlikely]]
    allocation_failed = true;
  return memory;
}

void* allocate_again(void* memory, std::size_t size) noexcept { return noted(std::realloc(memory, size)); }
void* allocate_zeroed(std::size_t count, std::size_t size) noexcept { return noted(std::calloc(count, size)); }
char* duplicate(const char* text) noexcept { return static_cast<char*>(noted(::strdup(text))); }

}  // namespace

void* allocate_for_libcurl(std::size_t size) noexcept { return noted(std::malloc(size)); }

CURLcode start_libcurl() noexcept {
  static const CURLcode started = curl_global_init_mem(CURL_GLOBAL_DEFAULT, allocate_for_libcurl, std::free,
                                                       allocate_again, duplicate, allocate_zeroed);
  return started;
}

bool take_allocation_failure() noexcept {
  const bool failed = allocation_failed;
  allocation_failed = false;
  return failed;
}

}  // namespace pawl::http

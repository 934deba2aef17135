// Always-on assertions. A broken invariant ends the process with exit code 70 (EX_SOFTWARE of sysexits.h): what was
// accepted is in the journal, so stopping is safe and going on is not.
#pragma once

namespace pawl {

[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace pawl

#define PAWL_CHECK(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::pawl::check_failed(#condition, __FILE__, __LINE__))

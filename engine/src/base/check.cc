#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace pawl {

void check_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "pawl: bug: %s does not hold (%s:%d)\n", condition, file, line);
  std::_Exit(70);
}

}  // namespace pawl

// What to say when a system call on a file has failed.
#pragma once

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

#include <pawl/error.h>

namespace pawl::git {

/// "cannot <what> <path>: <why>"; `why` is an errno.
[[nodiscard]] inline Error io_error(const char* what, const std::filesystem::path& path, int why = errno) {
  return {ErrorCode::io, std::string("cannot ") + what + " " + path.string() + ": " + std::strerror(why), why};
}

}  // namespace pawl::git

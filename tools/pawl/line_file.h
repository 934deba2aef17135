// A file of lines that is there whole or not at all: written beside its place, synced, then renamed.
//
// A path that is no regular file (a pipe, a device) and `-`, standard output, are written as they are.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include <pawl/error.h>

namespace pawl::tool {

class LineFile {
 public:
  /// Errors: io.
  [[nodiscard]] static Result<LineFile> open(const std::string& path);
  LineFile() = default;
  LineFile(LineFile&& other) noexcept;
  LineFile& operator=(LineFile&& other) noexcept;
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;
  /// Without finish(), what was written is removed.
  ~LineFile();

  [[nodiscard]] bool is_open() const noexcept { return file_ != nullptr; }
  /// Writes the line and its end. Errors: io.
  [[nodiscard]] Result<void> write(std::string_view line);
  /// Everything is written: puts it in its place. Errors: io.
  [[nodiscard]] Result<void> finish();

 private:
  [[nodiscard]] std::unexpected<Error> cannot(const char* what) const;

  std::FILE* file_ = nullptr;
  std::string path_;
  std::string temporary_;  // empty: written in place
};

}  // namespace pawl::tool

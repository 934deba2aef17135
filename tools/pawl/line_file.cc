#include "line_file.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace pawl::tool {

Result<LineFile> LineFile::open(const std::string& path) {
  LineFile out;
  out.path_ = path;
  if (path == "-") {
    out.path_ = "standard output";
    out.file_ = ::fdopen(::dup(1), "w");
  } else if (struct stat there{}; ::stat(path.c_str(), &there) == 0 && !S_ISREG(there.st_mode)) {
    out.file_ = std::fopen(path.c_str(), "we");
  } else {
    out.temporary_ = path + ".XXXXXX";
    const int fd = ::mkstemp(out.temporary_.data());
    if (fd < 0) {
      out.temporary_.clear();
      return out.cannot("write");
    }
    const mode_t mask = ::umask(0);
    ::umask(mask);
    static_cast<void>(::fchmod(fd, 0666 & ~mask));  // a file of 0600 is still a file
    out.file_ = ::fdopen(fd, "w");
  }
  if (out.file_ == nullptr) return out.cannot("write");
  return out;
}

LineFile::LineFile(LineFile&& other) noexcept
    : file_(std::exchange(other.file_, nullptr)),
      path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})) {}

LineFile& LineFile::operator=(LineFile&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
  return *this;
}

LineFile::~LineFile() {
  if (file_ != nullptr) std::fclose(file_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<void> LineFile::write(std::string_view line) {
  if (std::fwrite(line.data(), 1, line.size(), file_) != line.size() || std::fputc('\n', file_) == EOF)
    return cannot("write");
  return {};
}

Result<void> LineFile::finish() {
  if (std::fflush(file_) != 0) return cannot("write");
  if (!temporary_.empty() && ::fsync(::fileno(file_)) != 0) return cannot("sync");
  if (std::fclose(std::exchange(file_, nullptr)) != 0) return cannot("write");
  if (temporary_.empty()) return {};
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) return cannot("rename to");
  temporary_.clear();
  return {};
}

std::unexpected<Error> LineFile::cannot(const char* what) const {
  const int why = errno;
  return failure(ErrorCode::io, std::string("cannot ") + what + " " + path_ + ": " + std::strerror(why), why);
}

}  // namespace pawl::tool

#include "index_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "open_file.h"

namespace pawl::git {

IndexLock::IndexLock(const std::filesystem::path& index, std::filesystem::path note)
    : path_(index.string() + ".lock"), note_path_(std::move(note)) {}

Result<void> IndexLock::is_free() const {
  return !held_ && ::access(path_.c_str(), F_OK) == 0 ? in_the_way() : Result<void>{};
}

Result<void> IndexLock::take() {
  if (held_) return {};
  if (const Result<void> free = is_free(); !free) return free;  // before the note says that it is being taken
  note_.emplace(note_path_, path_);
  const OpenFile file(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (file.fd() < 0) {
    const int why = errno;
    note_.reset();
    if (why == EEXIST) return in_the_way();
    return failure(ErrorCode::io, "cannot make " + path_.string() + ": " + std::strerror(why), why);
  }
  held_ = true;
  note_->covers(path_);
  return {};
}

void IndexLock::release() noexcept {
  if (held_) ::unlink(path_.c_str());
  gone();
}

void IndexLock::gone() noexcept {
  held_ = false;
  note_.reset();
}

Result<void> IndexLock::in_the_way() const {
  return failure(ErrorCode::locked, path_.string() +
                                        " is in the way: another git process changes the index, or one that died left "
                                        "it behind; remove it if no git process is running");
}

}  // namespace pawl::git

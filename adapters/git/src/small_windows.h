// While one lives, libgit2 keeps little of the packs mapped. A walk through all commits or folders touches every pack,
// and what it touches would count as this process's memory. Of the whole process, but a matter of speed alone.
#pragma once

#include <git2.h>

#include <cstddef>

namespace pawl::git {

class SmallWindows {
 public:
  SmallWindows() noexcept {
    ::git_libgit2_opts(GIT_OPT_GET_MWINDOW_MAPPED_LIMIT, &before_);
    ::git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, std::size_t{32} * 1024 * 1024);
  }
  ~SmallWindows() { ::git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, before_); }
  SmallWindows(const SmallWindows&) = delete;
  SmallWindows& operator=(const SmallWindows&) = delete;

 private:
  std::size_t before_ = 0;
};

}  // namespace pawl::git

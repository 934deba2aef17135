// Blobs one after the other: from the packs as pawl wrote them if they are there, else from git.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <pawl/error.h>

#include "object_id.h"
#include "packed_blobs.h"
#include "repository.h"

namespace pawl::git {

/// One thread's. Borrows both, which outlive it.
class BlobReader {
 public:
  BlobReader(const PackedBlobs& packed, git_odb* odb) noexcept : borrowed_packed_(packed), borrowed_odb_(odb) {}

  /// Valid until the next call. `what` names it in an error. Errors: repository.
  [[nodiscard]] Result<std::string_view> read(const git_oid& oid, const std::string& what) {
    if (borrowed_packed_.read(from_oid(oid), cursor_, content_)) return content_;
    git_odb_object* raw = nullptr;
    if (git_odb_read(&raw, borrowed_odb_, &oid) != 0)
      return std::unexpected(git_error("reading " + what + " of the branch"));
    object_.reset(raw);
    return std::string_view(static_cast<const char*>(git_odb_object_data(raw)), git_odb_object_size(raw));
  }

 private:
  const PackedBlobs& borrowed_packed_;
  git_odb* const borrowed_odb_;
  PackedBlobs::Cursor cursor_;
  std::string content_;
  OdbObjectHandle object_;
};

}  // namespace pawl::git

// Whether the branch already holds a task that the journal gives back: asked of git itself, not of the index.
#include <utility>

#include <pawl/git.h>

#include "branch_records.h"

namespace pawl::git {

Result<bool> holds(Repository& repository, const Request& request, Layout layout) {
  if (layout == Layout::raw) return false;
  auto record = record_at(repository, record_path(request.stream, request.position, request.id));
  if (!record) return std::unexpected(std::move(record.error()));
  // A younger task of the key has replaced this one's record, or came after it was given up: either way this one is
  // not to be committed over it.
  return record->has_value() && (*record)->stream == request.stream && (*record)->custom_id == request.id &&
         (*record)->task_id >= request.task_id;
}

}  // namespace pawl::git

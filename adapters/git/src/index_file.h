// Brings changes into git's index file, whatever its size, in one sequential pass of reading and one of writing.
//
// libgit2 reads an index into memory, about 150 MB for a million files, and inserts each new path by moving all behind
// it. Here the old file is read through a small buffer to find out where which change belongs, then copied with the
// changes spliced in: time linear in the size of the file, memory in the number of changes. What others put into the
// index stays byte for byte: their entries, conflict stages, flags. Of the extensions only REUC (resolved conflicts)
// stays; the others are caches that git builds again.
//
// It knows index versions 2 and 3, whole. For others (version 4, split and sparse ones, a damaged one) it declines
// and touches nothing: ask libgit2 then.
#pragma once

#include <cstdint>
#include <filesystem>

#include <pawl/error.h>

#include "index_changes.h"
#include "index_lock.h"

namespace pawl::git {

struct IndexPlaces {
  std::filesystem::path index;      // the file; beside it its lock
  std::filesystem::path temporary;  // where the new one is written, on the same file system; what is there is lost
  std::filesystem::path root;       // of the work tree
};

enum class IndexOutcome : std::uint8_t {
  current,   // the index says what the changes say; others see the old one or the new one, never a part
  declined,  // not an index this can write; nothing was touched
};

/// Sorts `changes` and brings those the index takes (see IndexChanges::taken) into it; a path that a person has staged
/// a folder for, or a folder of which is a staged file, or that is in conflict, is left alone. A lock that is not held
/// is taken only to put the new file in place, or all along if the index changed in between; when the index is current
/// it is held no longer. The new file is synced before it gets its name, because git refuses to work with half an
/// index; the name is not: the old index does as well. One thread at a time; blocks on the disk. Errors: locked
/// (somebody else has the lock), repository, io (naming the file).
[[nodiscard]] Result<IndexOutcome> update_index(const IndexPlaces& places, IndexChanges& changes, IndexLock& lock);

}  // namespace pawl::git

#include "tree_folder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "delta.h"
#include "pack_layout.h"

namespace pawl::git {
namespace {

constexpr unsigned kDeepestDelta = 50;   // as git's own pack.depth: readers follow a chain from its end
constexpr std::size_t kMostEdits = 256;  // beyond, the whole folder is cheaper than keeping the list in order
constexpr std::string_view kFileMode = "100644 ";
constexpr std::string_view kFolderMode = "40000 ";

}  // namespace

Result<std::unique_ptr<Tree::Folder>> Tree::Folder::parse(std::string content) {
  auto folder = std::make_unique<Folder>();
  folder->content_ = std::move(content);
  const std::string_view all = folder->content_;
  const auto damaged = [] { return failure(ErrorCode::repository, "a folder on the branch is damaged: run git fsck"); };
  if (all.size() > std::numeric_limits<std::uint32_t>::max()) return damaged();
  std::size_t begin = 0;
  while (begin < all.size()) {
    const std::size_t space = all.find(' ', begin);
    if (space == std::string_view::npos || space == begin || space - begin > 7) return damaged();
    const std::size_t zero = all.find('\0', space + 1);
    if (zero == std::string_view::npos || zero == space + 1 || all.size() - zero - 1 < kIdBytes) return damaged();
    const std::string_view mode = all.substr(begin, space - begin);
    Kind kind = Kind::file;
    if (mode == "40000" || mode == "040000") kind = Kind::folder;
    if (mode == "120000") kind = Kind::link;
    if (mode == "160000") kind = Kind::submodule;
    folder->entries_.push_back(
        {static_cast<std::uint32_t>(begin), static_cast<std::uint8_t>(space + 1 - begin), kind, nullptr});
    begin = zero + 1 + kIdBytes;
  }
  return folder;
}

std::string_view Tree::Folder::name_of(std::size_t at) const noexcept {
  const std::size_t begin = entries_[at].begin + entries_[at].name_at;
  return std::string_view(content_).substr(begin, end_of(at) - kIdBytes - 1 - begin);
}

ObjectId Tree::Folder::id_of(std::size_t at) const noexcept {
  ObjectId object_id;
  std::memcpy(object_id.data(), content_.data() + end_of(at) - kIdBytes, kIdBytes);
  return object_id;
}

/// Git's order: bytewise, a folder's name taken as if it ended in '/'.
int Tree::Folder::compare(std::string_view name, bool folder, std::size_t at) const noexcept {
  const std::string_view other = name_of(at);
  const std::size_t common = std::min(name.size(), other.size());
  const int order = std::memcmp(name.data(), other.data(), common);
  if (order != 0) return order;
  const auto next = [common](std::string_view text, bool is_folder) -> int {
    if (text.size() > common) return static_cast<unsigned char>(text[common]);
    return is_folder ? '/' : 0;
  };
  return next(name, folder) - next(other, entries_[at].kind == Kind::folder);
}

std::size_t Tree::Folder::lower_bound(std::string_view name, bool folder) const noexcept {
  // Names mostly arrive in order.
  if (!entries_.empty() && compare(name, folder, entries_.size() - 1) > 0) return entries_.size();
  std::size_t low = 0;
  std::size_t high = entries_.size();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (compare(name, folder, middle) > 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

std::optional<std::size_t> Tree::Folder::find(std::string_view name, bool folder) const {
  const std::size_t at = lower_bound(name, folder);
  if (at == entries_.size() || (entries_[at].kind == Kind::folder) != folder || name_of(at) != name) {
    return std::nullopt;
  }
  return at;
}

void Tree::Folder::note(Edit edit, std::uint64_t generation) {
  if (base_.generation != generation) return;  // will be written whole
  if (edit.inserted) {
    for (Edit& other : edits_) {
      if (other.begin >= edit.begin) other.begin += edit.size;
    }
  } else {
    for (const Edit& other : edits_) {
      if (edit.begin >= other.begin && edit.begin + edit.size <= other.begin + other.size) return;
    }
  }
  edits_.push_back(edit);
  if (edits_.size() > kMostEdits) {
    base_.generation = 0;
    edits_.clear();
  }
}

std::size_t Tree::Folder::insert(std::string_view name, Kind kind, const ObjectId& object_id,
                                 std::uint64_t generation) {
  const bool folder = kind == Kind::folder;
  const std::size_t at = lower_bound(name, folder);
  const std::string_view mode = folder ? kFolderMode : kFileMode;
  const auto begin = static_cast<std::uint32_t>(at < entries_.size() ? entries_[at].begin : content_.size());
  const auto size = static_cast<std::uint32_t>(mode.size() + name.size() + 1 + kIdBytes);
  content_.insert(begin, size, '\0');
  char* out = content_.data() + begin;
  std::memcpy(out, mode.data(), mode.size());
  std::memcpy(out + mode.size(), name.data(), name.size());
  std::memcpy(out + size - kIdBytes, object_id.data(), kIdBytes);
  for (std::size_t i = at; i < entries_.size(); ++i) entries_[i].begin += size;
  entries_.insert(entries_.begin() + static_cast<std::ptrdiff_t>(at),
                  Entry{begin, static_cast<std::uint8_t>(mode.size()), kind, nullptr});
  note({begin, size, true}, generation);
  return at;
}

void Tree::Folder::point(std::size_t at, const ObjectId& object_id, std::uint64_t generation) {
  if (entries_[at].kind == Kind::link) {
    entries_[at].kind = Kind::file;
    std::memcpy(content_.data() + entries_[at].begin, kFileMode.data(), kFileMode.size());
    note({entries_[at].begin, static_cast<std::uint32_t>(kFileMode.size()), false}, generation);
  }
  const auto begin = static_cast<std::uint32_t>(end_of(at) - kIdBytes);
  std::memcpy(content_.data() + begin, object_id.data(), kIdBytes);
  note({begin, kIdBytes, false}, generation);
}

/// What turns the version written last into this one, straight from the edits: no search.
std::string Tree::Folder::delta() {
  std::ranges::sort(edits_, {}, &Edit::begin);
  std::string out;
  append_delta_size(out, base_.size);
  append_delta_size(out, content_.size());
  const std::string_view now = content_;
  std::size_t done = 0;   // in content_
  std::size_t grown = 0;  // content_ is ahead of the base by this much here
  for (const Edit& edit : edits_) {
    append_copy(out, done - grown, edit.begin - done);
    append_insert(out, now.substr(edit.begin, edit.size));
    done = edit.begin + edit.size;
    if (edit.inserted) grown += edit.size;
  }
  append_copy(out, done - grown, now.size() - done);
  return out;
}

ObjectId Tree::Folder::write(Pack& pack) {
  for (std::size_t at = 0; at < entries_.size(); ++at) {
    Folder* child = entries_[at].child.get();
    if (child != nullptr && child->changed) point(at, child->write(pack), pack.generation());
  }
  const ObjectId object_id = hash_object(ObjectType::tree, content_);
  std::optional<std::uint64_t> offset;
  unsigned depth = 0;
  if (base_.generation == pack.generation() && base_.depth < kDeepestDelta) {
    const std::string change = delta();
    if (change.size() < content_.size() / 4 * 3) {
      offset = pack.add_delta(object_id, base_.offset, change);
      depth = base_.depth + 1;
    }
  }
  // A second add() of the same object would find it in and answer none; so would the first, after a delta.
  if (!offset) {
    depth = 0;
    offset = pack.add(object_id, ObjectType::tree, content_);
  }
  base_ = {offset ? pack.generation() : 0, offset.value_or(0), content_.size(), depth};
  edits_.clear();
  changed = false;
  return object_id;
}

void Tree::Folder::forget(std::uint64_t generation) {
  for (Entry& entry : entries_) {
    if (!entry.child) continue;
    if (!entry.child->changed && entry.child->used <= generation) {
      entry.child.reset();
    } else {
      entry.child->forget(generation);
    }
  }
}

std::uint64_t Tree::Folder::bytes() const {
  std::uint64_t sum = sizeof *this + content_.capacity() + entries_.capacity() * sizeof(Entry);
  for (const Entry& entry : entries_) {
    if (entry.child) sum += entry.child->bytes();
  }
  return sum;
}

}  // namespace pawl::git

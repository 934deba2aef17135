#include "history.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "object_id.h"

namespace pawl::git {
namespace {

constexpr std::size_t kCacheBytes = 64u << 20;
constexpr std::size_t kLongestPath = 64u << 10;  // bounds how deep folders are entered

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

void read_trailers(std::string_view message, HistoryCommit& commit) {
  while (message.ends_with('\n')) message.remove_suffix(1);
  const std::size_t last = message.rfind("\n\n");
  if (last == std::string_view::npos) return;
  for (std::string_view rest = message.substr(last + 2); !rest.empty();) {
    const std::string_view line = take_line(rest);
    const auto value = [&](std::string_view key) -> std::optional<std::string_view> {
      if (!line.starts_with(key)) return std::nullopt;
      return line.substr(key.size());
    };
    if (const auto run = value("Pawl-Run: ")) commit.run = *run;
    if (const auto number = value("Pawl-Commit: ")) commit.number = number_of(*number);
    if (const auto results = value("Pawl-Results: ")) commit.results = number_of(*results);
    if (value("Pawl-Layout: raw")) commit.raw = true;
  }
}

Result<OdbObjectHandle> read_object(git_odb* odb, const ObjectId& id, git_object_t type, const char* what) {
  const git_oid oid = to_oid(id);
  git_odb_object* raw = nullptr;
  if (git_odb_read(&raw, odb, &oid) != 0) {
    return std::unexpected(git_error(std::string("cannot read the ") + what + " " + to_hex(id)));
  }
  OdbObjectHandle object(raw);
  if (git_odb_object_type(object.get()) != type) {
    return failure(ErrorCode::repository, "object " + to_hex(id) + " is no " + what + ": run git fsck");
  }
  return object;
}

std::string_view content_of(const OdbObjectHandle& object) {
  return {static_cast<const char*>(git_odb_object_data(object.get())), git_odb_object_size(object.get())};
}

enum class EntryKind : std::uint8_t { file, folder, other };

struct Entry {
  std::string_view name;
  EntryKind kind = EntryKind::other;
  ObjectId id{};
};

/// Takes an entry off the front of a tree's content; none at its end. False: not the content of a tree.
bool take_entry(std::string_view& rest, std::optional<Entry>& out) {
  out.reset();
  if (rest.empty()) return true;
  const std::size_t space = rest.find(' ');
  const std::size_t zero = rest.find('\0');
  if (space == std::string_view::npos || zero == std::string_view::npos || space > zero) return false;
  Entry entry;
  if (rest.size() - zero - 1 < entry.id.size()) return false;
  const std::string_view mode = rest.substr(0, space);
  entry.name = rest.substr(space + 1, zero - space - 1);
  if (mode == "40000" || mode == "040000") entry.kind = EntryKind::folder;
  if (mode.starts_with("100")) entry.kind = EntryKind::file;
  std::memcpy(entry.id.data(), rest.data() + zero + 1, entry.id.size());
  rest.remove_prefix(zero + 1 + entry.id.size());
  out = entry;
  return true;
}

/// Git's order: folders as if their names ended in '/'.
int compare_entries(const Entry& a, const Entry& b) {
  const std::size_t shared = std::min(a.name.size(), b.name.size());
  if (const int differs = std::memcmp(a.name.data(), b.name.data(), shared); differs != 0) return differs;
  const auto next = [shared](const Entry& entry) -> int {
    if (entry.name.size() > shared) return static_cast<unsigned char>(entry.name[shared]);
    return entry.kind == EntryKind::folder ? '/' : 0;
  };
  return next(a) - next(b);
}

}  // namespace

Result<HistoryCommit> parse_commit(std::string_view content, std::optional<ObjectId>& first_parent) {
  first_parent.reset();
  HistoryCommit commit;
  bool has_tree = false;
  while (true) {
    const std::string_view line = take_line(content);
    if (line.empty()) break;
    const auto id_behind = [&](std::string_view key) { return from_hex(line.substr(key.size())); };
    if (line.starts_with("tree ")) {
      const auto tree = id_behind("tree ");
      if (!tree) return std::unexpected(tree.error());
      commit.tree = *tree;
      has_tree = true;
    } else if (line.starts_with("parent ") && !first_parent) {
      const auto parent = id_behind("parent ");
      if (!parent) return std::unexpected(parent.error());
      first_parent = *parent;
    }
  }
  if (!has_tree) return failure(ErrorCode::repository, "a commit names no tree: run git fsck");
  read_trailers(content, commit);
  return commit;
}

Result<History> read_history(git_repository* repository, git_odb* odb, std::optional<ObjectId> tip) {
  const bool shallow = git_repository_is_shallow(repository) == 1;
  History history;
  while (tip) {
    const git_oid oid = to_oid(*tip);
    if (shallow && git_odb_exists(odb, &oid) == 0) {
      history.whole = false;
      break;
    }
    auto object = read_object(odb, *tip, GIT_OBJECT_COMMIT, "commit");
    if (!object) return std::unexpected(std::move(object.error()));
    std::optional<ObjectId> parent;
    auto commit = parse_commit(content_of(*object), parent);
    if (!commit) return std::unexpected(std::move(commit.error()));
    commit->id = *tip;
    history.commits.push_back(std::move(*commit));
    tip = parent;
  }
  std::ranges::reverse(history.commits);
  return history;
}

std::size_t TreeDiff::Hash::operator()(const ObjectId& id) const noexcept {
  std::size_t hash = 0;
  std::memcpy(&hash, id.data(), sizeof hash);
  return hash;
}

Result<TreeDiff::Content> TreeDiff::read(const ObjectId& tree) {
  if (const auto known = cache_.find(tree); known != cache_.end()) return known->second;
  auto object = read_object(borrowed_odb_, tree, GIT_OBJECT_TREE, "folder");
  if (!object) return std::unexpected(std::move(object.error()));
  auto content = std::make_shared<const std::string>(content_of(*object));
  if (cached_bytes_ > kCacheBytes) {
    cache_.clear();
    cached_bytes_ = 0;
  }
  cached_bytes_ += content->size() + sizeof(ObjectId);
  cache_.emplace(tree, content);
  return content;
}

Result<std::vector<PathChange>> TreeDiff::compare(const std::optional<ObjectId>& before, const ObjectId& after) {
  changes_.clear();
  if (before != after) {
    if (auto entered = enter(before, after, {}); !entered) return std::unexpected(std::move(entered.error()));
  }
  return std::move(changes_);
}

Result<void> TreeDiff::enter(const std::optional<ObjectId>& before, const std::optional<ObjectId>& after,
                             const std::string& folder) {
  if (folder.size() > kLongestPath) return failure(ErrorCode::repository, "the branch has a path beyond 64 KiB");
  static const Content kNothing = std::make_shared<const std::string>();
  auto old_content = before ? read(*before) : Result<Content>(kNothing);
  if (!old_content) return std::unexpected(std::move(old_content.error()));
  auto new_content = after ? read(*after) : Result<Content>(kNothing);
  if (!new_content) return std::unexpected(std::move(new_content.error()));
  std::string_view old_rest = **old_content;
  std::string_view new_rest = **new_content;
  std::optional<Entry> old_entry, new_entry;
  bool sound = take_entry(old_rest, old_entry) && take_entry(new_rest, new_entry);
  while (sound && (old_entry || new_entry)) {
    int order = 0;
    if (!old_entry || !new_entry) {
      order = old_entry ? -1 : 1;
    } else {
      order = compare_entries(*old_entry, *new_entry);
    }
    const Entry& entry = order <= 0 ? *old_entry : *new_entry;
    std::optional<ObjectId> was, is;
    if (order <= 0) was = old_entry->id;
    if (order >= 0) is = new_entry->id;
    if (was != is) {
      if (entry.kind == EntryKind::folder) {
        auto entered = enter(was, is, folder + std::string(entry.name) + "/");
        if (!entered) return entered;
      } else {
        const bool plain = (order >= 0 ? new_entry : old_entry)->kind == EntryKind::file;
        changes_.push_back({folder + std::string(entry.name), was, is, plain});
      }
    }
    if (order <= 0) sound = take_entry(old_rest, old_entry);
    if (sound && order >= 0) sound = take_entry(new_rest, new_entry);
  }
  if (!sound) return failure(ErrorCode::repository, "folder " + folder + " is damaged on the branch: run git fsck");
  return {};
}

}  // namespace pawl::git

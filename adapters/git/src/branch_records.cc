#include "branch_records.h"

#include <git2.h>

#include <algorithm>
#include <string>
#include <utility>

#include "object_id.h"
#include "repository.h"

namespace pawl::git {
namespace {

using TreeEntryHandle = GitHandle<git_tree_entry, git_tree_entry_free>;

Result<TreeHandle> read_tree(git_repository* repository, const git_oid& oid) {
  git_tree* raw = nullptr;
  if (git_tree_lookup(&raw, repository, &oid) != 0) return std::unexpected(git_error("reading a folder of the branch"));
  return TreeHandle(raw);
}

/// Root of the branch's tip; an empty handle while the branch is unborn.
Result<TreeHandle> root_tree(Repository& repository) {
  auto tip = branch_tip(repository);
  if (!tip) return std::unexpected(std::move(tip.error()));
  if (!*tip) return TreeHandle();
  auto tree_id = tree_of(repository, **tip);
  if (!tree_id) return std::unexpected(std::move(tree_id.error()));
  if (!*tree_id) {
    return failure(ErrorCode::repository, "the commit " + to_hex(**tip) + " at the tip of the branch is missing");
  }
  return read_tree(handle(repository), to_oid(**tree_id));
}

Result<OdbObjectHandle> read_blob(git_odb* odb, const git_oid& oid, const std::string& path) {
  git_odb_object* raw = nullptr;
  if (git_odb_read(&raw, odb, &oid) != 0) return std::unexpected(git_error("reading " + path + " of the branch"));
  return OdbObjectHandle(raw);
}

std::string_view content_of(git_odb_object* object) {
  return {static_cast<const char*>(git_odb_object_data(object)), git_odb_object_size(object)};
}

Result<OdbHandle> open_odb(Repository& repository) {
  git_odb* raw = nullptr;
  if (git_repository_odb(&raw, handle(repository)) != 0) {
    return std::unexpected(git_error("opening the objects of the repository"));
  }
  return OdbHandle(raw);
}

bool is_number(std::string_view name, std::size_t least, std::size_t most) {
  return name.size() >= least && name.size() <= most &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_file(const git_tree_entry* entry) {
  const git_filemode_t mode = git_tree_entry_filemode(entry);
  return mode == GIT_FILEMODE_BLOB || mode == GIT_FILEMODE_BLOB_EXECUTABLE;
}

// Walks STREAM/<fan-out>/<fan-out>/<id>.json.
class Walk {
 public:
  Walk(git_repository* repository, git_odb* odb, const std::function<Result<void>(const ParsedRecord&)>& visit)
      : borrowed_repository_(repository), borrowed_odb_(odb), visit_(visit) {}

  Result<void> enter(git_tree* tree, int depth, const std::string& folder) {
    constexpr int kFileDepth = 3;
    for (std::size_t i = 0; i < git_tree_entrycount(tree); ++i) {
      const git_tree_entry* entry = git_tree_entry_byindex(tree, i);
      const std::string_view name = git_tree_entry_name(entry);
      if (depth == kFileDepth) {
        if (!is_file(entry) || !name.ends_with(".json")) continue;
        if (auto done = file(entry, folder + std::string(name)); !done) return done;
        continue;
      }
      const bool fits = depth == 0 || (depth == 1 && is_number(name, 2, 20)) || (depth == 2 && is_number(name, 2, 2));
      if (!fits || git_tree_entry_type(entry) != GIT_OBJECT_TREE) continue;
      auto subtree = read_tree(borrowed_repository_, *git_tree_entry_id(entry));
      if (!subtree) return std::unexpected(std::move(subtree.error()));
      if (auto done = enter(subtree->get(), depth + 1, folder + std::string(name) + "/"); !done) return done;
    }
    return {};
  }

 private:
  Result<void> file(const git_tree_entry* entry, const std::string& path) {
    auto blob = read_blob(borrowed_odb_, *git_tree_entry_id(entry), path);
    if (!blob) return std::unexpected(std::move(blob.error()));
    const auto record = parse_record(content_of(blob->get()));
    // A copy of a record that lies elsewhere is somebody's file, not the place of the key.
    if (!record || record_path(record->stream, record->position, record->custom_id) != path) return {};
    return visit_(*record);
  }

  git_repository* borrowed_repository_;
  git_odb* borrowed_odb_;
  const std::function<Result<void>(const ParsedRecord&)>& visit_;
};

}  // namespace

Result<void> for_each_record(Repository& repository, const std::function<Result<void>(const ParsedRecord&)>& visit) {
  auto root = root_tree(repository);
  if (!root) return std::unexpected(std::move(root.error()));
  if (!*root) return {};
  auto odb = open_odb(repository);
  if (!odb) return std::unexpected(std::move(odb.error()));
  return Walk(handle(repository), odb->get(), visit).enter(root->get(), 0, {});
}

Result<std::optional<ParsedRecord>> record_at(Repository& repository, const std::string& path) {
  auto root = root_tree(repository);
  if (!root) return std::unexpected(std::move(root.error()));
  if (!*root) return std::nullopt;
  git_tree_entry* raw = nullptr;
  const int code = git_tree_entry_bypath(&raw, root->get(), path.c_str());
  if (code == GIT_ENOTFOUND) return std::nullopt;
  if (code != 0) return std::unexpected(git_error("looking for " + path + " on the branch"));
  const TreeEntryHandle entry(raw);
  if (!is_file(entry.get())) return std::nullopt;
  auto odb = open_odb(repository);
  if (!odb) return std::unexpected(std::move(odb.error()));
  auto blob = read_blob(odb->get(), *git_tree_entry_id(entry.get()), path);
  if (!blob) return std::unexpected(std::move(blob.error()));
  auto record = parse_record(content_of(blob->get()));
  if (!record) return std::nullopt;
  return std::move(*record);
}

}  // namespace pawl::git

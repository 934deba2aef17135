#include "branch_records.h"

#include <git2.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <pawl/git_records.h>

#include "blob_reader.h"
#include "object_id.h"
#include "packed_blobs.h"
#include "repository.h"
#include "small_windows.h"
#include "stored_result.h"

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

Result<OdbHandle> open_odb(git_repository* repository) {
  git_odb* raw = nullptr;
  if (git_repository_odb(&raw, repository) != 0) {
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

/// A folder of records, STREAM/<fan-out>/.
struct RecordFolder {
  std::string path;  // with a slash at the end
  git_oid tree{};
};

/// Calls `visit(name, entry)` for every folder in a tree.
template <class Visit>
Result<void> for_each_folder(git_repository* repository, const git_oid& tree_id, Visit visit) {
  auto tree = read_tree(repository, tree_id);
  if (!tree) return std::unexpected(std::move(tree.error()));
  for (std::size_t i = 0; i < git_tree_entrycount(tree->get()); ++i) {
    const git_tree_entry* entry = git_tree_entry_byindex(tree->get(), i);
    if (git_tree_entry_type(entry) != GIT_OBJECT_TREE) continue;
    if (auto done = visit(std::string(git_tree_entry_name(entry)), *git_tree_entry_id(entry)); !done) return done;
  }
  return {};
}

Result<std::vector<RecordFolder>> record_folders(git_repository* repository, const git_tree* root) {
  std::vector<RecordFolder> folders;
  auto listed = for_each_folder(repository, *git_tree_id(root), [&](const std::string& stream, const git_oid& id) {
    return for_each_folder(repository, id, [&](const std::string& name, const git_oid& folder) -> Result<void> {
      if (is_number(name, 2, 20)) folders.push_back({stream + '/' + name + '/', folder});
      return {};
    });
  });
  if (!listed) return std::unexpected(std::move(listed.error()));
  return folders;
}

// Reads folders of records with several threads; what is found is visited one at a time.
class Walk {
 public:
  Walk(const std::vector<RecordFolder>& folders, const PackedBlobs& packed,
       const std::function<Result<void>(const ParsedRecord&)>& visit)
      : folders_(folders), packed_(packed), visit_(visit) {}

  /// Works until no folder is left or one thread has failed. Each thread with a handle of its own.
  void work(git_repository* repository, git_odb* odb) {
    Reader reader{repository, {packed_, odb}, {}};
    for (std::size_t at = next_.fetch_add(1); at < folders_.size() && !failed_.load(); at = next_.fetch_add(1)) {
      if (auto read = folder(reader, folders_[at]); !read) fail(std::move(read.error()));
    }
  }
  void fail(Error error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    failed_.store(true);
  }
  /// After all threads have ended.
  [[nodiscard]] Result<void> result() const { return error_ ? Result<void>(std::unexpected(*error_)) : Result<void>{}; }

 private:
  struct Reader {
    git_repository* borrowed_repository;
    BlobReader blobs;
    std::vector<ParsedRecord> found;
  };

  Result<void> folder(Reader& reader, const RecordFolder& where) {
    reader.found.clear();
    auto read = for_each_folder(reader.borrowed_repository, where.tree,
                                [&](const std::string& name, const git_oid& id) -> Result<void> {
                                  if (!is_number(name, 2, 2)) return {};
                                  auto tree = read_tree(reader.borrowed_repository, id);
                                  if (!tree) return std::unexpected(std::move(tree.error()));
                                  for (std::size_t i = 0; i < git_tree_entrycount(tree->get()); ++i) {
                                    const git_tree_entry* entry = git_tree_entry_byindex(tree->get(), i);
                                    const std::string_view file_name = git_tree_entry_name(entry);
                                    if (!is_file(entry) || !file_name.ends_with(".json")) continue;
                                    const std::string path = where.path + name + '/' + std::string(file_name);
                                    if (auto done = file(reader, *git_tree_entry_id(entry), path); !done) return done;
                                  }
                                  return {};
                                });
    if (!read) return read;
    const std::lock_guard lock(mutex_);
    for (const ParsedRecord& record : reader.found)
      if (auto done = visit_(record); !done) return done;
    return {};
  }

  Result<void> file(Reader& reader, const git_oid& id, const std::string& path) {
    const auto content = reader.blobs.read(id, path);
    if (!content) return std::unexpected(content.error());
    auto record = parse_record(*content);
    // A copy of a record that lies elsewhere is somebody's file, not the place of the key.
    if (!record || record_path(record->stream, record->position, record->custom_id) != path) return {};
    reader.found.push_back(std::move(*record));
    return {};
  }

  const std::vector<RecordFolder>& folders_;
  const PackedBlobs& packed_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;  // of visit_ and error_
  const std::function<Result<void>(const ParsedRecord&)>& visit_;
  std::optional<Error> error_;
};

constexpr std::size_t kMostReaders = 8;

}  // namespace

Result<void> for_each_record(Repository& repository, const std::function<Result<void>(const ParsedRecord&)>& visit) {
  auto root = root_tree(repository);
  if (!root) return std::unexpected(std::move(root.error()));
  if (!*root) return {};
  const auto folders = record_folders(handle(repository), root->get());
  if (!folders) return std::unexpected(folders.error());
  const SmallWindows small_windows;
  const PackedBlobs packed = PackedBlobs::open(repository.impl().common_dir / "objects" / "pack");
  Walk walk(*folders, packed, visit);
  const std::size_t readers =
      std::min({kMostReaders, folders->size(), std::size_t{std::max(1u, std::thread::hardware_concurrency())}});
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 1; i < readers; ++i) {
      threads.emplace_back([&] {
        auto own = open_again(repository.impl());
        if (!own) return walk.fail(std::move(own.error()));
        auto odb = open_odb(own->get());
        if (!odb) return walk.fail(std::move(odb.error()));
        walk.work(own->get(), odb->get());
      });
    }
    auto odb = open_odb(handle(repository));
    if (odb) {
      walk.work(handle(repository), odb->get());
    } else {
      walk.fail(std::move(odb.error()));
    }
  }
  return walk.result();
}

Result<void> for_each_result(Repository& repository, const std::function<void(const StoredResult&)>& visit) {
  auto root = root_tree(repository);
  if (!root) return std::unexpected(std::move(root.error()));
  if (!*root) return {};
  git_repository* const raw = handle(repository);
  const SmallWindows small_windows;
  const PackedBlobs packed = PackedBlobs::open(repository.impl().common_dir / "objects" / "pack");
  auto odb = open_odb(raw);
  if (!odb) return std::unexpected(std::move(odb.error()));
  BlobReader blobs(packed, odb->get());
  StoredResult result;
  const auto file = [&](const git_oid& id, const std::string& path) -> Result<void> {
    const auto text = blobs.read(id, path);
    if (!text) return std::unexpected(text.error());
    auto record = parse_record(*text);
    if (!record || record_path(record->stream, record->position, record->custom_id) != path) return {};
    if (!read_stored_result(*text, result)) return {};
    result.task_id = record->task_id;
    result.stream = std::move(record->stream);
    result.id = std::move(record->custom_id);
    result.path = path;
    result.success = record->success;
    visit(result);
    return {};
  };
  const auto inner_folder = [&](const git_oid& id, const std::string& path) -> Result<void> {
    auto tree = read_tree(raw, id);
    if (!tree) return std::unexpected(std::move(tree.error()));
    for (std::size_t i = 0; i < git_tree_entrycount(tree->get()); ++i) {
      const git_tree_entry* entry = git_tree_entry_byindex(tree->get(), i);
      const std::string name = git_tree_entry_name(entry);
      if (!is_file(entry) || !name.ends_with(".json")) continue;
      if (auto done = file(*git_tree_entry_id(entry), path + name); !done) return done;
    }
    return {};
  };
  return for_each_folder(raw, *git_tree_id(root->get()), [&](const std::string& stream, const git_oid& stream_id) {
    return for_each_folder(raw, stream_id, [&](const std::string& outer, const git_oid& outer_id) -> Result<void> {
      if (!is_number(outer, 2, 20)) return {};
      return for_each_folder(raw, outer_id, [&](const std::string& inner, const git_oid& id) -> Result<void> {
        if (!is_number(inner, 2, 2)) return {};
        return inner_folder(id, stream + '/' + outer + '/' + inner + '/');
      });
    });
  });
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
  auto odb = open_odb(handle(repository));
  if (!odb) return std::unexpected(std::move(odb.error()));
  const PackedBlobs no_packs;  // one record is not worth opening them
  BlobReader blobs(no_packs, odb->get());
  const auto text = blobs.read(*git_tree_entry_id(entry.get()), path);
  if (!text) return std::unexpected(text.error());
  auto record = parse_record(*text);
  if (!record) return std::nullopt;
  return std::move(*record);
}

}  // namespace pawl::git

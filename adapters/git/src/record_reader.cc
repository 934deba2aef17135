#include <git2.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <pawl/git_records.h>

#include "blob_reader.h"
#include "branch_records.h"
#include "packed_blobs.h"
#include "record_lines.h"
#include "repository.h"
#include "small_windows.h"

namespace pawl::git {
namespace {

struct Place {
  std::string name;
  git_oid id{};
};

bool is_number(std::string_view name) {
  return name.size() >= 2 && std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

// Three levels of folders, each with what is still to be entered, last one first; then the records of one folder.
struct RecordReader::Impl {
  struct Stored {
    ParsedRecord record;
    git_oid blob{};
  };

  /// Folders of a folder, or its files, to `out`. `level`: 0 the root, 1 a stream, 2 its outer fan-out, 3 its inner.
  Result<void> list(const git_oid& oid, std::size_t level, std::vector<Place>& out) const {
    const SmallWindows small_windows;
    git_tree* raw = nullptr;
    if (git_tree_lookup(&raw, repository, &oid) != 0)
      return std::unexpected(git_error("reading a folder of the branch"));
    const TreeHandle tree(raw);
    out.clear();
    for (std::size_t i = 0; i < git_tree_entrycount(tree.get()); ++i) {
      const git_tree_entry* entry = git_tree_entry_byindex(tree.get(), i);
      const std::string_view name = git_tree_entry_name(entry);
      const git_filemode_t mode = git_tree_entry_filemode(entry);
      const bool file = mode == GIT_FILEMODE_BLOB || mode == GIT_FILEMODE_BLOB_EXECUTABLE;
      const bool fits =
          level == 3 ? file && name.ends_with(".json") : mode == GIT_FILEMODE_TREE && (level == 0 || is_number(name));
      if (fits) out.push_back({std::string(name), *git_tree_entry_id(entry)});
    }
    // Last one first; numbers by value, "100" behind "99".
    std::ranges::sort(out, [level](const Place& a, const Place& b) {
      if (level != 0 && a.name.size() != b.name.size()) return a.name.size() > b.name.size();
      return a.name > b.name;
    });
    return {};
  }

  /// Takes the next folder of records to `records`. False: there is none.
  Result<bool> enter_next() {
    while (true) {
      std::size_t level = levels.size();
      while (level > 0 && levels[level - 1].empty()) --level;
      if (level == 0) return false;
      const Place place = std::move(levels[level - 1].back());
      levels[level - 1].pop_back();
      names[level - 1] = place.name;
      if (level < levels.size()) {
        if (auto listed = list(place.id, level, levels[level]); !listed) return std::unexpected(listed.error());
        continue;
      }
      if (auto loaded = load(place.id); !loaded) return std::unexpected(loaded.error());
      return true;
    }
  }

  Result<void> load(const git_oid& folder) {
    std::vector<Place> files;
    if (auto listed = list(folder, 3, files); !listed) return listed;
    for (const Place& file : files) {
      const std::string path = names[0] + "/" + names[1] + "/" + names[2] + "/" + file.name;
      const auto text = blobs->read(file.id, path);
      if (!text) return std::unexpected(text.error());
      auto record = parse_record(*text);
      if (!record || record_path(record->stream, record->position, record->custom_id) != path) continue;
      if (which == Records::failed && record->success) continue;
      records.push_back({std::move(*record), file.id});
    }
    std::ranges::sort(records, std::ranges::greater(), [](const Stored& stored) { return stored.record.position; });
    return {};
  }

  git_repository* repository = nullptr;  // borrowed
  OdbHandle odb;
  PackedBlobs packed;
  std::optional<BlobReader> blobs;  // of both
  Records which = Records::all;
  std::vector<std::vector<Place>> levels;  // streams, outer fan-out, inner fan-out
  std::vector<std::string> names;          // where they are
  std::vector<Stored> records;             // of one folder, last one first
};

RecordReader::RecordReader(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
RecordReader::~RecordReader() = default;

Result<std::unique_ptr<RecordReader>> RecordReader::open(Repository& repository, Records which) {
  auto impl = std::make_unique<Impl>();
  impl->repository = handle(repository);
  impl->which = which;
  impl->levels.resize(3);
  impl->names.resize(3);
  git_odb* raw = nullptr;
  if (git_repository_odb(&raw, impl->repository) != 0)
    return std::unexpected(git_error("opening the objects of the repository"));
  impl->odb.reset(raw);
  impl->packed = PackedBlobs::open(repository.impl().common_dir / "objects" / "pack");
  impl->blobs.emplace(impl->packed, raw);
  auto tip = branch_tip(repository);
  if (!tip) return std::unexpected(std::move(tip.error()));
  if (*tip) {
    auto tree = tree_of(repository, **tip);
    if (!tree) return std::unexpected(std::move(tree.error()));
    if (!*tree) return failure(ErrorCode::repository, "the commit at the tip of the branch is missing: run git fsck");
    if (auto listed = impl->list(to_oid(**tree), 0, impl->levels[0]); !listed) return std::unexpected(listed.error());
  }
  return std::unique_ptr<RecordReader>(new RecordReader(std::move(impl)));
}

Result<bool> RecordReader::next(StoredRecord& record) {
  while (true) {
    while (impl_->records.empty()) {
      auto entered = impl_->enter_next();
      if (!entered || !*entered) return entered;
    }
    const Impl::Stored stored = std::move(impl_->records.back());
    impl_->records.pop_back();
    const auto text = impl_->blobs->read(stored.blob, "a record");
    if (!text) return std::unexpected(text.error());
    record.success = stored.record.success;
    record.request.task_id = stored.record.task_id;
    record.request.stream = stored.record.stream;
    record.request.id = stored.record.custom_id;
    record.request.position = stored.record.position;
    record.request.digest = stored.record.digest;
    if (!render_output_line(*text, record.output) || (!record.success && !read_stored_request(*text, record.request)))
      return failure(ErrorCode::repository,
                     "the record of " + record_path(record.request.stream, record.request.position, record.request.id) +
                         " cannot be read whole: pawl verify says more");
    return true;
  }
}

}  // namespace pawl::git

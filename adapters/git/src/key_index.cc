// KeyIndex: a KeyTable of the branch's keys and of each stream's next position, and how it is built again.
//
// Two keys share a hash with probability 2^-64 per pair, so with n keys a new one is taken for a committed one with
// n / 2^64 (10^9 keys: 5 in 10^11). To be skipped, its request would have to have the same digest as well.
#include <algorithm>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include <pawl/git.h>

#include "branch_records.h"
#include "key_table.h"
#include "repository.h"
#include "small_windows.h"

namespace pawl::git {
namespace {

constexpr std::uint64_t kProgressEvery = 1000;

Result<KeyTable::Source> source_of(Repository& repository) {
  auto tip = branch_tip(repository);
  if (!tip) return std::unexpected(std::move(tip.error()));
  KeyTable::Source source;
  source.branch_hash = sip_hash({}, repository.branch());
  source.has_tip = tip->has_value() ? 1 : 0;
  if (*tip) source.tip = **tip;
  return source;
}

/// Whether every commit from one tip (not included) to the other names this run in its trailer.
Result<bool> only_commits_of(std::uint64_t run, Repository& repository, const KeyTable::Source& from,
                             const KeyTable::Source& to) {
  const SmallWindows small_windows;
  const std::string trailer = "\nPawl-Run: " + run_name(run) + '\n';
  KeyTable::Source at = to;
  while (at != from) {
    if (at.has_tip == 0) return false;  // the branch was begun anew
    const git_oid id = to_oid(at.tip);
    git_commit* raw = nullptr;
    if (git_commit_lookup(&raw, handle(repository), &id) != 0) return std::unexpected(git_error("reading a commit"));
    const CommitHandle commit(raw);
    if (std::string_view(git_commit_message(raw)).find(trailer) == std::string_view::npos) return false;
    at.has_tip = git_commit_parentcount(raw) == 1 ? 1 : 0;
    at.tip = at.has_tip != 0 ? from_oid(*git_commit_parent_id(raw, 0)) : ObjectId{};
    if (git_commit_parentcount(raw) > 1) return false;
  }
  return true;
}

/// What is known of a stream this run has touched.
struct Stream {
  std::uint64_t next = 0;       // take_position() gives this
  std::uint64_t committed = 0;  // behind the highest position put()
  std::uint64_t stored = 0;     // `committed` as it stands in the table
};

}  // namespace

struct KeyIndex::Impl {
  Impl(KeyTable held, const KeyTable::Source& tip) : table(std::move(held)), opened(tip) {}

  std::uint64_t hash_of(std::string_view stream, std::string_view id) {
    // The length keeps ("a", "bc") and ("ab", "c") apart.
    const std::uint64_t size = stream.size();
    scratch.assign(reinterpret_cast<const char*>(&size), sizeof size);
    scratch += stream;
    scratch += id;
    return sip_hash(table.seed(), scratch);
  }

  Result<Stream*> stream_of(std::string_view name) {
    if (broken) return std::unexpected(*broken);
    const std::uint64_t hash = sip_hash(table.seed(), name);
    if (const auto known = streams.find(hash); known != streams.end()) return &known->second;
    Stream stream;
    if (const auto entry = table.find(hash, KeyTable::Kind::stream))
      stream.next = stream.committed = stream.stored = entry->number;
    return &streams.emplace(hash, stream).first->second;
  }

  Result<void> put(std::string_view stream_name, std::string_view id, const CommittedKey& key) {
    if (key.position >= KeyTable::kMaxNumber) {
      return failure(ErrorCode::usage, "position " + std::to_string(key.position) + " is beyond the index of keys");
    }
    auto stream = stream_of(stream_name);
    if (!stream) return std::unexpected(std::move(stream.error()));
    KeyTable::Entry entry;
    entry.hash = hash_of(stream_name, id);
    entry.number = key.position & KeyTable::kMaxNumber;
    entry.kind = static_cast<std::uint8_t>(KeyTable::Kind::key);
    entry.success = key.success ? 1 : 0;
    entry.digest = key.digest;
    entry.run = key.task_id.run;
    entry.ordinal = key.task_id.ordinal;
    if (auto done = table.put(entry); !done) return std::unexpected(*(broken = std::move(done.error())));
    (*stream)->next = std::max((*stream)->next, key.position + 1);
    (*stream)->committed = std::max((*stream)->committed, key.position + 1);
    return {};
  }

  Result<void> mark_clean(const KeyTable::Source& source) {
    if (broken) return std::unexpected(*broken);
    for (auto& [hash, stream] : streams) {
      if (stream.committed == stream.stored) continue;
      KeyTable::Entry entry;
      entry.hash = hash;
      entry.number = stream.committed & KeyTable::kMaxNumber;
      entry.kind = static_cast<std::uint8_t>(KeyTable::Kind::stream);
      if (auto done = table.put(entry); !done) return std::unexpected(*(broken = std::move(done.error())));
      stream.stored = stream.committed;
    }
    return table.mark_clean(source);
  }

  Result<void> rebuild(Repository& repository, const std::function<void(std::uint64_t)>& on_progress) {
    auto walked = for_each_record(repository, [&](const ParsedRecord& record) -> Result<void> {
      auto done =
          put(record.stream, record.custom_id, {record.position, record.digest, record.success, record.task_id});
      if (done && on_progress && table.keys() % kProgressEvery == 0) on_progress(table.keys());
      return done;
    });
    if (walked && on_progress) on_progress(table.keys());
    return walked;
  }

  mutable std::mutex mutex;
  KeyTable table;
  KeyTable::Source opened;                            // the tip at open()
  std::unordered_map<std::uint64_t, Stream> streams;  // by hash; about 56 bytes for each one touched
  std::string scratch;
  // After a failed write the table may be anything: every later call says so, and it is never marked clean.
  std::optional<Error> broken;
};

KeyIndex::KeyIndex(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
KeyIndex::~KeyIndex() = default;

Result<std::unique_ptr<KeyIndex>> KeyIndex::open(Repository& repository,
                                                 std::function<void(std::uint64_t)> on_progress) {
  const std::filesystem::path file = repository.private_folder() / "keys";
  auto source = source_of(repository);
  if (!source) return std::unexpected(std::move(source.error()));
  auto kept = KeyTable::open(file, *source);
  if (!kept) return std::unexpected(std::move(kept.error()));
  if (*kept) return std::unique_ptr<KeyIndex>(new KeyIndex(std::make_unique<Impl>(std::move(**kept), *source)));

  auto fresh = KeyTable::create(file);
  if (!fresh) return std::unexpected(std::move(fresh.error()));
  auto impl = std::make_unique<Impl>(std::move(*fresh), *source);
  if (auto built = impl->rebuild(repository, on_progress); !built) return std::unexpected(std::move(built.error()));
  if (auto marked = impl->mark_clean(*source); !marked) return std::unexpected(std::move(marked.error()));
  impl->streams.clear();
  return std::unique_ptr<KeyIndex>(new KeyIndex(std::move(impl)));
}

Result<std::optional<CommittedKey>> KeyIndex::find(std::string_view stream, std::string_view id) {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->broken) return std::unexpected(*impl_->broken);
  const auto entry = impl_->table.find(impl_->hash_of(stream, id), KeyTable::Kind::key);
  if (!entry) return std::nullopt;
  return CommittedKey{entry->number, entry->digest, entry->success != 0, {entry->run, entry->ordinal}};
}

Result<void> KeyIndex::put(std::string_view stream, std::string_view id, const CommittedKey& key) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->put(stream, id, key);
}

Result<std::uint64_t> KeyIndex::take_position(std::string_view stream) {
  const std::lock_guard lock(impl_->mutex);
  auto known = impl_->stream_of(stream);
  if (!known) return std::unexpected(std::move(known.error()));
  return (*known)->next++;
}

void KeyIndex::see_position(std::string_view stream, std::uint64_t position) {
  const std::lock_guard lock(impl_->mutex);
  // If the stream cannot be looked up, take_position() will say so.
  if (auto known = impl_->stream_of(stream)) (*known)->next = std::max((*known)->next, position + 1);
}

std::uint64_t KeyIndex::size() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->table.keys();
}

Result<void> KeyIndex::mark_clean(Repository& repository, std::uint64_t run) {
  const std::lock_guard lock(impl_->mutex);
  auto source = source_of(repository);
  if (!source) return std::unexpected(std::move(source.error()));
  auto only_ours = only_commits_of(run, repository, impl_->opened, *source);
  if (!only_ours) return std::unexpected(std::move(only_ours.error()));
  if (!*only_ours) return {};
  impl_->opened = *source;
  return impl_->mark_clean(*source);
}

}  // namespace pawl::git

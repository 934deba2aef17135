#include "audit_keys.h"

#include <algorithm>

#include <pawl/git.h>

namespace pawl::git {
namespace {

/// Where the records of a position lie, without the id: "s/00/00/".
std::string folder_of(const std::string& stream, std::uint64_t position) {
  std::string path = record_path(stream, position, "x");
  return path.substr(0, path.rfind('/') + 1);
}

}  // namespace

std::uint64_t AuditKeys::hash_of(std::string_view stream, std::string_view id) {
  const std::uint64_t size = stream.size();
  scratch_.assign(reinterpret_cast<const char*>(&size), sizeof size);
  scratch_ += stream;
  scratch_ += id;
  return sip_hash(seed_, scratch_);
}

AuditKeys::Key* AuditKeys::find(std::uint64_t hash) {
  const auto found = keys_.find(hash);
  return found == keys_.end() ? nullptr : &found->second;
}

void AuditKeys::for_each(const std::function<void(std::uint64_t, const Key&)>& visit) const {
  for (const auto& [hash, key] : keys_) visit(hash, key);
}

std::uint32_t AuditKeys::stream_number(const std::string& name) {
  const auto [at, fresh] = numbers_.try_emplace(name, static_cast<std::uint32_t>(names_.size()));
  if (fresh) {
    names_.push_back(&at->first);
    progress_.emplace_back();
  }
  return at->second;
}

AuditKeys::Progress& AuditKeys::progress(std::uint32_t stream, std::uint64_t run) { return progress_[stream][run]; }

void AuditKeys::check_positions(
    const std::function<void(FindingKind, std::string path, std::string what)>& report) const {
  struct Taken {
    std::uint32_t stream;
    std::uint64_t position;
    bool lost;  // was taken: no gap, and no harm if another key has it now
    auto operator<=>(const Taken&) const = default;
  };
  std::vector<Taken> taken;
  taken.reserve(keys_.size());
  for (const auto& [hash, key] : keys_) taken.push_back({key.stream, key.position, key.loss != 0});
  std::ranges::sort(taken);
  for (std::size_t i = 0; i < taken.size();) {
    const std::uint32_t stream = taken[i].stream;
    const std::string& name = *names_[stream];
    std::uint64_t next = 0, missing = 0, first_missing = 0;
    for (; i < taken.size() && taken[i].stream == stream; ++i) {
      const auto [_, position, lost] = taken[i];
      if (position + 1 == next) {
        if (lost || taken[i - 1].lost) continue;
        report(FindingKind::twice, folder_of(name, position),
               "two keys have position " + std::to_string(position) + " of the stream");
        continue;
      }
      if (position > next && missing == 0) first_missing = next;
      missing += position - next;
      next = position + 1;
    }
    if (missing != 0) {
      report(FindingKind::gap, folder_of(name, first_missing),
             "the stream has no record at " + std::to_string(missing) + " of " + std::to_string(next) +
                 " positions, the first one " + std::to_string(first_missing));
    }
  }
}

}  // namespace pawl::git

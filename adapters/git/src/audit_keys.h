// What an audit knows of each key and stream while it goes through the history. Not for use outside the audit.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <pawl/git_audit.h>
#include <pawl/task.h>

#include "key_hash.h"

namespace pawl::git {

class AuditKeys {
 public:
  struct Key {
    std::uint64_t position = 0;
    TaskId task_id;
    std::array<std::uint8_t, 16> digest{};
    std::uint32_t stream = 0;
    std::uint32_t loss = 0;  // 0: the record is there; else what became of it, for the audit
    bool success = false;
  };
  /// How far a run has come in a stream.
  struct Progress {
    std::uint64_t ordinal = 0;
    std::uint64_t position = 0;  // highest given to a new key
    bool has_position = false;
  };

  /// Before anything else.
  void set_seed(const HashSeed& seed) noexcept { seed_ = seed; }

  /// As KeyIndex hashes keys with its seed.
  [[nodiscard]] std::uint64_t hash_of(std::string_view stream, std::string_view id);

  /// Null: never seen. Valid until the next add().
  [[nodiscard]] Key* find(std::uint64_t hash);
  [[nodiscard]] Key& add(std::uint64_t hash) { return keys_[hash]; }
  void for_each(const std::function<void(std::uint64_t, const Key&)>& visit) const;

  [[nodiscard]] std::uint32_t stream_number(const std::string& name);
  [[nodiscard]] std::uint64_t streams() const noexcept { return names_.size(); }
  [[nodiscard]] Progress& progress(std::uint32_t stream, std::uint64_t run);

  /// Reports positions that two keys of a stream have, and those that none has.
  void check_positions(const std::function<void(FindingKind, std::string path, std::string what)>& report) const;

 private:
  HashSeed seed_{};
  std::string scratch_;
  std::unordered_map<std::uint64_t, Key> keys_;
  std::unordered_map<std::string, std::uint32_t> numbers_;             // of streams
  std::vector<const std::string*> names_;                              // of streams, by number; keys of numbers_
  std::vector<std::unordered_map<std::uint64_t, Progress>> progress_;  // by stream, then run
};

}  // namespace pawl::git

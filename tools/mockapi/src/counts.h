// The server's counters: totals and per Idempotency-Key. Owned by the server's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <pawl/mockapi.h>

namespace pawl::mockapi {

struct KeyCount {
  std::uint64_t calls = 0;
  std::uint64_t answered_2xx = 0;
};

class Counts {
 public:
  /// The totals; `by_status` and the figures about keys are kept by the functions below.
  Stats totals;

  /// Counts a call of `key`. The reference is valid until forget().
  KeyCount& call_of(std::string_view key);
  /// Counts an answer sent whole; `key` may be null.
  void answered(int status, KeyCount* key);
  void entered() noexcept;
  /// Back to zero, but for what is now: open connections and calls in flight. Ends the references from call_of().
  void forget();

  [[nodiscard]] std::vector<KeyStats> keys() const;
  void append_json(std::string& out) const;
  /// "KEY calls answered_2xx" lines.
  void append_key_lines(std::string& out) const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, KeyCount, Hash, std::equal_to<>> keys_;
};

}  // namespace pawl::mockapi

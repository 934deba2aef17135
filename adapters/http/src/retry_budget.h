// How many retries an origin still gets while it fails: few, so that a host in trouble is not given more to do.
//
// While fewer than half of the attempts of the last ten seconds fail, retries are free: each will most likely be the
// last of its call. Beyond that, retries are at most a share of all attempts of those seconds, and never fewer than a
// handful, so that a single call goes on as ever. Who may not retry yet waits; its attempts are not used up by waiting.
// A pure function of what it was told and of the time.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <limits>

namespace pawl::http {

class RetryBudget {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr unsigned kSlots = 10;
  static constexpr std::chrono::seconds kSlot{1};
  static constexpr std::uint64_t kRetriesLeast = 10;  // in a window

  /// `share` (0 … 1) of the attempts may be retries.
  explicit RetryBudget(double share) noexcept : share_(share) {}

  enum class Kind : std::uint8_t { first, retry };
  void started(Kind kind, Time now) noexcept {
    Slot& slot = current(now);
    ++slot.attempts;
    if (kind == Kind::retry) ++slot.retries;
  }
  enum class Ended : std::uint8_t { well, failed };
  void ended(Ended how, Time now) noexcept {
    Slot& slot = current(now);
    ++slot.ended;
    if (how == Ended::failed) ++slot.failed;
  }

  [[nodiscard]] bool allows_retry(Time now) const noexcept { return retries_left(now) > 0; }
  /// How many may start now if nothing else happens.
  [[nodiscard]] std::uint64_t retries_left(Time now) const noexcept {
    const Slot sum = window(now);
    if (2 * sum.failed < sum.ended || share_ >= 1) return std::numeric_limits<std::uint64_t>::max();
    const auto most = std::max(kRetriesLeast, static_cast<std::uint64_t>(share_ * static_cast<double>(sum.attempts)));
    return most - std::min(most, sum.retries);
  }
  /// When the answer may next be another one although nothing happens.
  [[nodiscard]] static Time ask_again_at(Time now) noexcept {
    return Time{} + (std::chrono::floor<std::chrono::seconds>(now - Time{}) + kSlot);
  }

 private:
  struct Slot {
    std::int64_t second = -1;
    std::uint64_t attempts = 0, retries = 0, ended = 0, failed = 0;
  };
  static std::int64_t second_of(Time now) noexcept {
    return std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
  }
  Slot& current(Time now) noexcept {
    const std::int64_t second = second_of(now);
    Slot& slot = slots_[static_cast<std::size_t>(second) % kSlots];
    if (slot.second != second) slot = {.second = second};
    return slot;
  }
  [[nodiscard]] Slot window(Time now) const noexcept {
    const std::int64_t second = second_of(now);
    Slot sum;
    for (const Slot& slot : slots_) {
      if (slot.second < 0 || slot.second + kSlots <= second) continue;
      sum.attempts += slot.attempts;
      sum.retries += slot.retries;
      sum.ended += slot.ended;
      sum.failed += slot.failed;
    }
    return sum;
  }

  double share_;
  std::array<Slot, kSlots> slots_{};
};

}  // namespace pawl::http

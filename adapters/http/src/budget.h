// What a run may spend, and whether it is spent: calls that leave, tokens that answers say they have cost.
//
// A call is counted before it leaves, so the bound on calls is never passed: one that has begun holds its place until
// it is known whether it left this machine, and gives the place back if it did not (a refused connection). Tokens are
// known only when the answer is there, so they pass their bound by what was on the wire.
// Redirects that are followed belong to their attempt. Not thread-safe; a reader of the counts may be any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include <pawl/http.h>

namespace pawl::http {

class Budget {
 public:
  explicit Budget(const Options& options) : calls_max_(options.budget_calls), tokens_max_(options.budget_tokens) {}

  enum class Answer : std::uint8_t {
    go,
    wait,   // not before it is known whether those that have begun left
    spent,  // no more
  };
  /// Whether one more call may begin.
  [[nodiscard]] Answer ask() const noexcept {
    if (tokens_max_ != 0 && tokens() >= tokens_max_) return Answer::spent;
    if (calls_max_ == 0 || sent() + begun_ < calls_max_) return Answer::go;
    return sent() >= calls_max_ ? Answer::spent : Answer::wait;
  }
  /// Which bound ask() found spent.
  [[nodiscard]] Spent::What what() const noexcept {
    return tokens_max_ != 0 && tokens() >= tokens_max_ ? Spent::What::tokens : Spent::What::calls;
  }

  /// A call begins.
  void begin() noexcept { ++begun_; }
  /// It has ended; `left`: it may have left this machine.
  void end(bool left) noexcept {
    --begun_;
    if (left) add(sent_, 1);
  }
  /// A whole response has come, which says what it has cost or not. False: it is a success that does not.
  [[nodiscard]] bool take(std::optional<std::uint64_t> cost, int status) noexcept {
    if (tokens_max_ == 0) return true;
    if (cost) add(tokens_, *cost);
    return cost.has_value() || status < 200 || status >= 300;
  }

  // relaxed: each is a recent number
  [[nodiscard]] std::uint64_t sent() const noexcept { return sent_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t tokens() const noexcept { return tokens_.load(std::memory_order_relaxed); }

 private:
  // One writer, so no read-modify-write is needed; never past the largest number.
  static void add(std::atomic<std::uint64_t>& count, std::uint64_t n) noexcept {
    const std::uint64_t now = count.load(std::memory_order_relaxed);
    count.store(now + n < now ? UINT64_MAX : now + n, std::memory_order_relaxed);
  }

  const std::uint64_t calls_max_, tokens_max_;  // 0: no bound
  std::uint64_t begun_ = 0;                     // and not ended
  std::atomic<std::uint64_t> sent_{0};          // ended and left; written by the stage's thread, read for statistics
  std::atomic<std::uint64_t> tokens_{0};        // as sent_
};

}  // namespace pawl::http

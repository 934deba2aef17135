// What a call is expected to use in tokens, and what its answer says it has used: for the budget and for the rate.
//
// An answer is read once where both want the same number. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <pawl/http.h>

#include "json_number.h"

namespace pawl::http {

/// What an answer tells; nothing of what nobody asked for.
struct TokensTold {
  std::optional<std::uint64_t> cost;  // of the budget
  std::optional<std::uint64_t> used;  // of the rate
};

class TokenMeter {
 public:
  explicit TokenMeter(const Options& options)
      : budgets_(options.budget_tokens != 0),
        paces_(options.rate_tokens.count > 0),
        same_(options.budget_tokens_at == kUsed),
        cost_at_(options.budget_tokens_at) {
    if (!options.tokens_by.empty()) expected_at_.emplace(options.tokens_by);
  }

  /// Whether what a request allows its answer to be long must be known.
  [[nodiscard]] bool estimates() const noexcept { return paces_ && !expected_at_; }
  /// Tokens that a call is expected to use; 0 where they are not paced. `answer`: how many its answer may have.
  [[nodiscard]] double expected(std::string_view request_body, std::uint64_t answer) const noexcept {
    if (!paces_) return 0;
    if (expected_at_) return static_cast<double>(expected_at_->find(request_body).value_or(0));
    return static_cast<double>(request_body.size() / 4 + answer);
  }
  /// Reads a whole answer.
  [[nodiscard]] TokensTold read(std::string_view body) const noexcept {
    TokensTold told;
    if (budgets_) told.cost = cost_at_.find(body);
    if (paces_) told.used = budgets_ && same_ ? told.cost : used_at_.find(body);
    return told;
  }

 private:
  static constexpr std::string_view kUsed = "/usage/total_tokens";

  const bool budgets_, paces_, same_;
  const JsonNumber cost_at_;
  const JsonNumber used_at_{kUsed};
  std::optional<JsonNumber> expected_at_;
};

}  // namespace pawl::http

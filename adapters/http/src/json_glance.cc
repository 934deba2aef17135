#include "json_glance.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "json_cursor.h"

namespace pawl::http {

namespace {

constexpr double kNumberMax = 1e15;

std::optional<std::uint64_t> number_of(std::string_view raw) noexcept {
  double value = 0;
  const auto [end, error] = std::from_chars(raw.data(), raw.data() + raw.size(), value);
  if (error != std::errc{} || end != raw.data() + raw.size() || !(value >= 0)) return std::nullopt;
  return static_cast<std::uint64_t>(std::ceil(std::min(value, kNumberMax)));
}

}  // namespace

BodyFacts facts_of(std::string_view body, Glance glance) noexcept {
  BodyFacts facts;
  JsonCursor cursor(body, kGlanceStepsMax);
  if (!cursor.take('{')) return facts;
  std::uint64_t answers = 1;
  bool named = false;
  for (std::string_view key; cursor.key(key);) {
    std::string_view value;
    if (key == "model" && !named && cursor.next_is('"')) {
      if (!cursor.string(value)) break;
      facts.model = value.substr(0, kModelBytesMax);
      named = true;
      if (glance == Glance::model) break;
    } else if (glance == Glance::tokens &&
               (key == "max_completion_tokens" || key == "max_output_tokens" || key == "max_tokens" || key == "n")) {
      if (cursor.next_is('"') || cursor.next_is('{') || cursor.next_is('[')) {
        if (!cursor.skip()) break;
      } else if (!cursor.scalar(value)) {
        break;
      } else if (key == "n") {
        answers = std::clamp<std::uint64_t>(number_of(value).value_or(1), 1, 1000);
      } else {
        facts.answer_tokens = std::max(facts.answer_tokens, number_of(value).value_or(0));
      }
    } else if (!cursor.skip()) {
      break;
    }
  }
  facts.answer_tokens *= answers;
  return facts;
}

}  // namespace pawl::http

// Finds one number in a JSON text: what an answer says it has cost.
//
// One pass without allocation, which stops where the number is. It does not validate: of a text that is not JSON it
// says "no such number", or the number that a lenient reader would see.
//
// When not to use it: for anything that must be right about what else the text holds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::http {

class JsonNumber {
 public:
  /// `pointer`: RFC 6901, such as "/usage/total_tokens". REQUIRES: pointer_fault(pointer) is empty.
  explicit JsonNumber(std::string_view pointer);

  /// Empty: a JSON pointer to a place within the text. Else what is wrong with it.
  [[nodiscard]] static std::string pointer_fault(std::string_view pointer);

  /// The number there, a fraction cut off. nullopt: nothing there, not a number, negative, or 2^64 or more.
  [[nodiscard]] std::optional<std::uint64_t> find(std::string_view json) const noexcept;

 private:
  std::vector<std::string> names_;
};

}  // namespace pawl::http

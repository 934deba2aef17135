// BodyTemplate: wraps a line into a body: '{"prompt": {line:json}}'.
//
// {line} stands for the line, {line:json} for the line as a JSON string; every other brace stands for itself, so JSON
// needs no escaping. What a line contains is never looked at again: a line "{line}" is safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pawl::input {

class BodyTemplate {
 public:
  /// An empty text means {line}.
  explicit BodyTemplate(std::string_view text);

  /// Writes the body for `line` to `out`.
  void render(std::string_view line, std::string& out) const;

 private:
  enum class Slot { none, line, json };
  struct Piece {
    std::string before;
    Slot slot = Slot::none;
  };
  std::vector<Piece> pieces_;
};

}  // namespace pawl::input

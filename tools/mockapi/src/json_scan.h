// Checks a JSON text in one pass and picks out the few strings an API answer is made from.
//
// Why not a JSON library: an answer needs two strings, and copying them as they are written (still escaped) is both
// cheap and, because the whole text has been checked, always valid JSON again. Not for anything that needs values.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::mockapi {

class JsonScan {
 public:
  static constexpr std::size_t kDepthMax = 256;

  /// Scans `text`, which must stay alive as long as the views below are used. False: not JSON (RFC 8259, in UTF-8, no
  /// lone surrogates, nested at most kDepthMax deep). Buffers are kept from scan to scan.
  [[nodiscard]] bool scan(std::string_view text);

  /// Offset at which the last scan failed.
  [[nodiscard]] std::size_t failed_at() const noexcept { return at_; }
  /// The text was an object.
  [[nodiscard]] bool is_object() const noexcept { return is_object_; }
  /// Strings as they are written between their quotes; empty if absent. `model` of the outermost object; the last
  /// string under "content", "text" or "prompt", at any depth; every string under "input".
  [[nodiscard]] std::string_view model() const noexcept { return model_; }
  [[nodiscard]] std::string_view content() const noexcept { return content_; }
  [[nodiscard]] const std::vector<std::string_view>& inputs() const noexcept { return inputs_; }

 private:
  struct Frame {
    char kind;             // '{' or '['
    std::string_view key;  // of the value at hand; an array's elements go by the array's key
  };

  [[nodiscard]] bool scan_value(bool& opened);
  [[nodiscard]] bool scan_key();
  [[nodiscard]] bool scan_string(std::string_view& raw);
  [[nodiscard]] bool scan_escape();
  [[nodiscard]] bool scan_hex4(unsigned& code);
  [[nodiscard]] bool scan_utf8();
  [[nodiscard]] bool scan_number();
  [[nodiscard]] bool scan_word(std::string_view word);
  [[nodiscard]] bool close_and_continue(bool& ended);
  void skip_blanks() noexcept;
  bool take(char c) noexcept;
  void note(std::string_view raw);
  [[nodiscard]] char peek() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }

  std::string_view text_;
  std::size_t at_ = 0;
  std::array<Frame, kDepthMax> frames_;
  std::size_t depth_ = 0;
  bool is_object_ = false;
  std::string_view model_, content_;
  std::vector<std::string_view> inputs_;
};

/// Appends `text` to `out` as the inside of a JSON string; bytes that are not printable ASCII become escapes of the
/// Latin-1 characters they would be.
void append_escaped(std::string& out, std::string_view text);

}  // namespace pawl::mockapi

// BatchLine: one line of an OpenAI Batch input file becomes a request; also finds what a JSON pointer names in a line.
//
// Knows nothing of files and line numbers: it says what is wrong and at which byte of the line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <pawl/input.h>
#include <pawl/task.h>

#include "fault.h"
#include "json_members.h"
#include "url.h"

namespace pawl::input {

class BatchLine {
 public:
  /// `options` are valid. `default_stream` is for lines that name none.
  BatchLine(const Options& options, std::string_view default_stream);

  /// Fills all of `request` that a line can say. `line` is not blank and has kJsonPadding readable bytes behind it.
  [[nodiscard]] Parsed<void> parse(std::string_view line, Request& request);

  /// The stream of a line that is JSON but not a batch line. Without stream_by the line is not looked at.
  [[nodiscard]] Parsed<void> read_stream(std::string_view line, std::string& stream);

  /// Writes the absolute form of `url` to `out`. On failure: what was expected instead.
  [[nodiscard]] std::expected<void, std::string> absolute_url(std::string_view url, std::string& out) const;

 private:
  struct Fields;
  [[nodiscard]] Parsed<void> split_line(std::string_view line);
  [[nodiscard]] Parsed<void> read_target(const Fields& fields, Request& request) const;
  [[nodiscard]] Parsed<void> read_text(const JsonMember* member, std::string_view name, std::string& out) const;
  /// As read_text, of a name that may be base64, as its field `encoding` says.
  [[nodiscard]] Parsed<void> read_name(const JsonMember* member, std::string_view name, const JsonMember* encoding,
                                       std::string& out) const;
  [[nodiscard]] Parsed<void> read_body(const JsonMember* member, const JsonMember* encoding, Request& request) const;
  [[nodiscard]] Parsed<void> decode_body(const JsonMember* member, const JsonMember& encoding, std::string& out) const;
  [[nodiscard]] Parsed<void> read_headers(const JsonMember* member, Request& request);
  [[nodiscard]] Parsed<void> read_pointer(std::string& stream);

  UrlBase base_;
  std::string stream_by_;
  std::vector<std::string> pointer_;  // stream_by_ split and unescaped
  std::string default_stream_;
  std::string content_type_;
  std::string url_, method_;  // of lines without url; url_ is empty if there must be none
  std::vector<std::string> headers_;
  JsonMembers fields_;     // of the line
  JsonMembers inner_;      // of a value in it
  std::string_view line_;  // the one being parsed
};

/// Sets headers[used] to "name: value" and counts it, re-using the string that is there.
void put_header(std::vector<std::string>& headers, std::size_t& used, std::string_view name, std::string_view value);

}  // namespace pawl::input

// Input: turns a file, a pipe or a folder into requests, one at a time, in memory bounded by the longest line.
//
// Use one Reader per input; it is what an input thread calls between two submits. Not for random access, and not for
// JSON documents that span several lines (make one object a line first).
//
// Formats
//   batch  one JSON object a line, the OpenAI Batch input line: custom_id, method, url, body; optional stream, headers
//          (an object of strings; a Content-Type in it replaces the default). The body is taken byte for byte. A body
//          is required for POST, PUT and PATCH; for GET and DELETE it may be missing or null, which both mean none.
//          A body that is not JSON is a string beside "body_encoding": "text" or "base64"; custom_id and stream that
//          are not text are base64 beside "custom_id_encoding" and "stream_encoding": "base64".
//   lines  a line is a body, or is put into `body_template`. The id is NAME:LINE.
//   urls   a line is a URL to GET; lines that begin with '#' are comments. The id is the URL itself: it stays the same
//          when lines move, which is what git scraping wants.
//   files  each file below a folder is a body, in bytewise order of the relative paths, which are the ids; or one file.
//
// All line formats: UTF-8 (a byte order mark at the start is dropped), LF or CRLF, a last line without line end is a
// line, lines of white space are skipped but counted, NUL bytes are errors. Lines and columns count from 1, columns in
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/error.h>
#include <pawl/export.h>
#include <pawl/task.h>

namespace pawl::input {

enum class Format : std::uint8_t {
  automatic,  // a folder: files; else by the first line that is not blank: JSON with custom_id: batch, http(s): urls
  batch,
  lines,
  urls,
  files,
};

/// "auto", "batch", "lines", "urls", "files": the command line's spelling.
[[nodiscard]] PAWL_API std::string_view name_of(Format format) noexcept;

/// A header of this name carries credentials: Authorization, Cookie, X-API-Key and the like; one of its words is auth,
/// authorization, cookie, credential, key, password, secret, signature or token. (Not Idempotency-Key.)
[[nodiscard]] PAWL_API bool names_a_secret(std::string_view header_name) noexcept;

struct PAWL_API Options {
  Format format = Format::automatic;

  /// JSON pointer (RFC 6901) into a line's JSON: the stream of a task that has no "stream" field. A string is taken as
  /// it is, integers and booleans as their text. Empty: none. batch and lines only.
  std::string stream_by = {};

  /// What a URL that begins with '/' is joined to, such as "https://api.example/v1". Its path is dropped if the URL
  /// begins with it already. Empty: every URL must be absolute.
  std::string base_url = {};

  /// Where lines and files are sent; absolute, or joined to base_url. Required for these two. Batch lines that have no
  /// url go there, too, and may lack the method then, as those of services that are told it once for all lines.
  std::string url = {};

  /// GET, POST, PUT, PATCH or DELETE. Empty: POST for lines, files and batch lines without url, GET for urls. Ignored
  /// for batch lines with url.
  std::string method = {};

  /// Empty: application/json for batch, and for lines if there is a template or the first line begins with '{' or '[';
  /// text/plain; charset=utf-8 for other lines; application/octet-stream for files; none for urls.
  std::string content_type = {};

  /// lines only: the body, with {line} replaced by the line and {line:json} by the line as a JSON string, quotes
  /// included. Other braces stay. Empty: the body is the line.
  std::string body_template = {};

  /// "Name: value", put on every request; a header of the same name in a batch line wins. Not Content-Type.
  std::vector<std::string> headers = {};

  /// Bytes; 1 … 1 GiB. Longest line, and largest file of format files.
  std::size_t line_bytes_max = std::size_t{64} << 20;

  /// files only: a folder that is passed over with all that is in it, wherever it lies below the source; it may come to
  /// be while the source is read. Empty: none.
  std::string passed_over = {};

  /// While this descriptor is readable (or its other end closed), reading ends: next() returns false. Borrowed; -1:
  /// none.
  int cancel_fd = -1;

  /// Says which option is wrong and why. Errors: usage.
  [[nodiscard]] Result<void> validate() const;
};

struct Source {
  std::string path;  // "-": standard input
  std::string name;  // in ids (NAME:LINE) and as the default stream; empty: source_name(path)
  int fd = -1;       // read instead of `path`, by which messages then call it; a duplicate of it is. Not for files
};

/// The last component of a path: "data/in.jsonl" → "in.jsonl", "." → the current folder's, "-" → "stdin". Not empty.
[[nodiscard]] PAWL_API std::string source_name(std::string_view path);

/// Reads one source. Not thread-safe: one thread at a time. open() and next() block in read(2) and poll(2) alone.
class PAWL_API Reader {
 public:
  /// Opens the source. With Format::automatic it waits for the first line that is not blank, to choose the format.
  /// Errors: usage (as validate(), or an option does not fit the chosen format), input (missing or unreadable; the
  /// first line is over-long), io.
  [[nodiscard]] static Result<std::unique_ptr<Reader>> open(Source source, Options options);

  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// Reads the next task into `request`, re-using its buffers: stream, id, method, url, content_type, headers and body;
  /// the other fields stay. true: a task. false: the end, or cancelled.
  /// Errors: input: this line or file is bad and was passed over, the next call goes on behind it; `request` then holds
  /// unspecified values; context is `FILE:LINE[:COLUMN]: what was expected, what was found`.
  /// io: reading failed; the next call returns false.
  [[nodiscard]] Result<bool> next(Request& request) noexcept;

  /// The format in use, never `automatic`.
  [[nodiscard]] Format format() const noexcept;

  /// For a person: "batch: line 1 is a JSON object with a custom_id".
  [[nodiscard]] const std::string& how_chosen() const noexcept;

  /// Number of the line (files: of the file) that next() last looked at; 0 before the first.
  [[nodiscard]] std::uint64_t line() const noexcept;

  /// Bytes read so far; runs ahead of the tasks by less than a chunk and a line.
  [[nodiscard]] std::uint64_t bytes_read() const noexcept;

  /// What bytes_read() will come to: for regular files, if nobody writes to them meanwhile. Unknown for pipes and
  /// folders.
  [[nodiscard]] std::optional<std::uint64_t> bytes_total() const noexcept;

  /// next() returned false because of cancel_fd, not because the input ended.
  [[nodiscard]] bool cancelled() const noexcept;

 private:
  struct PAWL_LOCAL Impl;
  explicit Reader(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pawl::input

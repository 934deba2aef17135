#include "options.h"

#include <filesystem>
#include <string>
#include <system_error>

#include "fault.h"
#include "text.h"
#include "url.h"

namespace pawl::input {
namespace {

constexpr std::size_t kLineBytesLimit = std::size_t{1} << 30;

std::unexpected<Error> wrong(std::string_view option, std::string_view expected, std::string_view got) {
  std::string context = "input option ";
  context.append(option).append(": expected ").append(expected).append(", got ").append(got);
  return failure(ErrorCode::usage, std::move(context));
}

Result<void> check_pointer(std::string_view pointer) {
  constexpr std::string_view kExpected = "a JSON pointer such as /body/user (RFC 6901)";
  if (!pointer.empty() && !pointer.starts_with('/')) return wrong("stream_by", kExpected, in_quotes(pointer));
  for (std::size_t at = pointer.find('~'); at != std::string_view::npos; at = pointer.find('~', at + 1)) {
    if (at + 1 == pointer.size() || (pointer[at + 1] != '0' && pointer[at + 1] != '1')) {
      return wrong("stream_by", "~0 for '~' and ~1 for '/' in a JSON pointer", in_quotes(pointer));
    }
  }
  return {};
}

Result<void> check_urls(const Options& options) {
  if (!options.base_url.empty()) {
    if (auto fault = find_url_fault(options.base_url)) return wrong("base_url", *fault, shown_url(options.base_url));
    if (options.base_url.find_first_of("?#") != std::string::npos) {
      return wrong("base_url", "a URL without query and fragment", shown_url(options.base_url));
    }
  }
  if (options.url.starts_with('/')) {
    if (options.base_url.empty())
      return wrong("url", "an absolute URL, or a base_url beside it", shown_url(options.url));
    std::string joined;
    UrlBase(options.base_url).join(options.url, joined);
    if (auto fault = find_url_fault(joined)) return wrong("url", *fault, shown_url(options.url));
  } else if (!options.url.empty()) {
    if (auto fault = find_url_fault(options.url)) return wrong("url", *fault, shown_url(options.url));
  }
  return {};
}

Result<void> check_headers(const Options& options) {
  for (const std::string& header : options.headers) {
    const std::size_t colon = header.find(':');
    if (colon == std::string::npos || !is_header_name(std::string_view(header).substr(0, colon)) ||
        !is_header_value(header)) {
      return wrong("headers", "\"Name: value\" on one line", "another form");  // its value may be a secret
    }
    if (equal_ignoring_case(std::string_view(header).substr(0, colon), "Content-Type")) {
      return wrong("headers", "Content-Type to be set as content_type", in_quotes(header));
    }
  }
  return {};
}

}  // namespace

std::string_view name_of(Format format) noexcept {
  switch (format) {
    case Format::automatic: return "auto";
    case Format::batch: return "batch";
    case Format::lines: return "lines";
    case Format::urls: return "urls";
    case Format::files: return "files";
  }
  return "unknown";
}

Result<void> Options::validate() const {
  if (auto checked = check_pointer(stream_by); !checked) return checked;
  if (auto checked = check_urls(*this); !checked) return checked;
  if (auto checked = check_headers(*this); !checked) return checked;
  if (!method.empty() && !is_method(method)) return wrong("method", kMethods, in_quotes(method));
  if (!is_header_value(content_type)) return wrong("content_type", "one line", in_quotes(content_type));
  if (auto fault = find_text_fault(body_template)) return wrong("body_template", "UTF-8 without NUL", fault->what);
  if (line_bytes_max < 1 || line_bytes_max > kLineBytesLimit) {
    return wrong("line_bytes_max", "1 to 1073741824 bytes", std::to_string(line_bytes_max));
  }
  if (format != Format::automatic) return check_fit(*this, format);
  return {};
}

Result<void> check_fit(const Options& options, Format format) {
  const std::string for_format = " for format " + std::string(name_of(format));
  if ((format == Format::lines || format == Format::files) && options.url.empty()) {
    return wrong("url", "the URL to send each task to" + for_format, "nothing");
  }
  if (format != Format::lines && !options.body_template.empty()) {
    return wrong("body_template", "nothing" + for_format + " (it is for lines)", in_quotes(options.body_template));
  }
  if (format != Format::lines && format != Format::batch && !options.stream_by.empty()) {
    return wrong("stream_by", "nothing" + for_format + " (it is for batch and lines)", in_quotes(options.stream_by));
  }
  return {};
}

std::string source_name(std::string_view path) {
  if (path == "-") return "stdin";
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const std::string_view name = path.substr(path.find_last_of('/') + 1);
  if (!name.empty() && name != "." && name != "..") return std::string(name);
  // "/", ".", "..": only the file system knows what they are called.
  std::error_code error;
  const std::string real = std::filesystem::canonical(std::filesystem::path(path), error).filename().string();
  return error || real.empty() ? "root" : real;
}

}  // namespace pawl::input

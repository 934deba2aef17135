#include "request_parser.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace pawl::mockapi {
namespace {

constexpr std::size_t kKeptBody = 16 * 1024;  // of buffers between requests, so that idle connections stay small

constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr auto kTokenTable = make_token_table();

bool is_token(std::string_view text) noexcept {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return kTokenTable[static_cast<unsigned char>(c)]; });
}

bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

bool has_control(std::string_view text) noexcept {
  return std::ranges::any_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
  });
}

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

template <class Text>
void forget(Text& text) noexcept {
  text.clear();
  if (text.capacity() > kKeptBody) Text().swap(text);
}

}  // namespace

bool same_token(std::string_view left, std::string_view right) noexcept {
  return left.size() == right.size() &&
         std::equal(left.begin(), left.end(), right.begin(), [](char a, char b) { return lower(a) == lower(b); });
}

bool RequestParser::fail(int status, std::string_view reason) noexcept {
  phase_ = Phase::failed;
  failure_status_ = status;
  failure_reason_ = reason;
  return false;
}

std::size_t RequestParser::consume(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size() && !complete() && !failed()) {
    switch (phase_) {
      case Phase::head: take_head_line(bytes, at); break;
      case Phase::body:
      case Phase::chunk_data: take_data(bytes, at); break;
      case Phase::chunk_size: take_chunk_size(bytes, at); break;
      case Phase::chunk_end: take_chunk_end(bytes, at); break;
      case Phase::trailer: take_trailer_line(bytes, at); break;
      case Phase::complete:
      case Phase::failed: break;
    }
  }
  return at;
}

bool RequestParser::take_line(std::string_view bytes, std::size_t& at, std::string& line, std::size_t limit,
                              int status_beyond) {
  const std::size_t newline = bytes.find('\n', at);
  const std::size_t end = newline == std::string_view::npos ? bytes.size() : newline + 1;
  if (line.size() + (end - at) > limit) {
    at = end;
    return fail(status_beyond, "a line or the header section is too long");
  }
  line.append(bytes, at, end - at);
  at = end;
  if (newline == std::string_view::npos) return false;
  if (line.size() < 2 || line[line.size() - 2] != '\r') return fail(400, "a line does not end in CR LF");
  return true;
}

void RequestParser::take_head_line(std::string_view bytes, std::size_t& at) {
  if (!take_line(bytes, at, head_, kHeadBytesMax, 431)) return;
  const std::size_t length = head_.size() - line_begin_;
  if (length > 2) {
    line_begin_ = head_.size();
  } else if (line_begin_ == 0) {
    head_.clear();  // an empty line before the request line is ignored (RFC 9112 section 2.2)
  } else {
    finish_head();
  }
}

void RequestParser::finish_head() {
  std::string_view rest(head_);
  bool first = true;
  while (rest.size() > 2) {
    const std::size_t end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, end);
    if (has_control(line)) {
      fail(400, "a control character in the header section");
      return;
    }
    if (!(first ? parse_request_line(line) : parse_header(line))) return;
    first = false;
    rest.remove_prefix(end + 2);
  }
  begin_body();
}

bool RequestParser::parse_request_line(std::string_view line) {
  const std::size_t space = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (space == std::string_view::npos || last == space) return fail(400, "the request line needs three parts");
  request_.method = line.substr(0, space);
  std::string_view target = line.substr(space + 1, last - space - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(request_.method)) return fail(400, "the method is not a token");
  if (target.empty() || target.find_first_of(" \t") != std::string_view::npos)
    return fail(400, "the request target is empty or has a blank in it");
  if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.')
    return fail(400, "the protocol is not HTTP");
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return fail(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  request_.http_1_0 = version.back() == '0';
  request_.keep_alive = !request_.http_1_0;
  constexpr std::string_view kScheme = "http://";
  if (target.size() > kScheme.size() && same_token(target.substr(0, kScheme.size()), kScheme)) {
    const std::size_t slash = target.find('/', kScheme.size());
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  } else if (target.front() != '/' && target != "*") {
    return fail(400, "the request target is not a path");
  }
  request_.path = target.substr(0, target.find_first_of("?#"));
  return true;
}

bool RequestParser::parse_header(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
    return fail(400, "a header line is not 'Name: value'");
  const Header header{line.substr(0, colon), trimmed(line.substr(colon + 1))};
  request_.headers.push_back(header);
  return note_header(header);
}

bool RequestParser::note_header(const Header& header) {
  switch (header.name.size()) {
    case 4:
      if (same_token(header.name, "host")) ++hosts_;
      return true;
    case 6:
      if (same_token(header.name, "expect")) {
        if (!same_token(header.value, "100-continue")) return fail(417, "only 100-continue can be expected");
        expects_continue_ = !request_.http_1_0;
      }
      return true;
    case 10: return same_token(header.name, "connection") ? note_connection(header.value) : true;
    case 12:
      if (same_token(header.name, "content-type")) request_.content_type = header.value;
      return true;
    case 14: return same_token(header.name, "content-length") ? note_content_length(header.value) : true;
    case 15:
      if (same_token(header.name, "idempotency-key")) request_.idempotency_key = header.value;
      return true;
    case 17:
      if (!same_token(header.name, "transfer-encoding")) return true;
      if (request_.http_1_0 || chunked_) return fail(400, "Transfer-Encoding where there can be none");
      if (!same_token(header.value, "chunked")) return fail(501, "only the chunked transfer coding is known");
      chunked_ = true;
      return true;
    default: return true;
  }
}

bool RequestParser::note_content_length(std::string_view value) {
  std::uint64_t length = 0;
  const bool digits = !value.empty() && std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; });
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
  if (!digits || end != value.data() + value.size()) return fail(400, "Content-Length is not a number");
  if (error != std::errc{}) return fail(413, "the body is too large");
  if (has_content_length_ && length != content_length_) return fail(400, "two different Content-Lengths");
  has_content_length_ = true;
  content_length_ = length;
  return true;
}

bool RequestParser::note_connection(std::string_view value) {
  while (!value.empty()) {
    const std::size_t comma = value.find(',');
    const std::string_view option = trimmed(value.substr(0, comma));
    if (same_token(option, "close")) request_.keep_alive = false;
    if (same_token(option, "keep-alive") && request_.http_1_0) request_.keep_alive = true;
    value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
  }
  return true;
}

void RequestParser::begin_body() {
  if (hosts_ > 1 || (hosts_ == 0 && !request_.http_1_0)) {
    fail(400, "HTTP/1.1 needs one Host header");
  } else if (chunked_ && has_content_length_) {
    fail(400, "both Content-Length and Transfer-Encoding");
  } else if (chunked_) {
    phase_ = Phase::chunk_size;
  } else if (content_length_ > max_body_bytes_) {
    fail(413, "the body is too large");
  } else {
    data_left_ = content_length_;
    phase_ = data_left_ == 0 ? Phase::complete : Phase::body;
  }
}

void RequestParser::take_data(std::string_view bytes, std::size_t& at) {
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(data_left_, bytes.size() - at));
  request_.body.append(bytes, at, count);
  at += count;
  data_left_ -= count;
  if (data_left_ == 0) phase_ = phase_ == Phase::body ? Phase::complete : Phase::chunk_end;
}

void RequestParser::take_chunk_size(std::string_view bytes, std::size_t& at) {
  if (!take_line(bytes, at, line_, kChunkLineBytesMax, 400)) return;
  std::uint64_t size = 0;
  const auto [end, error] = std::from_chars(line_.data(), line_.data() + line_.size() - 2, size, 16);
  const bool ends_well = *end == '\r' || *end == ';' || is_blank(*end);
  if (error == std::errc::result_out_of_range ||
      (error == std::errc{} && size > max_body_bytes_ - request_.body.size())) {
    fail(413, "the body is too large");
  } else if (error != std::errc{} || !ends_well || has_control(std::string_view(line_).substr(0, line_.size() - 2))) {
    fail(400, "a chunk size is not a hexadecimal number");
  } else {
    data_left_ = size;
    phase_ = size == 0 ? Phase::trailer : Phase::chunk_data;
  }
  line_.clear();
}

void RequestParser::take_chunk_end(std::string_view bytes, std::size_t& at) {
  constexpr std::size_t kLineEnd = 2;
  if (!take_line(bytes, at, line_, kLineEnd, 400)) return;
  line_.clear();
  phase_ = Phase::chunk_size;
}

void RequestParser::take_trailer_line(std::string_view bytes, std::size_t& at) {
  if (!take_line(bytes, at, line_, kHeadBytesMax - trailer_bytes_, 431)) return;
  trailer_bytes_ += line_.size();
  if (line_.size() == 2) phase_ = Phase::complete;
  line_.clear();
}

bool RequestParser::take_expectation() noexcept {
  const bool body_to_come = (phase_ == Phase::body && request_.body.empty()) || (phase_ == Phase::chunk_size);
  const bool expected = expects_continue_ && body_to_come && request_.body.empty() && line_.empty();
  if (expected) expects_continue_ = false;
  return expected;
}

void RequestParser::next() noexcept {
  phase_ = Phase::head;
  forget(head_);
  forget(line_);
  line_begin_ = 0;
  trailer_bytes_ = 0;
  data_left_ = 0;
  content_length_ = 0;
  has_content_length_ = false;
  chunked_ = false;
  expects_continue_ = false;
  hosts_ = 0;
  failure_status_ = 0;
  failure_reason_ = {};
  request_.method = {};
  request_.path = {};
  request_.content_type = {};
  request_.idempotency_key = {};
  forget(request_.headers);
  forget(request_.body);
  request_.keep_alive = true;
  request_.http_1_0 = false;
}

}  // namespace pawl::mockapi

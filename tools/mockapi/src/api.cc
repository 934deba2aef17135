#include "api.h"

#include <array>
#include <charconv>
#include <chrono>

#include "random.h"

namespace pawl::mockapi {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::size_t kEmbeddingSize = 8;
constexpr std::string_view kDefaultModel = "mock-1";

// FNV-1a: good enough to tell requests apart, and the same everywhere.
std::uint64_t hash_of(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

// As crude as a rule of thumb for tokens is: four bytes each, at least one.
std::uint64_t tokens_in(std::string_view text) noexcept { return text.size() / 4 + 1; }

void append_usage(std::string& out, std::uint64_t prompt_tokens, std::uint64_t completion_tokens) {
  out += R"("usage":{"prompt_tokens":)";
  append_number(out, prompt_tokens);
  out += R"(,"completion_tokens":)";
  append_number(out, completion_tokens);
  out += R"(,"total_tokens":)";
  append_number(out, prompt_tokens + completion_tokens);
  out += '}';
}

void method_not_allowed(Answer& answer, std::string_view allowed) {
  Api::error(answer, 405, "invalid_request_error", "method_not_allowed", "this method is not allowed here");
  answer.headers += "Allow: ";
  answer.headers += allowed;
  answer.headers += "\r\n";
}

bool reads(const Request& request) noexcept { return request.method == "GET" || request.method == "HEAD"; }

void echo(const Request& request, Answer& answer) {
  if (!reads(request)) {
    answer.content_type = request.content_type.empty() ? "application/octet-stream" : request.content_type;
    answer.body = request.body;
    return;
  }
  std::string& out = answer.body;
  out += R"({"method":")";
  append_escaped(out, request.method);
  out += R"(","path":")";
  append_escaped(out, request.path);
  out += R"(","headers":[)";
  for (const Header& header : request.headers) {
    if (&header != request.headers.data()) out += ',';
    out += R"({"name":")";
    append_escaped(out, header.name);
    out += R"(","value":")";
    append_escaped(out, header.value);
    out += R"("})";
  }
  out += "]}";
}

void status(std::string_view number, Answer& answer) {
  int code = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), code);
  if (error != std::errc{} || end != number.data() + number.size() || code < 200 || code > 599) {
    Api::error(answer, 400, "invalid_request_error", "invalid_status", "the path is /status/200 to /status/599");
    return;
  }
  if (code >= 400) {
    Api::error(answer, code, "mock_error", "mock_status", "the path asked for this status");
    return;
  }
  answer.status = code;
  if (code == 204 || code == 205 || code == 304) {
    answer.content_type.clear();
    return;
  }
  answer.body += R"({"status":)";
  append_number(answer.body, static_cast<std::uint64_t>(code));
  answer.body += '}';
}

}  // namespace

void append_number(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), end);
}

void Answer::reset() {
  constexpr std::size_t kKeptCapacity = 64 * 1024;
  status = 200;
  content_type = kJson;
  headers.clear();
  body.clear();
  if (body.capacity() > kKeptCapacity) std::string().swap(body);
}

void Api::error(Answer& answer, int status, std::string_view type, std::string_view code, std::string_view message) {
  answer.status = status;
  answer.content_type = kJson;
  std::string& out = answer.body;
  out = R"({"error":{"message":")";
  append_escaped(out, message);
  out += R"(","type":")";
  out += type;
  out += R"(","param":null,"code":")";
  out += code;
  out += R"("}})";
}

void Api::answer(const Request& request, Answer& answer) {
  constexpr std::string_view kStatus = "/status/";
  const std::string_view path = request.path;
  using Handler = void (Api::*)(const Request&, Answer&);
  constexpr std::array<std::pair<std::string_view, Handler>, 3> kPosted = {{
      {"/v1/chat/completions", &Api::chat_completion},
      {"/v1/completions", &Api::completion},
      {"/v1/embeddings", &Api::embeddings},
  }};
  for (const auto& [posted_path, handler] : kPosted) {
    if (path != posted_path) continue;
    if (request.method != "POST") return method_not_allowed(answer, "POST");
    return (this->*handler)(request, answer);
  }
  if (path == "/echo") return echo(request, answer);
  if (path.starts_with(kStatus)) return status(path.substr(kStatus.size()), answer);
  error(answer, 404, "invalid_request_error", "not_found", "there is no such path");
}

bool Api::scan(const Request& request, Answer& answer) {
  const bool valid = scan_.scan(request.body);
  if (valid && scan_.is_object()) return true;
  std::string message = "the body is not a JSON object";
  if (!valid) message = "the body is not valid JSON: byte " + std::to_string(scan_.failed_at());
  error(answer, 400, "invalid_request_error", "invalid_json", message);
  return false;
}

std::int64_t Api::created() const {
  if (settings_.created != 0) return settings_.created;
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void Api::begin_object(const Request& request, Answer& answer, std::string_view id_prefix, std::string_view object) {
  std::string& out = answer.body;
  std::array<char, 16> id;
  const auto [end, error] = std::to_chars(id.data(), id.data() + id.size(), hash_of(request.body), 16);
  out += R"({"id":")";
  out += id_prefix;
  out.append(static_cast<std::size_t>(id.data() + id.size() - end), '0').append(id.data(), end);
  out += R"(","object":")";
  out += object;
  out += R"(","created":)";
  out += std::to_string(created());
  out += R"(,"model":")";
  out += scan_.model().empty() ? kDefaultModel : scan_.model();
  out += R"(",)";
}

void Api::finish_object(Answer& answer) const {
  constexpr std::string_view kBegin = R"(,"padding":")";
  constexpr std::string_view kEnd = R"("})";
  std::string& out = answer.body;
  const std::size_t least = out.size() + kBegin.size() + kEnd.size();
  if (settings_.body_bytes < least) {
    out += '}';
    return;
  }
  out += kBegin;
  out.append(settings_.body_bytes - least, 'x');
  out += kEnd;
}

void Api::chat_completion(const Request& request, Answer& answer) {
  if (!scan(request, answer)) return;
  begin_object(request, answer, "chatcmpl-", "chat.completion");
  std::string& out = answer.body;
  out += R"("choices":[{"index":0,"message":{"role":"assistant","content":")";
  out += scan_.content();
  out += R"("},"logprobs":null,"finish_reason":"stop"}],)";
  append_usage(out, tokens_in(request.body), tokens_in(scan_.content()));
  finish_object(answer);
}

void Api::completion(const Request& request, Answer& answer) {
  if (!scan(request, answer)) return;
  begin_object(request, answer, "cmpl-", "text_completion");
  std::string& out = answer.body;
  out += R"("choices":[{"index":0,"text":")";
  out += scan_.content();
  out += R"(","logprobs":null,"finish_reason":"stop"}],)";
  append_usage(out, tokens_in(request.body), tokens_in(scan_.content()));
  finish_object(answer);
}

void Api::embeddings(const Request& request, Answer& answer) {
  if (!scan(request, answer)) return;
  std::string& out = answer.body;
  out += R"({"object":"list","data":[)";
  for (std::size_t i = 0; i < scan_.inputs().size(); ++i) {
    if (i > 0) out += ',';
    out += R"({"object":"embedding","index":)";
    append_number(out, i);
    out += R"(,"embedding":[)";
    Random random(hash_of(scan_.inputs()[i]));
    for (std::size_t k = 0; k < kEmbeddingSize; ++k) {
      if (k > 0) out += ',';
      out += std::to_string(random.unit() * 2 - 1);
    }
    out += "]}";
  }
  out += R"(],"model":")";
  out += scan_.model().empty() ? kDefaultModel : scan_.model();
  out += R"(",)";
  append_usage(out, tokens_in(request.body), 0);
  finish_object(answer);
}

std::string_view reason_phrase(int status) noexcept {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: break;
  }
  if (status < 300) return "Success";
  if (status < 400) return "Redirection";
  return status < 500 ? "Client Error" : "Server Error";
}

}  // namespace pawl::mockapi

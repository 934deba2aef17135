// The settings file: `name=value` lines, a name once for each value; control characters and '%' percent-encoded.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include "options.h"

namespace pawl::tool {
namespace {

constexpr const char* kFirstLine = "pawl settings 1";

std::string encode(const std::string& text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == '%' || byte == 0x7f)
      ((out += '%') += kHex[byte >> 4]) += kHex[byte & 15];
    else
      out += c;
  }
  return out;
}

bool decode(std::string_view text, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned byte = 0;
    if (i + 2 >= text.size()) return false;
    const auto [end, problem] = std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16);
    if (problem != std::errc{} || end != text.data() + i + 3) return false;
    out += static_cast<char>(byte);
    i += 2;
  }
  return true;
}

bool parse(const std::string& text, std::string& value) { return value = text, true; }
bool parse(const std::string& text, bool& value) { return value = text == "1", text == "1" || text == "0"; }
bool parse(const std::string& text, Duration& value) { return lexical_cast(text, value); }
bool parse(const std::string& text, RateText& value) { return lexical_cast(text, value); }
template <class Number>
bool parse(const std::string& text, Number& value) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  return problem == std::errc{} && end == text.data() + text.size();
}
std::string text_of(const std::string& value) { return value; }
std::string text_of(bool value) { return value ? "1" : "0"; }
std::string text_of(Duration value) { return to_text(value); }
std::string text_of(const RateText& value) { return to_text(value); }
template <class Number>
std::string text_of(Number value) {
  return std::to_string(value);
}

template <class Options, class Visit>
void each_setting(Options& options, Visit&& visit) {
  visit("api", options.api);
  visit("builtin-latency", options.builtin_latency);
  visit("header-file", options.header_file);
  visit("bearer-env", options.bearer_env);
  visit("parallel-max", options.parallel_max);
  visit("parallel-max-host", options.parallel_max_host);
  visit("stream-serial", options.stream_serial);
  visit("budget-calls", options.budget_calls);
  visit("budget-tokens", options.budget_tokens);
  visit("budget-tokens-by", options.budget_tokens_by);
  visit("budget-time", options.budget_time);
  visit("call-threads", options.call_threads);
  visit("retry", options.retry);
  visit("retry-delay", options.retry_delay);
  visit("retry-max-time", options.retry_max_time);
  visit("max-time", options.max_time);
  visit("connect-timeout", options.connect_timeout);
  visit("max-time-first-byte", options.max_time_first_byte);
  visit("idle-timeout", options.idle_timeout);
  visit("rate", options.rate);
  visit("rate-tokens", options.rate_tokens);
  visit("tokens-by", options.tokens_by);
  visit("adaptive", options.adaptive);
  visit("breaker", options.breaker);
  visit("max-response-bytes", options.max_response_bytes);
  visit("proxy", options.proxy);
  visit("unix-socket", options.unix_socket);
  visit("cacert", options.cacert);
  visit("compressed", options.compressed);
  visit("location", options.location);
  visit("http2", options.http2);
  visit("http2-prior-knowledge", options.http2_prior_knowledge);
  visit("layout", options.layout);
  visit("path", options.path);
  visit("normalise", options.normalise);
  visit("message", options.message);
  visit("sign", options.sign);
  visit("no-sign", options.no_sign);
  visit("run-notes", options.run_notes);
  visit("push", options.push);
  visit("branch", options.branch);
  visit("commit-tasks", options.commit_tasks);
  visit("commit-every", options.commit_every);
  visit("lock-wait", options.lock_wait);
  visit("no-worktree", options.no_worktree);
  visit("tasks-in-flight", options.tasks_in_flight);
  visit("bytes-in-flight", options.bytes_in_flight);
  visit("drain-timeout", options.drain_timeout);
  visit("durability", options.durability);
  visit("on-unknown", options.on_unknown);
  visit("on-failure", options.on_failure);
  visit("log", options.log);
  visit("log-format", options.log_format);
  visit("log-level", options.log_level);
  visit("joblog", options.joblog);
  visit("metrics", options.metrics);
  visit("last-run", options.last_run);
}

bool sync_and_close(int fd) {
  const bool synced = ::fsync(fd) == 0;
  const int why = errno;
  ::close(fd);
  errno = why;
  return synced;
}

/// `file` has the old content or the new one, whenever the power goes; false: errno says why.
bool replace_durably(const std::string& file, std::string_view content) {
  const std::string fresh = file + ".tmp";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  while (!content.empty()) {
    const ssize_t wrote = ::write(fd, content.data(), content.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      const int why = errno;
      ::close(fd);
      errno = why;
      return false;
    }
    content.remove_prefix(static_cast<std::size_t>(wrote));
  }
  if (!sync_and_close(fd) || std::rename(fresh.c_str(), file.c_str()) != 0) return false;
  const std::size_t slash = file.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : file.substr(0, slash + 1);
  const int above = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return above >= 0 && sync_and_close(above);
}

}  // namespace

Result<void> write_settings(const RunOptions& options, const std::string& file) {
  std::ostringstream out;
  out << kFirstLine << '\n';
  each_setting(options,
               [&](const char* name, const auto& value) { out << name << '=' << encode(text_of(value)) << '\n'; });
  for (const auto& header : options.headers) out << "header=" << encode(header) << '\n';
  for (const auto& trailer : options.trailers) out << "trailer=" << encode(trailer) << '\n';
  if (!replace_durably(file, out.str()))
    return failure(ErrorCode::io, "cannot write " + file + ": " + std::strerror(errno), errno);
  return {};
}

Result<void> read_settings(RunOptions& options, const std::string& file) {
  std::ifstream in(file);
  if (!in && errno == ENOENT) return {};
  if (!in) return failure(ErrorCode::io, "cannot read " + file + ": " + std::strerror(errno), errno);
  std::string line;
  const auto damaged = [&](unsigned number) {
    return failure(ErrorCode::usage, file + ":" + std::to_string(number) + ": expected name=value, got '" + line + "'");
  };
  if (!std::getline(in, line) || line != kFirstLine) return damaged(1);
  options.headers.clear();
  options.trailers.clear();
  for (unsigned number = 2; std::getline(in, line); ++number) {
    const auto equals = line.find('=');
    std::string value;
    if (equals == std::string::npos || !decode(std::string_view(line).substr(equals + 1), value))
      return damaged(number);
    const std::string_view name = std::string_view(line).substr(0, equals);
    bool fine = true;
    if (name == "header") options.headers.push_back(value);
    if (name == "trailer") options.trailers.push_back(value);
    each_setting(options, [&](const char* known, auto& setting) {
      if (name == known) fine = parse(value, setting);
    });
    if (!fine) return damaged(number);
  }
  return {};
}

}  // namespace pawl::tool

// Names of runs, records and files: from the user's bytes to what git, POSIX and people can live with.
#include <openssl/sha.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>

#include <pawl/git.h>

#include "hex.h"

namespace pawl::git {
namespace {

constexpr std::string_view kRecordPrefix = "pawl-";
constexpr std::size_t kRunDigits = 16;

constexpr std::size_t kMaxComponent = 200;
constexpr std::size_t kHashDigits = 32;  // 128 bits of SHA-256, at least

bool is_safe(char c) noexcept {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

void append_escaped(std::string& out, char c) {
  const auto byte = static_cast<std::uint8_t>(c);
  out += '%';
  out += kUpperHex[byte >> 4];
  out += kUpperHex[byte & 15];
}

bool first_dot_must_go(std::string_view name) noexcept {
  if (name == "." || name == "..") return true;
  constexpr std::string_view kDotGit = ".git";
  if (name.size() < kDotGit.size()) return false;
  for (std::size_t i = 0; i < kDotGit.size(); ++i) {
    const char c = name[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c) != kDotGit[i]) return false;
  }
  return true;
}

// Cuts to exactly kMaxComponent bytes: a prefix that ends with no half %XX, a dot, and as many digits of the
// name's hash as fit.
void cut(std::string& component, std::string_view name) {
  std::array<std::uint8_t, SHA256_DIGEST_LENGTH> hash;
  SHA256(reinterpret_cast<const unsigned char*>(name.data()), name.size(), hash.data());
  std::size_t prefix = kMaxComponent - 1 - kHashDigits;
  for (std::size_t back = 1; back <= 2; ++back) {
    if (component[prefix - back] == '%') {
      prefix -= back;
      break;
    }
  }
  component.resize(prefix);
  component += '.';
  for (std::size_t digit = 0; component.size() < kMaxComponent; ++digit) {
    const std::uint8_t byte = hash[digit / 2];
    component += kLowerHex[digit % 2 == 0 ? byte >> 4 : byte & 15];
  }
}

}  // namespace

std::string run_name(std::uint64_t run) {
  constexpr std::uint64_t kMicrosPerSecond = 1'000'000;
  const auto seconds = static_cast<std::time_t>(run / kMicrosPerSecond);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 64> text;
  const int size = std::snprintf(text.data(), text.size(), "%04lld-%02d-%02dT%02d:%02d:%02d.%06lluZ",
                                 1900LL + utc.tm_year, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                                 static_cast<unsigned long long>(run % kMicrosPerSecond));
  return {text.data(), static_cast<std::size_t>(size)};
}

std::string record_id(TaskId task_id) {
  std::string text(kRecordPrefix);
  for (int shift = 60; shift >= 0; shift -= 4) text += kLowerHex[(task_id.run >> shift) & 15];
  text += '-';
  text += std::to_string(task_id.ordinal);
  return text;
}

std::optional<TaskId> parse_record_id(std::string_view text) {
  if (!text.starts_with(kRecordPrefix)) return std::nullopt;
  const std::string_view run_and_ordinal = text.substr(kRecordPrefix.size());
  if (run_and_ordinal.size() < kRunDigits + 2 || run_and_ordinal[kRunDigits] != '-') return std::nullopt;
  const char* begin = run_and_ordinal.data();
  const char* end = begin + run_and_ordinal.size();
  TaskId task_id;
  const auto run = std::from_chars(begin, begin + kRunDigits, task_id.run, 16);
  const auto ordinal = std::from_chars(begin + kRunDigits + 1, end, task_id.ordinal);
  if (run.ec != std::errc{} || ordinal.ec != std::errc{} || ordinal.ptr != end) return std::nullopt;
  if (record_id(task_id) != text) return std::nullopt;  // one spelling only: no upper case, no leading zero
  return task_id;
}

// Different names give different components:
// - Up to 199 bytes, decoding %XX gives the name back ('%' itself is always escaped), and "%", which decodes to
//   nothing, stands for the empty name alone.
// - A cut component has exactly 200 bytes, so it is never one of those.
// - In two equal cut ones the last dot, after which there are only hex digits, is at the same place, so 32 to 34
//   digits of SHA-256 would have to be equal for different names.
std::string safe_component(std::string_view name) {
  if (name.empty()) return "%";
  std::string component;
  component.reserve(kMaxComponent + 3);
  if (first_dot_must_go(name)) append_escaped(component, '.');
  for (std::size_t i = component.empty() ? 0 : 1; i < name.size() && component.size() < kMaxComponent; ++i) {
    if (is_safe(name[i])) {
      component += name[i];
    } else {
      append_escaped(component, name[i]);
    }
  }
  if (component.size() >= kMaxComponent) cut(component, name);
  return component;
}

std::string record_path(std::string_view stream, std::uint64_t position, std::string_view id) {
  constexpr std::uint64_t kPerFolder = 100;
  std::array<char, 48> fan_out;
  const int size = std::snprintf(fan_out.data(), fan_out.size(), "/%02llu/%02llu/",
                                 static_cast<unsigned long long>(position / (kPerFolder * kPerFolder)),
                                 static_cast<unsigned long long>(position / kPerFolder % kPerFolder));
  std::string path = safe_component(stream);
  path.append(fan_out.data(), static_cast<std::size_t>(size));
  path += safe_component(id);
  path += ".json";
  return path;
}

}  // namespace pawl::git

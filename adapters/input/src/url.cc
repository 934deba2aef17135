#include "url.h"

#include <algorithm>

#include "fault.h"
#include "text.h"

namespace pawl::input {
namespace {

/// Where the authority ends; `url` has an http scheme.
std::size_t authority_end(std::string_view url) noexcept {
  return std::min(url.find_first_of("/?#\\", url.find("://") + 3), url.size());
}

bool is_port(std::string_view text) noexcept {
  if (text.size() > 5 || !std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; })) return false;
  unsigned value = 0;
  for (const char c : text) value = value * 10 + static_cast<unsigned>(c - '0');
  return value <= 65535;
}

}  // namespace

std::optional<std::string> find_url_fault(std::string_view url) {
  if (!has_http_scheme(url)) return "an absolute http or https URL";
  const auto unfit = [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; };
  if (std::ranges::any_of(url, unfit)) return "a URL without spaces and control characters";
  const std::size_t start = url.find("://") + 3;
  std::string_view authority = url.substr(start, authority_end(url) - start);
  if (authority.find('@') != std::string_view::npos) return "a URL without user name and password";
  std::size_t host = authority.find(':');
  if (authority.starts_with('[')) {
    const std::size_t bracket = authority.find(']');
    if (bracket == std::string_view::npos || bracket < 3) return "an IPv6 address in brackets";
    host = bracket + 1;
    if (host < authority.size() && authority[host] != ':') return "a port behind the IPv6 address";
  }
  if (authority.substr(0, host).empty()) return "a URL with a host";
  if (host < authority.size() && !is_port(authority.substr(host + 1))) return "a port of 0 to 65535";
  return std::nullopt;
}

std::string shown_url(std::string_view url) {
  const std::size_t slashes = url.find("//");
  const std::size_t start = slashes == std::string_view::npos ? 0 : slashes + 2;
  // The last one, wherever it is: a password that is not encoded may hold anything.
  const std::size_t at = url.rfind('@');
  if (at == std::string_view::npos || at < start) return in_quotes(url);
  return in_quotes(std::string(url.substr(0, start)).append("[credentials]").append(url.substr(at)));
}

UrlBase::UrlBase(std::string_view url)
    : origin_(url.substr(0, authority_end(url))), path_(url.substr(authority_end(url))) {
  while (path_.ends_with('/')) path_.pop_back();
}

void UrlBase::join(std::string_view path, std::string& out) const {
  out.assign(origin_);
  // From the whole of the base's path on, its ends that begin with a slash; the last one is empty.
  for (std::size_t at = 0; at <= path_.size(); at = std::min(path_.find('/', at + 1), path_.size())) {
    const std::string_view end = std::string_view(path_).substr(at);
    if (path.starts_with(end) && (path.size() == end.size() || std::string_view("/?#").contains(path[end.size()]))) {
      out.append(path_, 0, at).append(path);
      return;
    }
    if (at == path_.size()) break;
  }
  out.append(path_).append(path);
}

}  // namespace pawl::input

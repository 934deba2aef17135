// The little of URLs (RFC 3986) that input has to know: is it one that can be called, and how paths join a base.
//
// Not a URL library: nothing is decoded or normalised; what the user wrote is what is called and recorded.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pawl::input {

/// nullopt: an absolute http or https URL with a host. Else what was expected ("a host behind https://").
/// User names and passwords are refused: a URL goes into the record, and secrets must not.
[[nodiscard]] std::optional<std::string> find_url_fault(std::string_view url);

/// In quotes, for a message: what may be a user name and a password is left out.
[[nodiscard]] std::string shown_url(std::string_view url);

/// A base such as "https://host/v1", ready to be joined to.
class UrlBase {
 public:
  UrlBase() = default;
  /// `url` must be without fault, query and fragment.
  explicit UrlBase(std::string_view url);

  [[nodiscard]] bool empty() const noexcept { return origin_.empty(); }

  /// Writes the absolute form of `path`, which begins with '/', to `out`. What the base's path ends with and `path`
  /// begins with is there once: batch files that say /v1/… meet bases that end in /v1 (OpenAI's) or /openai/v1 (Groq's,
  /// Azure's).
  void join(std::string_view path, std::string& out) const;

 private:
  std::string origin_;  // "https://host:port"
  std::string path_;    // "" or "/v1", no slash at the end
};

}  // namespace pawl::input

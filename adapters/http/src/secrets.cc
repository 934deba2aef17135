#include "secrets.h"

#include <algorithm>
#include <cstdlib>

namespace pawl::http {

namespace {

/// One pass for each secret, however often a server repeats it.
void hide(const std::vector<std::string>& secrets, std::size_t least, std::string& text) {
  for (const std::string& secret : secrets) {
    if (secret.size() < least) continue;
    auto at = text.find(secret);
    if (at == std::string::npos) continue;
    std::string out;
    std::size_t kept = 0;
    for (; at != std::string::npos; at = text.find(secret, kept)) {
      out.append(text, kept, at - kept).append(Secrets::kInstead);
      kept = at + secret.size();
    }
    text = out.append(text, kept);
  }
}

void longest_first(std::vector<std::string>& secrets) {
  std::erase(secrets, std::string());
  std::ranges::sort(secrets, [](const auto& a, const auto& b) { return a.size() > b.size(); });
}

/// "user:password" in front of a proxy's host, in whatever a person may have written there.
void add_credentials(std::string_view proxy, std::vector<std::string>& out) {
  if (const auto scheme = proxy.find("://"); scheme != std::string_view::npos) proxy.remove_prefix(scheme + 3);
  const auto at = proxy.rfind('@');
  if (at == std::string_view::npos) return;
  const std::string_view both = proxy.substr(0, at);
  out.emplace_back(both);
  if (const auto colon = both.find(':'); colon != std::string_view::npos) out.emplace_back(both.substr(colon + 1));
}

}  // namespace

Secrets::Secrets(const Options& options) : sent_(options.secrets) {
  sent_.push_back(options.bearer);
  longest_first(sent_);
  add_credentials(options.proxy, proxies_);
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"})
    if (const char* proxy = std::getenv(name)) add_credentials(proxy, proxies_);
  longest_first(proxies_);
}

void Secrets::hide_in_answer(Outcome& outcome) const {
  if (sent_.empty()) return;
  for (std::string* text : {&outcome.body, &outcome.content_type, &outcome.request_id})
    hide(sent_, kLeastInAnswers, *text);
}

void Secrets::hide_in_message(std::string& text) const {
  hide(sent_, 1, text);
  hide(proxies_, 1, text);
  for (auto scheme = text.find("://"); scheme != std::string::npos; scheme = text.find("://", scheme + 3)) {
    const auto end = std::min(text.find_first_of(" /?#'\"", scheme + 3), text.size());
    const auto at = text.rfind('@', end);
    if (at != std::string::npos && at > scheme + 3 && at < end) text.replace(scheme + 3, at - scheme - 3, kInstead);
  }
}

std::function<void(std::string&)> make_mask(const Options& options) {
  return [secrets = Secrets(options)](std::string& text) { secrets.hide_in_message(text); };
}

}  // namespace pawl::http

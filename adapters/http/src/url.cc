#include "url.h"

#include <string_view>

namespace pawl::http {

namespace {

CurlString part_of(CURLU* handle, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(handle, part, &text, flags) != CURLUE_OK) return nullptr;
  return CurlString(text);
}

}  // namespace

std::string parse_url(CURLU* handle, const std::string& url, std::string* origin) {
  if (url.find('\0') != std::string::npos) return "the URL contains a NUL byte";
  // Else a relative one would be taken as relative to what the handle was set to before: somebody else's.
  curl_url_set(handle, CURLUPART_HOST, nullptr, 0);
  const CURLUcode code = curl_url_set(handle, CURLUPART_URL, url.c_str(), 0);
  if (code != CURLUE_OK) return std::string("the URL cannot be used: ") + curl_url_strerror(code);
  const CurlString scheme = part_of(handle, CURLUPART_SCHEME, 0);
  if (scheme == nullptr || (std::string_view(scheme.get()) != "http" && std::string_view(scheme.get()) != "https")) {
    return "the URL's scheme is neither http nor https";
  }
  const CurlString host = part_of(handle, CURLUPART_HOST, 0);
  const CurlString port = part_of(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  if (host == nullptr || *host == '\0' || port == nullptr) return "the URL names no host";
  if (part_of(handle, CURLUPART_USER, 0) != nullptr || part_of(handle, CURLUPART_PASSWORD, 0) != nullptr) {
    return "the URL has a user name or password, which would end up in the record";
  }
  if (origin == nullptr) return {};
  origin->assign(scheme.get()).append("://");
  for (const char* c = host.get(); *c != '\0'; ++c) {
    origin->push_back(*c >= 'A' && *c <= 'Z' ? static_cast<char>(*c - 'A' + 'a') : *c);
  }
  origin->append(":").append(port.get());
  return {};
}

}  // namespace pawl::http

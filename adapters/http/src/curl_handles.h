// libcurl's handles as owners. Nothing else: what is set on them stands where they are used.
#pragma once

#include <curl/curl.h>

#include <memory>

namespace pawl::http {

template <auto kCleanup>
struct CurlDeleter {
  template <class Handle>
  void operator()(Handle* handle) const noexcept {
    kCleanup(handle);
  }
};

using EasyHandle = std::unique_ptr<CURL, CurlDeleter<curl_easy_cleanup>>;
using MultiHandle = std::unique_ptr<CURLM, CurlDeleter<curl_multi_cleanup>>;
using ShareHandle = std::unique_ptr<CURLSH, CurlDeleter<curl_share_cleanup>>;
using UrlHandle = std::unique_ptr<CURLU, CurlDeleter<curl_url_cleanup>>;
using StringList = std::unique_ptr<curl_slist, CurlDeleter<curl_slist_free_all>>;
using CurlString = std::unique_ptr<char, CurlDeleter<curl_free>>;

}  // namespace pawl::http

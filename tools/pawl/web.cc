#include "web.h"

#include <filesystem>
#include <system_error>

namespace pawl::tool {

Result<std::unique_ptr<observe::WebServer>> open_web(const RunOptions& options) {
  if (options.metrics.empty() || options.metrics == kNoMetrics) return nullptr;
  observe::WebServer::Options web;
  auto listen = observe::parse_listen_address(options.metrics);
  if (!listen) return failure(ErrorCode::usage, "--metrics: " + listen.error().context);
  web.listen = std::move(*listen);
  std::error_code problem;
  web.title = std::filesystem::absolute(options.repo, problem).lexically_normal().string();
  auto opened = observe::WebServer::open(web);
  if (!opened) return failure(opened.error().code, "--metrics: " + opened.error().context);
  return opened;
}

std::string web_notice(const RunOptions& options, const observe::WebServer& web) {
  const std::string where = "metrics and page: " + web.url();
  const auto listen = observe::parse_listen_address(options.metrics);
  if (!listen || listen->loopback) return where;
  return where + " (for everybody in the network, without a password: for looking, not for steering)";
}

}  // namespace pawl::tool

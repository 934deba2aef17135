#include "web.h"

#include <filesystem>
#include <system_error>

namespace pawl::tool {

Result<void> open_web(const RunOptions& options, std::unique_ptr<observe::WebServer>& web) {
  if (options.metrics.empty() || options.metrics == kNoMetrics) return {};
  observe::WebServer::Options server;
  auto listen = observe::parse_listen_address(options.metrics);
  if (!listen) return failure(ErrorCode::usage, "--metrics: " + listen.error().context);
  server.listen = std::move(*listen);
  std::error_code problem;
  server.title = std::filesystem::absolute(options.repo, problem).lexically_normal().string();
  auto opened = observe::WebServer::open(server);
  if (!opened) return failure(opened.error().code, "--metrics: " + opened.error().context);
  web = std::move(*opened);
  return {};
}

std::string web_notice(const RunOptions& options, const observe::WebServer& web) {
  const std::string where = "metrics and page: " + web.url();
  const auto listen = observe::parse_listen_address(options.metrics);
  if (!listen || listen->loopback) return where;
  return where + " (for everybody in the network, without a password: for looking, not for steering)";
}

}  // namespace pawl::tool

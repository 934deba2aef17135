#include "web.h"

#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <pawl/run_lock.h>

#include "look.h"

namespace pawl::tool {
namespace {

/// As RunLock::take() puts it; none if no run is live, or nothing can be said.
std::optional<Error> find_live_run(const std::string& repo) {
  const auto repository = open_at_any_branch(repo);
  if (!repository) return std::nullopt;
  const auto folder = (*repository)->private_folder();
  const auto holder = journal::RunLock::holder(folder);
  if (!holder || !*holder) return std::nullopt;
  return Error{ErrorCode::locked, folder.string() + " is in use by " +
                                      (**holder > 0 ? "pawl process " + std::to_string(**holder)
                                                    : std::string("another pawl process that is just starting"))};
}

}  // namespace

Result<void> open_web(const RunOptions& options, std::unique_ptr<observe::WebServer>& web) {
  if (options.metrics.empty() || options.metrics == kNoMetrics) return {};
  observe::WebServer::Options server;
  auto listen = observe::parse_listen_address(options.metrics);
  if (!listen) return failure(ErrorCode::usage, "--metrics: " + listen.error().context);
  server.listen = std::move(*listen);
  std::error_code problem;
  server.title = std::filesystem::absolute(options.repo, problem).lexically_normal().string();
  auto opened = observe::WebServer::open(server);
  if (!opened) {
    // A live run of the same repository has the port, most likely: that is what is in the way then, and not the port.
    if (auto busy = find_live_run(options.repo)) return std::unexpected(std::move(*busy));
    return failure(opened.error().code, "--metrics: " + opened.error().context);
  }
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

#include <pawl/git.h>

#include "subject_template.h"

namespace pawl::git {
namespace {

/// "Key: value" as git-interpret-trailers(1) has it, on one line; keys of pawl's own are pawl's.
Result<void> check_trailer(const std::string& trailer) {
  const std::string quoted = "the trailer '" + trailer + "'";
  const std::size_t colon = trailer.find(':');
  const std::string key = trailer.substr(0, colon);
  const bool is_key = !key.empty() && key.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789-") == std::string::npos;
  const bool has_value = colon != std::string::npos && trailer.find_first_not_of(' ', colon + 1) != std::string::npos;
  for (const char c : trailer) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 32 || byte == 127) return failure(ErrorCode::usage, quoted + " has a control character (--trailer)");
  }
  if (!is_key || !has_value) return failure(ErrorCode::usage, quoted + " is not 'Key: value' (--trailer)");
  std::string begin = key.substr(0, 5);
  for (char& c : begin) c = static_cast<char>(c | 0x20);
  // '-' is 0x2d already.
  if (begin == "pawl-")
    return failure(ErrorCode::usage, quoted + ": keys that begin with Pawl- are pawl's (--trailer)");
  return {};
}

}  // namespace

Result<void> CommitOptions::validate() const {
  constexpr std::chrono::milliseconds kLongest = std::chrono::hours(24);
  if (commit_tasks == 0) return failure(ErrorCode::usage, "a commit holds at least 1 task (--commit-tasks)");
  if (commit_every.count() < 0 || commit_every > kLongest) {
    return failure(ErrorCode::usage, "the longest wait for a commit must be from 0 to 24 hours (--commit-every)");
  }
  if (publish_every.count() < 0 || publish_every > kLongest) {
    return failure(ErrorCode::usage, "the longest wait for the branch to move must be from 0 to 24 hours");
  }
  if (lock_wait.count() < 0 || lock_wait > kLongest) {
    return failure(ErrorCode::usage, "the longest wait for a lock must be from 0 to 24 hours (--lock-wait)");
  }
  if (layout == Layout::raw && path_template.empty()) {
    return failure(ErrorCode::usage, "the raw layout needs a path (--path), for example '{host}{path}'");
  }
  if (layout != Layout::raw && normalise != Normalise::nothing) {
    return failure(ErrorCode::usage, "bodies are normalised in the raw layout only (--normalise, --layout raw)");
  }
  if (!message_template.empty()) {
    if (const auto parsed = SubjectTemplate::parse(message_template); !parsed) return std::unexpected(parsed.error());
  }
  for (const std::string& trailer : trailers) {
    if (const Result<void> fine = check_trailer(trailer); !fine) return fine;
  }
  return {};
}

}  // namespace pawl::git

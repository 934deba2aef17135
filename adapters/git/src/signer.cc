#include "signer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "git_config.h"
#include "open_file.h"
#include "pack.h"
#include "repository.h"

namespace pawl::git {
namespace {

constexpr std::string_view kLiteral = "key::";

/// A file that goes with its owner.
class TemporaryFile {
 public:
  static Result<TemporaryFile> make(std::string_view content) {
    std::string pattern = (std::filesystem::temp_directory_path() / "pawl-key-XXXXXX").string();
    const OpenFile file(::mkostemp(pattern.data(), O_CLOEXEC));
    if (file.fd() < 0) return failure(ErrorCode::io, "cannot make " + pattern + ": " + std::strerror(errno), errno);
    TemporaryFile made(pattern);
    if (Result<void> written = write_all(file.fd(), {&content, 1}, pattern); !written) {
      return std::unexpected(std::move(written.error()));
    }
    return made;
  }
  TemporaryFile(TemporaryFile&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

std::string first_of(std::initializer_list<std::string> candidates) {
  for (const std::string& candidate : candidates) {
    if (!candidate.empty()) return candidate;
  }
  return {};
}

/// Without the lines that gpg writes for programs.
std::string without_status(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::string_view line =
        text.substr(0, text.find('\n') == std::string_view::npos ? text.size() : text.find('\n') + 1);
    if (!line.starts_with("[GNUPG:]")) out += line;
    text.remove_prefix(line.size());
  }
  return out;
}

std::string with_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  return path.starts_with("~/") && home != nullptr ? home + path.substr(1) : path;
}

}  // namespace

Result<std::optional<Signer>> Signer::load(git_repository* repository, const Person& committer,
                                           CommitOptions::Sign sign) {
  if (sign == CommitOptions::Sign::no) return std::nullopt;
  git_config* raw = nullptr;
  if (git_repository_config_snapshot(&raw, repository) != 0) {
    return std::unexpected(git_error("cannot read git's configuration"));
  }
  const ConfigHandle config(raw);
  int always = 0;
  static_cast<void>(git_config_get_bool(&always, config.get(), "commit.gpgsign"));  // not set, or not to be understood
  if (sign == CommitOptions::Sign::as_git_does && always == 0) return std::nullopt;
  const std::string format = first_of({configured(config.get(), "gpg.format"), "openpgp"});
  Signer signer;
  signer.wanted_by_ = sign == CommitOptions::Sign::yes ? "--sign" : "git's commit.gpgSign (--no-sign to do without)";
  signer.key_ = configured(config.get(), "user.signingkey");
  if (format == "ssh") {
    signer.format_ = Format::ssh;
    signer.program_ = first_of({configured(config.get(), "gpg.ssh.program"), "ssh-keygen"});
    if (signer.key_.empty()) {
      return failure(ErrorCode::usage, signer.wanted_by_ + ": gpg.format is ssh, so user.signingKey must name the key");
    }
    signer.literal_key_ = signer.key_.starts_with(kLiteral) || signer.key_.starts_with("ssh-");
    if (signer.key_.starts_with(kLiteral)) signer.key_.erase(0, kLiteral.size());
    if (!signer.literal_key_) signer.key_ = with_home(signer.key_);
  } else if (format == "openpgp" || format == "x509") {
    const std::string own = configured(config.get(), "gpg." + format + ".program");
    signer.program_ =
        format == "x509" ? first_of({own, "gpgsm"}) : first_of({own, configured(config.get(), "gpg.program"), "gpg"});
    if (signer.key_.empty()) signer.key_ = committer.name + " <" + committer.email + ">";
  } else {
    return failure(ErrorCode::usage,
                   signer.wanted_by_ + ": gpg.format is \"" + format + "\", not openpgp, x509 or ssh");
  }
  return signer;
}

Result<std::string> Signer::sign(std::string_view content, const Interrupt& interrupt) const {
  ChildOptions child;
  child.input = content;
  child.borrowed_interrupt = &interrupt;
  std::optional<TemporaryFile> key_file;
  if (format_ == Format::ssh) {
    child.arguments = {program_, "-Y", "sign", "-n", "git", "-f", key_};
    if (literal_key_) {
      Result<TemporaryFile> made = TemporaryFile::make(key_ + "\n");
      if (!made) return std::unexpected(std::move(made.error()));
      key_file.emplace(std::move(*made));
      child.arguments.back() = key_file->path();
      child.arguments.emplace_back("-U");  // the private half is the agent's
    }
  } else {
    child.arguments = {program_, "--status-fd=2", "-bsau", key_};
  }
  Result<ChildResult> result = run_child(child);
  if (!result) return std::unexpected(std::move(result.error()));
  const bool said_so = format_ == Format::ssh || result->err.find("[GNUPG:] SIG_CREATED ") != std::string::npos;
  result->err = without_status(result->err);
  if (result->exit_code != 0 || !said_so || result->out.empty()) {
    return failure(ErrorCode::usage, wanted_by_ + ": " + program_ + " made no signature with the key " + key_ + ": " +
                                         (result->interrupted ? "interrupted" : result->complaint()));
  }
  std::string signature;
  for (const char c : result->out) {
    if (c != '\r') signature += c;
  }
  while (signature.ends_with('\n')) signature.pop_back();
  return signature;
}

std::string with_signature(std::string_view commit, std::string_view signature) {
  const std::size_t header_end = commit.find("\n\n") + 1;
  std::string out(commit.substr(0, header_end));
  out += "gpgsig ";
  for (const char c : signature) {
    out += c;
    if (c == '\n') out += ' ';
  }
  out += '\n';
  out += commit.substr(header_end);
  return out;
}

}  // namespace pawl::git

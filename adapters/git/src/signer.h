// Signs commits as git's own configuration says: with OpenPGP, X.509 or an SSH key, by the programs git itself runs.
//
// A signature takes a process, so milliseconds: with a commit for each result it decides how fast results are recorded.
// Keys that ask for a password cannot be used unless their agent knows it already. One thread at a time.
#pragma once

#include <git2.h>

#include <optional>
#include <string>
#include <string_view>

#include <pawl/error.h>
#include <pawl/git.h>

#include "child_process.h"
#include "commit_text.h"

namespace pawl::git {

class Signer {
 public:
  /// Reads gpg.format, user.signingKey, gpg.program, gpg.openpgp.program, gpg.x509.program and gpg.ssh.program. Without
  /// a key OpenPGP and X.509 take the committer's; SSH needs one. None if `sign` leaves it to commit.gpgSign and that
  /// is not set. Errors: usage (what is configured cannot be used).
  [[nodiscard]] static Result<std::optional<Signer>> load(git_repository* repository, const Person& committer,
                                                          CommitOptions::Sign sign);

  /// A signature of `content`, without line end. Blocks. Errors: usage (the program says no), io (it cannot be run).
  [[nodiscard]] Result<std::string> sign(std::string_view content, const Interrupt& interrupt) const;

 private:
  enum class Format { openpgp, ssh };  // X.509 is made in the way of OpenPGP, by another program
  Format format_ = Format::openpgp;
  std::string wanted_by_;  // "--sign", or what else asked for it; for errors
  std::string program_;
  std::string key_;
  bool literal_key_ = false;  // SSH: the public key itself, not a file
};

/// `commit` with its signature in the header, as git has it (git's technical/signature-format).
[[nodiscard]] std::string with_signature(std::string_view commit, std::string_view signature);

}  // namespace pawl::git

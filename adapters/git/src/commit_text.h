// Who commits, when, and the bytes of a commit object.
//
// The rules are git's: environment first, then configuration, then what the system knows about the user. A pure
// rendering apart from load(), so that commits are the same bytes for the same input.
#pragma once

#include <git2.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <pawl/error.h>

#include "encoded.h"

namespace pawl::git {

/// "Name <email>" and, if the environment fixed it, the time.
struct Person {
  std::string name;
  std::string email;
  struct Moment {
    std::int64_t seconds = 0;  // since 1970-01-01 UTC
    int offset_minutes = 0;    // of local time, east positive
  };
  std::optional<Moment> fixed;
};

struct Identity {
  Person author;
  Person committer;

  /// GIT_{AUTHOR,COMMITTER}_{NAME,EMAIL,DATE}, then {author,committer,user}.{name,email}, then EMAIL, then the
  /// password file and the host's name. Errors: usage (a date in the environment that cannot be read).
  [[nodiscard]] static Result<Identity> load(git_repository* repository);
};

/// `text` as git lets it stand in a name: no '<', '>', control characters, nor the punctuation git trims at both ends.
[[nodiscard]] std::string clean_name(std::string_view text);

/// "<seconds> ±hhmm" with or without '@', or "YYYY-MM-DD[T ]HH:MM:SS[Z| ±hhmm]"; the zone defaults to UTC.
[[nodiscard]] std::optional<Person::Moment> parse_moment(std::string_view text);

/// Now, with this machine's zone.
[[nodiscard]] Person::Moment local_moment(std::chrono::system_clock::time_point now);

struct CommitText {
  ObjectId tree{};
  std::optional<ObjectId> parent;
  std::string_view subject;  // one line is made of it
  std::string_view trailer;  // "Key: value" lines; empty: none
};

/// Replaces `out` by the content of a commit object.
void render_commit(std::string& out, const CommitText& text, const Identity& identity, Person::Moment now);

/// "12 results from 3 streams"
[[nodiscard]] std::string subject_of_many(std::size_t results, std::size_t streams);

}  // namespace pawl::git

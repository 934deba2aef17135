// The rules of the tree, as functions of one file's path and text.
//
// A rule that needs to understand C++ is not here: this reads lines. Comments and strings are blanked before a rule
// looks for names, so prose may speak of a mutex.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::rules {

struct SourceFile {
  std::string path;  // from the root of the tree, "/" between folders
  std::string text;
};

struct Include {
  std::size_t line = 0;
  std::string header;  // as spelled, without brackets or quotes
  bool quoted = false;
};

/// "path:line: what is wrong", one per violation.
using Violations = std::vector<std::string>;

[[nodiscard]] std::vector<Include> includes_of(const SourceFile& file);

/// The text with comments and literals blanked; line feeds stay.
[[nodiscard]] std::string code_of(std::string_view text);

/// A third party's header stays in the folders that may know it; an unknown header is a violation too.
[[nodiscard]] Violations check_third_parties(const SourceFile& file);

/// Installed headers: `engine_headers` and, within adapters/<part>, the part's own. `pawl/…` spellings.
[[nodiscard]] Violations check_arrows(const SourceFile& file, const std::set<std::string>& engine_headers);

/// The engine has no locks.
[[nodiscard]] Violations check_no_locks(const SourceFile& file);

/// What reads badly wherever it stands: sleep_for, catch (...), using namespace std, ../ in an include.
[[nodiscard]] Violations check_smells(const SourceFile& file);

/// A header has `#pragma once` and begins with a comment that says what it is.
[[nodiscard]] Violations check_header_shape(const SourceFile& file);

/// A file fits one sitting.
[[nodiscard]] Violations check_length(const SourceFile& file, std::size_t most_lines);

}  // namespace pawl::rules

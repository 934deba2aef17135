// Paths of the raw layout: a template such as "{host}{path}" filled in from a task.
//
// Several tasks may have one path on purpose (the same URL fetched again); the record layout, where a path belongs
// to a key, is record_path() in <pawl/git.h>.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <pawl/error.h>
#include <pawl/task.h>

#include "template_text.h"

namespace pawl::git {

/// The parts of an absolute http or https URL that name a resource. Views into it. No user, password or fragment.
struct UrlParts {
  std::string_view host;   // with ":port" if the URL has one
  std::string_view path;   // from the first '/', or empty
  std::string_view query;  // without '?'
};
[[nodiscard]] UrlParts split_url(std::string_view url) noexcept;

class PathTemplate {
 public:
  /// Fields {host} {path} {query} {?query} {stream} {id}; everything else stands for itself; there is no escape for
  /// braces. Errors: usage (empty, unknown field, brace without partner).
  [[nodiscard]] static Result<PathTemplate> parse(std::string_view text);

  /// Writes a task's path: '/'-separated, every component safe, never empty, no '/' at either end. A '/' in the
  /// template, a path, a stream or an id separates components, one in a query does not. Where the result would end
  /// in '/', "index" is added. {?query} is a question mark and the query, or nothing if it is empty. %XX in a URL's
  /// path is decoded first, so that "/a%20b" gives "a%20b".
  void fill(const Request& request, std::string& path) const;

 private:
  enum class Field { literal, host, path, query, query_if_any, stream, id };
  std::vector<TemplatePiece<Field>> pieces_;
};

}  // namespace pawl::git

// The subject of a commit from a template such as "data: {results} from {stream}".
//
// A commit holds one result or many; a field that is about one result says for many what they have in common, or how
// many there are. When not to use it: without a template, where subject.h and subject_of_many() say what happened.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/error.h>
#include <pawl/task.h>

#include "template_text.h"

namespace pawl::git {

/// What a subject is made of.
struct SubjectFields {
  std::span<const Task* const> borrowed_tasks;  // the results in the commit, at least one
  std::string_view summary;                     // the subject it would have without a template
  std::string_view run;                         // name of the run
  std::chrono::sys_seconds time{};              // of the commit
};

class SubjectTemplate {
 public:
  /// Fields {summary} {results} {streams} {stream} {id} {status} {host} {run} {date}; everything else stands for
  /// itself; there is no escape for braces. Errors: usage (empty, unknown field, brace without partner, more than one
  /// line).
  [[nodiscard]] static Result<SubjectTemplate> parse(std::string_view text);

  /// One line of valid UTF-8, at most kSubjectColumns of each field. {stream}, {id}, {host}: the name if there is one,
  /// else "3 streams", "12 results", "2 hosts". {status}: the codes, "200" or "200/404". {date}:
  /// "2024-05-01T12:00:00Z".
  [[nodiscard]] std::string fill(const SubjectFields& fields) const;

 private:
  enum class Field { literal, summary, results, streams, stream, id, status, host, run, date };
  [[nodiscard]] static std::string value(Field field, const SubjectFields& fields);

  std::vector<TemplatePiece<Field>> pieces_;
};

}  // namespace pawl::git

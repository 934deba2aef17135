#include "subject_template.h"

#include <array>
#include <cstdio>
#include <set>
#include <utility>

#include "layout.h"
#include "subject.h"

namespace pawl::git {
namespace {

/// The one name that all tasks have, else how many there are.
template <class NameOf>
std::string one_or_number(std::span<const Task* const> tasks, NameOf name_of, const char* many) {
  std::set<std::string_view> names;
  for (const Task* task : tasks) names.insert(name_of(*task));
  return names.size() == 1 ? std::string(*names.begin()) : std::to_string(names.size()) + " " + many;
}

std::string codes_of(std::span<const Task* const> tasks) {
  std::set<std::string> codes;
  for (const Task* task : tasks) {
    const Outcome& outcome = task->outcome;
    if (outcome.kind == Outcome::Kind::answered) {
      codes.insert(std::to_string(outcome.status_code));
    } else {
      codes.insert(outcome.error_code.empty() ? "failed" : outcome.error_code);
    }
  }
  std::string text;
  for (const std::string& code : codes) text += (text.empty() ? "" : "/") + code;
  return text;
}

std::string date_of(std::chrono::sys_seconds time) {
  const std::chrono::sys_days day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  std::array<char, 48> text;
  const int size = std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02dZ", int{date.year()},
                                 unsigned{date.month()}, unsigned{date.day()}, static_cast<int>(clock.hours().count()),
                                 static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()));
  return {text.data(), static_cast<std::size_t>(size)};
}

}  // namespace

Result<SubjectTemplate> SubjectTemplate::parse(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, Field>, 9> kFields = {{{"summary", Field::summary},
                                                                          {"results", Field::results},
                                                                          {"streams", Field::streams},
                                                                          {"stream", Field::stream},
                                                                          {"id", Field::id},
                                                                          {"status", Field::status},
                                                                          {"host", Field::host},
                                                                          {"run", Field::run},
                                                                          {"date", Field::date}}};
  if (text.find_first_of("\r\n") != std::string_view::npos) {
    return failure(ErrorCode::usage, "message template '" + std::string(text) + "': a subject is one line");
  }
  auto pieces = parse_template("message", text, kFields);
  if (!pieces) return std::unexpected(pieces.error());
  SubjectTemplate parsed;
  parsed.pieces_ = std::move(*pieces);
  return parsed;
}

std::string SubjectTemplate::value(Field field, const SubjectFields& fields) {
  const std::span<const Task* const> tasks = fields.borrowed_tasks;
  const auto stream_of = [](const Task& task) { return std::string_view(task.request.stream); };
  switch (field) {
    case Field::literal: break;
    case Field::summary: return std::string(fields.summary);
    case Field::results: return std::to_string(tasks.size()) + (tasks.size() == 1 ? " result" : " results");
    case Field::streams: {
      std::set<std::string_view> names;
      for (const Task* task : tasks) names.insert(stream_of(*task));
      return std::to_string(names.size()) + (names.size() == 1 ? " stream" : " streams");
    }
    case Field::stream: return one_or_number(tasks, stream_of, "streams");
    case Field::id: return tasks.size() == 1 ? tasks.front()->request.id : std::to_string(tasks.size()) + " results";
    case Field::status: return codes_of(tasks);
    case Field::host:
      return one_or_number(tasks, [](const Task& task) { return split_url(task.request.url).host; }, "hosts");
    case Field::run: return std::string(fields.run);
    case Field::date: return date_of(fields.time);
  }
  return {};
}

std::string SubjectTemplate::fill(const SubjectFields& fields) const {
  std::string subject;
  for (const auto& piece : pieces_) {
    append_shortened(subject, piece.field == Field::literal ? piece.text : value(piece.field, fields), kSubjectColumns);
  }
  return subject;
}

}  // namespace pawl::git

#include "commit_text.h"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <utility>
#include <vector>

#include "git_config.h"
#include "object_id.h"
#include "repository.h"

namespace pawl::git {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : std::string_view{};
}

struct SystemUser {
  std::string login;
  std::string full_name;
};

SystemUser system_user() {
  std::vector<char> buffer(16 * 1024);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return {"pawl", "pawl"};
  }
  SystemUser user{entry.pw_name, entry.pw_gecos != nullptr ? entry.pw_gecos : ""};
  user.full_name = user.full_name.substr(0, user.full_name.find(','));  // the rest is room and telephone
  if (user.full_name.empty()) user.full_name = user.login;
  return user;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

/// First of these that is left with something after cleaning.
std::string first_clean(std::initializer_list<std::string> candidates) {
  for (const std::string& candidate : candidates) {
    std::string clean = clean_name(candidate);
    if (!clean.empty()) return clean;
  }
  return "pawl";
}

Result<Person> load_person(git_config* config, const std::string& role, const std::string& key) {
  const SystemUser user = system_user();
  const auto variable = [&role](const char* what) { return std::string(environment(("GIT_" + role + what).c_str())); };
  Person person;
  person.name = first_clean(
      {variable("_NAME"), configured(config, key + ".name"), configured(config, "user.name"), user.full_name});
  person.email = first_clean({variable("_EMAIL"), configured(config, key + ".email"), configured(config, "user.email"),
                              std::string(environment("EMAIL")), user.login + "@" + host_name()});
  const std::string date = variable("_DATE");
  if (!date.empty()) {
    person.fixed = parse_moment(date);
    if (!person.fixed) {
      return failure(ErrorCode::usage, "GIT_" + role + "_DATE is \"" + date +
                                           "\"; pawl reads \"@1700000000 +0100\" and \"2023-11-14T22:13:20Z\"");
    }
  }
  return person;
}

/// What git trims from the ends of a name.
bool is_crud(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte <= 32 || byte == 127 || c == '.' || c == ',' || c == ':' || c == ';' || c == '<' || c == '>' ||
         c == '"' || c == '\\' || c == '\'';
}

/// Takes a whole number off the front of `text`; none if there is none.
std::optional<std::int64_t> take_number(std::string_view& text) {
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

std::optional<std::int64_t> take_digits(std::string_view& text, std::size_t count) {
  if (text.size() < count) return std::nullopt;
  std::int64_t value = 0;
  for (const char digit : text.substr(0, count)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    value = value * 10 + (digit - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool take(std::string_view& text, char wanted) {
  if (!text.starts_with(wanted)) return false;
  text.remove_prefix(1);
  return true;
}

/// "", "Z", "+0100", "+01:00", with a space before; must be all that is left.
std::optional<int> zone_minutes(std::string_view text) {
  while (take(text, ' ')) {
  }
  if (text.empty() || text == "Z") return 0;
  const bool east = text.front() == '+';
  if (!east && text.front() != '-') return std::nullopt;
  text.remove_prefix(1);
  const auto hours = take_digits(text, 2);
  static_cast<void>(take(text, ':'));
  const auto minutes = take_digits(text, 2);
  if (!hours || !minutes || !text.empty() || *hours > 14 || *minutes > 59) return std::nullopt;
  const auto offset = static_cast<int>(*hours * 60 + *minutes);
  return east ? offset : -offset;
}

std::optional<Person::Moment> parse_calendar(std::string_view text) {
  const auto year = take_digits(text, 4);
  if (!year || !take(text, '-')) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day || !(take(text, 'T') || take(text, ' '))) return std::nullopt;
  const auto hour = take_digits(text, 2);
  if (!hour || !take(text, ':')) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || !take(text, ':')) return std::nullopt;
  const auto second = take_digits(text, 2);
  const std::optional<int> zone = zone_minutes(text);
  if (!second || !zone || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch();
  const auto midnight = std::chrono::duration_cast<std::chrono::seconds>(days).count();
  const std::int64_t seconds = midnight + *hour * 3600 + *minute * 60 + *second - *zone * 60;
  if (seconds < 0) return std::nullopt;
  return Person::Moment{seconds, *zone};
}

void append_person(std::string& out, std::string_view role, const Person& person, Person::Moment now) {
  const Person::Moment moment = person.fixed.value_or(now);
  const int minutes = std::abs(moment.offset_minutes);
  out += role;
  out += ' ';
  out += person.name;
  out += " <";
  out += person.email;
  out += "> ";
  out += std::to_string(moment.seconds);
  out += moment.offset_minutes < 0 ? " -" : " +";
  for (const int number : {minutes / 60, minutes % 60}) {
    out += static_cast<char>('0' + number / 10);
    out += static_cast<char>('0' + number % 10);
  }
  out += '\n';
}

}  // namespace

std::string configured(git_config* config, const std::string& key) {
  git_buf value = GIT_BUF_INIT;
  std::string text;
  if (config != nullptr && git_config_get_string_buf(&value, config, key.c_str()) == 0) {
    text.assign(value.ptr, value.size);
  }
  git_buf_dispose(&value);
  return text;
}

Result<Identity> Identity::load(git_repository* repository) {
  git_config* raw = nullptr;
  // Without a configuration the environment and the system still say who it is.
  if (git_repository_config_snapshot(&raw, repository) != 0) raw = nullptr;
  const ConfigHandle config(raw);
  Result<Person> author = load_person(config.get(), "AUTHOR", "author");
  if (!author) return std::unexpected(std::move(author.error()));
  Result<Person> committer = load_person(config.get(), "COMMITTER", "committer");
  if (!committer) return std::unexpected(std::move(committer.error()));
  return Identity{std::move(*author), std::move(*committer)};
}

std::string clean_name(std::string_view text) {
  while (!text.empty() && is_crud(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_crud(text.back())) text.remove_suffix(1);
  std::string clean;
  for (const char c : text) {
    if (c != '<' && c != '>' && c != '\n' && c != '\0') clean += c;
  }
  return clean;
}

std::optional<Person::Moment> parse_moment(std::string_view text) {
  if (const std::optional<Person::Moment> calendar = parse_calendar(text)) return calendar;
  static_cast<void>(take(text, '@'));
  const std::optional<std::int64_t> seconds = take_number(text);
  if (!seconds || *seconds < 0) return std::nullopt;
  const std::optional<int> zone = zone_minutes(text);
  if (!zone) return std::nullopt;
  return Person::Moment{*seconds, *zone};
}

Person::Moment local_moment(std::chrono::system_clock::time_point now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  // The system looks the zone up under a lock each time; thousands of commits are of one second.
  thread_local Person::Moment last{-1, 0};
  if (last.seconds == seconds) return last;
  std::tm local{};
  if (::localtime_r(&seconds, &local) == nullptr) return {seconds, 0};
  last = {seconds, static_cast<int>(local.tm_gmtoff / 60)};
  return last;
}

void render_commit(std::string& out, const CommitText& text, const Identity& identity, Person::Moment now) {
  out = "tree ";
  out += to_hex(text.tree);
  if (text.parent) {
    out += "\nparent ";
    out += to_hex(*text.parent);
  }
  out += '\n';
  append_person(out, "author", identity.author, now);
  append_person(out, "committer", identity.committer, now);
  out += '\n';
  for (const char c : text.subject) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 32 || byte == 127 ? ' ' : c;
  }
  out += '\n';
  if (!text.trailer.empty()) {
    out += '\n';
    out += text.trailer;
    out += '\n';
  }
}

std::string subject_of_many(std::size_t results, std::size_t streams) {
  return std::to_string(results) + (results == 1 ? " result from " : " results from ") + std::to_string(streams) +
         (streams == 1 ? " stream" : " streams");
}

}  // namespace pawl::git

#include "rules.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <regex>

namespace pawl::rules {

namespace {

struct ThirdParty {
  std::string_view prefix;                  // of the header
  std::array<std::string_view, 3> folders;  // where it may be included; empty ones are none
};

constexpr std::array kThirdParties = {
    ThirdParty{"concurrentqueue/", {"engine/src/queue/"}},
    ThirdParty{"moodycamel/", {"engine/src/queue/"}},
    ThirdParty{"tbb/", {"engine/src/flow/"}},
    ThirdParty{"oneapi/", {"engine/src/flow/"}},
    ThirdParty{"curl/", {"adapters/http/"}},
    ThirdParty{"git2.h", {"adapters/git/", "bench/peers/"}},
    ThirdParty{"git2/", {"adapters/git/", "bench/peers/"}},
    ThirdParty{"libdeflate.h", {"adapters/git/"}},
    ThirdParty{"isa-l/", {"adapters/git/"}},
    ThirdParty{"zlib.h", {"adapters/git/", "adapters/http/"}},
    ThirdParty{"openssl/", {"adapters/git/", "adapters/http/", "tools/"}},
    ThirdParty{"simdjson.h", {"adapters/input/", "adapters/git/"}},
    ThirdParty{"civetweb.h", {"adapters/observe/"}},
    ThirdParty{"prometheus/", {"adapters/observe/"}},
    ThirdParty{"CLI/", {"tools/"}},
    ThirdParty{"fmt/", {"tools/"}},
    ThirdParty{"histedit.h", {"tools/pawl/shell/"}},
    ThirdParty{"curses.h", {"tools/pawl/top/"}},
};

// Headers of the system (POSIX, Linux) outside sys/, linux/, netinet/, arpa/ that an adapter or tool may use.
constexpr std::array<std::string_view, 25> kSystem = {"dirent.h",    "errno.h",    "fcntl.h",    "ftw.h",    "glob.h",
                                                      "immintrin.h", "langinfo.h", "limits.h",   "locale.h", "netdb.h",
                                                      "nmmintrin.h", "poll.h",     "pthread.h",  "pwd.h",    "sched.h",
                                                      "signal.h",    "spawn.h",    "stdio.h",    "stdlib.h", "string.h",
                                                      "termios.h",   "time.h",     "ucontext.h", "unistd.h", "wchar.h"};
constexpr std::array<std::string_view, 5> kSystemFolders = {"sys/", "linux/", "netinet/", "arpa/", "bits/"};

std::string at(const SourceFile& file, std::size_t line, const std::string& what) {
  return file.path + ":" + std::to_string(line) + ": " + what;
}

// A header of the standard library has neither folder nor suffix.
bool is_standard(std::string_view header) {
  return !header.empty() && std::ranges::all_of(header, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

bool is_system(std::string_view header) {
  return std::ranges::find(kSystem, header) != kSystem.end() ||
         std::ranges::any_of(kSystemFolders, [header](std::string_view folder) { return header.starts_with(folder); });
}

std::size_t line_of(std::string_view text, std::size_t offset) {
  return 1 + static_cast<std::size_t>(std::ranges::count(text.substr(0, offset), '\n'));
}

void find_all(const SourceFile& file, const std::string& code, const char* pattern, const std::string& what,
              Violations& out) {
  const std::regex regex(pattern);
  for (auto it = std::sregex_iterator(code.begin(), code.end(), regex); it != std::sregex_iterator(); ++it) {
    out.push_back(at(file, line_of(code, static_cast<std::size_t>(it->position())), what + ": " + it->str()));
  }
}

// End of a comment or literal that begins at `begin`, or `begin` if none begins there.
std::size_t end_of_blank(std::string_view text, std::size_t begin) {
  const std::string_view rest = text.substr(begin);
  const auto past = [&](std::string_view closer, std::size_t from) {
    const auto found = text.find(closer, begin + from);
    return found == std::string_view::npos ? text.size() : found + closer.size();
  };
  if (rest.starts_with("//")) return std::min(text.find('\n', begin), text.size());
  if (rest.starts_with("/*")) return past("*/", 2);
  if (rest.starts_with("R\"")) {
    const auto open = rest.find('(');
    if (open != std::string_view::npos) return past(")" + std::string(rest.substr(2, open - 2)) + "\"", open);
  }
  if (rest.front() != '"' && rest.front() != '\'') return begin;
  // A quote inside a number separates digits.
  if (rest.front() == '\'' && begin > 0 && std::isxdigit(static_cast<unsigned char>(text[begin - 1])) != 0)
    return begin;
  std::size_t end = begin + 1;
  while (end < text.size() && text[end] != rest.front() && text[end] != '\n') end += text[end] == '\\' ? 2 : 1;
  return std::min(end + 1, text.size());
}

}  // namespace

std::vector<Include> includes_of(const SourceFile& file) {
  static const std::regex regex(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"])re");
  std::vector<Include> found;
  std::size_t number = 0;
  std::size_t begin = 0;
  while (begin < file.text.size()) {
    const std::size_t end = std::min(file.text.find('\n', begin), file.text.size());
    ++number;
    std::smatch match;
    const std::string line = file.text.substr(begin, end - begin);
    if (std::regex_search(line, match, regex)) found.push_back({number, match[2], match[1] == "\""});
    begin = end + 1;
  }
  return found;
}

std::string code_of(std::string_view text) {
  std::string code(text);
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = end_of_blank(text, i);
    if (end == i) {
      ++i;
      continue;
    }
    for (; i < end; ++i) {
      if (code[i] != '\n') code[i] = ' ';
    }
  }
  return code;
}

Violations check_third_parties(const SourceFile& file) {
  Violations out;
  for (const Include& include : includes_of(file)) {
    const auto party = std::ranges::find_if(
        kThirdParties, [&](const ThirdParty& known) { return include.header.starts_with(known.prefix); });
    if (party != kThirdParties.end()) {
      const bool allowed = std::ranges::any_of(
          party->folders, [&](std::string_view folder) { return !folder.empty() && file.path.starts_with(folder); });
      if (!allowed) out.push_back(at(file, include.line, "<" + include.header + "> belongs to another folder"));
    } else if (!include.quoted && !include.header.starts_with("pawl/") && !is_standard(include.header) &&
               !is_system(include.header)) {
      out.push_back(at(file, include.line, "<" + include.header + "> is not known to tests/unit/rules/rules.cc"));
    }
  }
  return out;
}

Violations check_arrows(const SourceFile& file, const std::set<std::string>& engine_headers) {
  Violations out;
  const bool in_engine = file.path.starts_with("engine/");
  const bool public_engine = file.path.starts_with("engine/include/");
  const bool in_adapter = file.path.starts_with("adapters/");
  std::string own_part;
  if (in_adapter) own_part = file.path.substr(9, file.path.find('/', 9) - 9);
  for (const Include& include : includes_of(file)) {
    const bool installed = include.header.starts_with("pawl/");
    if (public_engine && !installed && !is_standard(include.header)) {
      out.push_back(at(file, include.line, "a public header of the engine includes " + include.header));
    }
    if (include.quoted &&
        (installed || include.header.starts_with("adapters/") || include.header.starts_with("engine/"))) {
      const bool allowed = file.path.starts_with("bench/") || file.path.starts_with("tests/");
      if (!allowed) out.push_back(at(file, include.line, "\"" + include.header + "\" reaches into another part"));
    }
    if (!installed || engine_headers.contains(include.header)) continue;
    if (in_engine) out.push_back(at(file, include.line, "the engine includes <" + include.header + ">"));
    // Within an adapter's own folder the tree test says which headers are its own: pawl/<part>.h and beside it.
    if (in_adapter && !engine_headers.contains(own_part + ":" + include.header)) {
      out.push_back(at(file, include.line, "adapter " + own_part + " includes another's <" + include.header + ">"));
    }
  }
  return out;
}

Violations check_no_locks(const SourceFile& file) {
  Violations out;
  if (!file.path.starts_with("engine/")) return out;
  constexpr const char* kLocks =
      R"(\bstd::\w*mutex\b|\bstd::condition_variable\w*|\bstd::(lock_guard|unique_lock|scoped_lock|shared_lock)\b|)"
      R"(\bpthread_(mutex|cond|rwlock|spin)_\w+|\btbb::\w*mutex\b)";
  find_all(file, code_of(file.text), kLocks, "a lock in the engine", out);
  for (const Include& include : includes_of(file)) {
    if (include.header == "mutex" || include.header == "shared_mutex" || include.header == "condition_variable") {
      out.push_back(at(file, include.line, "a lock in the engine: <" + include.header + ">"));
    }
  }
  return out;
}

Violations check_smells(const SourceFile& file) {
  Violations out;
  const std::string code = code_of(file.text);
  // A tool may pause for a person (`pawl status --watch`), and tests/support polls other processes with a deadline; the
  // rest waits for what it needs.
  if (!file.path.starts_with("tools/") && !file.path.starts_with("tests/support/")) {
    find_all(file, code, R"(\bsleep_for\b|\bsleep_until\b|\busleep\s*\(|\bnanosleep\s*\()",
             "sleeps instead of waiting for something", out);
  }
  find_all(file, code, R"(\bcatch\s*\(\s*\.\.\.\s*\))", "catches what it does not know", out);
  find_all(file, code, R"(\busing\s+namespace\s+std\s*;)", "opens the standard library", out);
  for (const Include& include : includes_of(file)) {
    if (file.path.starts_with("tests/")) break;  // a test may use the tools of another kind of test
    if (include.header.find("../") != std::string::npos) out.push_back(at(file, include.line, "climbs with ../"));
  }
  return out;
}

Violations check_header_shape(const SourceFile& file) {
  Violations out;
  if (!file.path.ends_with(".h")) return out;
  if (!file.text.starts_with("// ")) out.push_back(at(file, 1, "a header begins with a comment that says what it is"));
  if (file.text.find("\n#pragma once\n") == std::string::npos) out.push_back(at(file, 1, "no #pragma once"));
  return out;
}

Violations check_length(const SourceFile& file, std::size_t most_lines) {
  const auto lines = static_cast<std::size_t>(std::ranges::count(file.text, '\n'));
  if (lines <= most_lines) return {};
  return {file.path + ": " + std::to_string(lines) + " lines, more than " + std::to_string(most_lines)};
}

}  // namespace pawl::rules

#include "man_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "exit_code.h"

namespace pawl::tool {
namespace {

struct Entry {
  const char* name;
  const char* text;
};

// Beside those that options name by themselves.
constexpr std::array kVariables = {
    Entry{"OPENAI_API_KEY", "The bearer token of calls, unless --bearer-env names another variable. Never stored."},
    Entry{"http_proxy, https_proxy, all_proxy, no_proxy",
          "As curl takes them. A password in one of them is kept out of all that pawl writes."},
    Entry{"CURL_CA_BUNDLE, SSL_CERT_FILE", "File of certificate authorities to trust, unless --cacert names one."},
    Entry{"GIT_AUTHOR_NAME, GIT_COMMITTER_EMAIL and the like",
          "Who commits, as git has it: else git's configuration says."},
    Entry{"NO_COLOR", "If it is set and not empty: no colours."},
    Entry{"TERM, LC_ALL, LC_CTYPE, LANG", "What the terminal can show."},
    Entry{"XDG_STATE_HOME", "Where the history of pawl shell lies; default ~/.local/state."},
    Entry{"NOTIFY_SOCKET", "Where a service manager is told of the state, as sd_notify(3) has it."},
};

constexpr std::array kFiles = {
    Entry{"STREAM/00/00/ID.json",
          "In the repository, layout record: a task's answer, with the request, attempts and times."},
    Entry{"<git dir>/pawl/", "The run's own, mode 0700; no other program needs it, and git does not look at it."},
    Entry{"<git dir>/pawl/journal/", "Tasks that are accepted and not committed, with their answers."},
    Entry{"<git dir>/pawl/settings",
          "Options of the last run, for pawl resume and pawl run --failed. No secret is among them."},
    Entry{"<git dir>/pawl/keys", "What the branch holds, to look it up quickly: built anew if it is removed."},
    Entry{"<git dir>/pawl/status.sock, control.sock", "Of a live run: for pawl status and top, and for pawl ctl."},
    Entry{"refs/notes/pawl", "Beginnings and ends of runs, with --run-notes."},
    Entry{"$XDG_STATE_HOME/pawl/history", "Lines typed in pawl shell, mode 0600."},
};

/// As roff reads it so that it comes out as it is: no escape, and signs that people copy as they are typed.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '\\': out += "\\(rs"; break;
      case '-': out += "\\-"; break;
      case '\'': out += "\\(aq"; break;
      case '"': out += "\\(dq"; break;
      case '`': out += "\\(ga"; break;
      case '^': out += "\\(ha"; break;
      case '~': out += "\\(ti"; break;
      default: out += c;
    }
  }
  return out;
}

/// A line of text: what begins with a dot would be a request.
std::string text_line(std::string_view text) {
  return fmt::format("{}{}\n", text.starts_with('.') ? "\\&" : "", roff(text));
}

std::string bold(std::string_view text) { return "\\fB" + roff(text) + "\\fR"; }
std::string slanted(std::string_view text) { return "\\fI" + roff(text) + "\\fR"; }

/// An argument of a macro, which a space would end.
std::string heading(std::string_view macro, std::string_view text) {
  return fmt::format(".{} \"{}\"\n", macro, roff(text));
}

std::string entry(std::string_view name, std::string_view text) {
  return fmt::format(".TP\n{}\n{}", bold(name), text_line(text));
}

std::string usage(const DescribedCommand& command) {
  std::string line = bold("pawl " + command.name) + " [" + slanted("OPTION") + "]...";
  for (const auto& argument : command.arguments) {
    const std::string name = slanted(argument.place) + (argument.repeated ? "..." : "");
    line += argument.required ? " " + name : " [" + name + "]";
  }
  return line;
}

/// What --help says beside the text.
std::string details(const DescribedOption& option) {
  std::string all;
  const auto add = [&](const std::string& detail) { all += (all.empty() ? " (" : "; ") + detail; };
  if (option.required) add("required");
  if (!option.range.empty()) add(option.range);
  if (!option.preset.empty()) add("default " + option.preset);
  if (!option.environment.empty()) add("environment: " + option.environment);
  if (!option.excludes.empty()) add(fmt::format("not with {}", fmt::join(option.excludes, ", ")));
  return all.empty() ? all : all + ")";
}

std::string option_entry(const DescribedOption& option) {
  std::string name;
  if (option.is_argument()) {
    name = slanted(option.place) + (option.repeated ? "..." : "");
    if (option.offer == Offer::words) name += ": " + roff(option.value);
  } else {
    for (const auto& spelling : option.names) name += (name.empty() ? "" : ", ") + bold(spelling);
    if (option.takes_value) name += " " + slanted(option.value) + (option.repeated ? " ..." : "");
  }
  return fmt::format(".TP\n{}\n{}", name, text_line(option.text + details(option)));
}

/// The first command before `place` that has the same options in this group; null: none.
const DescribedCommand* same_before(const DescribedTool& tool, std::size_t place, const std::string& group) {
  const auto options = tool.commands[place].options_in(group);
  if (options.size() < 2) return nullptr;  // shorter said once more
  for (std::size_t i = 0; i < place; ++i)
    if (tool.commands[i].options_in(group) == options) return &tool.commands[i];
  return nullptr;
}

std::string group_section(const DescribedTool& tool, std::size_t place, const std::string& group) {
  std::string out = heading("SS", group);
  const auto options = tool.commands[place].options_in(group);
  if (const auto* other = same_before(tool, place, group)) {
    std::string names;
    for (const auto& option : options)
      for (const auto& name : option.names) names += (names.empty() ? "" : ", ") + bold(name);
    return out + fmt::format("As of {}: {}.\n", bold("pawl " + other->name), names);
  }
  for (const auto& option : options) out += option_entry(option);
  return out;
}

/// What --help ends with: lines that begin with a space stand as they are, others flow.
std::string footer_section(std::string_view footer) {
  std::string out;
  bool as_it_is = false, begins = true;
  const auto set_as_it_is = [&](bool now) {
    if (now != as_it_is) out += now ? ".PP\n.RS 2\n.nf\n" : ".fi\n.RE\n";
    if (now != as_it_is) begins = !now;
    as_it_is = now;
  };
  while (!footer.empty()) {
    const auto end = std::min(footer.find('\n'), footer.size());
    std::string_view line = footer.substr(0, end);
    footer.remove_prefix(std::min(end + 1, footer.size()));
    set_as_it_is(line.starts_with(' '));
    if (line == "Examples:") {
      out += heading("SS", "Examples");
      begins = false;
    } else if (line.empty()) {
      begins = true;
    } else {
      if (begins && !as_it_is) out += ".PP\n";
      begins = false;
      out += text_line(as_it_is ? line.substr(std::min<std::size_t>(2, line.size())) : line);
    }
  }
  set_as_it_is(false);
  return out;
}

std::string command_section(const DescribedTool& tool, std::size_t place) {
  const DescribedCommand& command = tool.commands[place];
  std::string out = heading("SH", "pawl " + command.name);
  out += usage(command) + "\n.PP\n" + text_line(command.text);
  for (const auto& argument : command.arguments) out += option_entry(argument);
  for (const auto& group : command.groups) out += group_section(tool, place, group);
  return out + footer_section(command.footer);
}

std::string synopsis(const DescribedTool& tool) {
  std::string out = ".SH SYNOPSIS\n";
  std::string_view between;
  for (const auto& command : tool.commands) {
    out.append(between).append(usage(command)).append("\n");
    between = ".br\n";
  }
  return out;
}

std::string environment(const DescribedTool& tool) {
  std::string out = ".SH ENVIRONMENT\n";
  std::string told;
  for (const auto& command : tool.commands)
    for (const auto& option : command.options) {
      if (option.environment.empty() || told.find(option.environment + " ") != std::string::npos) continue;
      told += option.environment + " ";
      out += entry(option.environment, fmt::format("As {}: {}.", option.names.back(), option.text));
    }
  for (const auto& variable : kVariables) out += entry(variable.name, variable.text);
  return out;
}

}  // namespace

std::string man_page(const DescribedTool& tool) {
  std::string out = ".\\\" Written by pawl itself: pawl man\n";
  out += ".TH PAWL 1 \"\" \"pawl " PAWL_VERSION "\" \"User Commands\"\n";
  out += ".nh\n.ad l\n";  // names of options are not to be broken, or torn apart
  out += ".SH NAME\npawl \\- feeds tasks that wait through one pipeline and commits the results to git\n";
  out += synopsis(tool);
  out += ".SH DESCRIPTION\n";
  std::string about = tool.itself.text;
  std::ranges::replace(about, '\n', ' ');
  out += text_line(about);
  for (const auto& command : tool.commands) out += entry("pawl " + command.name, command.text);
  out += ".SH OPTIONS\n";
  for (const auto& option : tool.itself.options) out += option_entry(option);
  for (std::size_t i = 0; i < tool.commands.size(); ++i) out += command_section(tool, i);
  out += ".SH \"EXIT STATUS\"\n";
  for (const auto& [code, text] : kExitCodes)
    out += entry(std::to_string(static_cast<int>(code)), fmt::format("{}.", text));
  out += environment(tool);
  out += ".SH FILES\n";
  for (const auto& file : kFiles) out += entry(file.name, file.text);
  out += ".SH \"SEE ALSO\"\n";
  out += "\\fBgit\\fR(1), \\fBgit\\-fsck\\fR(1), \\fBcurl\\fR(1), \\fBparallel\\fR(1), \\fBsystemd.service\\fR(5)\n";
  return out;
}

}  // namespace pawl::tool

#include "completion.h"

#include <fmt/format.h>

#include <algorithm>

namespace pawl::tool {
namespace {

std::string replaced(std::string_view text, char what, std::string_view with) {
  std::string out;
  for (const char c : text) c == what ? out.append(with) : out.append(1, c);
  return out;
}

/// As bash and zsh read a word.
std::string shell_quoted(std::string_view text) { return "'" + replaced(text, '\'', "'\\''") + "'"; }

std::string in_a_row(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

/// What fits beside a name in a list: a sentence at most, not too long.
std::string short_text(const std::string& text) {
  constexpr std::size_t kMost = 90;
  const std::string said = text.substr(0, text.find(". "));
  if (said.size() <= kMost) return said;
  const auto end = said.rfind(' ', kMost);
  return said.substr(0, end == std::string::npos ? kMost : end) + " ...";
}

bool goes_on(const std::string& word) { return word.ends_with('='); }

/// The keys of KEY=VALUE that have words of their own, each with these.
std::vector<std::pair<std::string, std::vector<std::string>>> keys_with_words(const DescribedTool& tool,
                                                                              const DescribedOption& argument) {
  std::vector<std::pair<std::string, std::vector<std::string>>> found;
  for (const auto& word : argument.words) {
    if (!goes_on(word)) continue;
    const std::string key = word.substr(0, word.size() - 1);
    if (auto words = words_of_key(tool, key); !words.empty()) found.emplace_back(key, std::move(words));
  }
  return found;
}

std::vector<std::string> names_of(const std::vector<DescribedOption>& options) {
  std::vector<std::string> all;
  for (const auto& option : options) all.insert(all.end(), option.names.begin(), option.names.end());
  return all;
}

// bash

std::string bash_offer(const DescribedOption& option) {
  switch (option.offer) {
    case Offer::files: return "kind=file";
    case Offer::folders: return "kind=directory";
    case Offer::words: return "offer=" + shell_quoted(in_a_row(option.words));
    case Offer::nothing: break;
  }
  return {};
}

std::string bash_valued(const DescribedCommand& command) {
  std::string names = " ";
  for (const auto& option : command.options)
    if (option.takes_value) names += in_a_row(option.names) + " ";
  return fmt::format("    {}) options={} valued={} ;;\n", command.name,
                     shell_quoted(in_a_row(names_of(command.options))), shell_quoted(names));
}

std::string bash_values(const DescribedTool& tool, const DescribedCommand& command) {
  std::string cases;
  const auto add = [&](const std::string& where, const std::string& offer) {
    if (!offer.empty()) cases += fmt::format("      {}) {} ;;\n", where, offer);
  };
  for (const auto& option : command.options)
    if (option.takes_value) add(fmt::format("{}", fmt::join(option.names, " | ")), bash_offer(option));
  unsigned place = 0;
  for (const auto& argument : command.arguments) {
    for (const auto& [key, words] : keys_with_words(tool, argument))
      add("=" + key, "offer=" + shell_quoted(in_a_row(words)));
    ++place;
    add(argument.repeated ? "[0-9]*" : std::to_string(place), bash_offer(argument));
  }
  return cases.empty() ? cases : fmt::format("    {}) case $where in\n{}    esac ;;\n", command.name, cases);
}

// Before it come the options of each command, behind it what their values can be.
constexpr std::string_view kBashLook = R"(    *) return ;;
  esac
  # bash splits words at '=': together again, up to the one that is typed.
  local words=() word joined=
  for word in "${COMP_WORDS[@]:2:COMP_CWORD-1}"; do
    if [[ -n $joined || ($word == = && ${#words[@]} -gt 0) ]]; then words[-1]+=$word; else words+=("$word"); fi
    [[ $word == = ]] && joined=yes || joined=
  done
  # Whose value is typed: an option's, that of "=KEY" behind KEY=, or the argument's with this number.
  local current=${words[-1]} before= where= place=1 i
  for ((i = 0; i + 1 < ${#words[@]}; ++i)); do
    word=${words[i]}
    if [[ $word != -?* ]]; then
      ((++place))
    elif [[ $valued == *" $word "* ]]; then
      ((i + 2 == ${#words[@]})) && where=$word
      ((++i))
    fi
  done
  if [[ -z $where && $current == ?*=* ]]; then
    where=${current%%=*}
    [[ ${COMP_WORDS[COMP_CWORD]} == ?*=* ]] && before=$where=
    current=${current#*=}
    [[ $where == -* ]] || where="=$where"
  elif [[ -z $where && $current == -* ]]; then
    where=option
  elif [[ -z $where ]]; then
    where=$place
  fi
  local kind= offer=
  case $command in
)";

constexpr std::string_view kBashEnd = R"(  esac
  [[ $where == option || -z $kind$offer && $where == [0-9]* ]] && kind= offer=$options
  if [[ -n $kind ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -A "$kind" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "$offer" -- "$current")
    [[ ${COMPREPLY[*]} == *= ]] && compopt -o nospace 2>/dev/null
  fi
  COMPREPLY=("${COMPREPLY[@]/#/$before}")
}
complete -F _pawl pawl
)";

std::string bash_script(const DescribedTool& tool) {
  std::vector<std::string> first = names_of(tool.itself.options);
  for (const auto& command : tool.commands) first.push_back(command.name);
  std::string out = "# bash completion for pawl, written by pawl itself: pawl completion bash\n_pawl() {\n";
  out += "  local IFS=$' \\t\\n' command=${COMP_WORDS[1]} options= valued=\n  COMPREPLY=()\n";
  out += "  if ((COMP_CWORD < 2)); then\n";
  out += fmt::format("    mapfile -t COMPREPLY < <(compgen -W {} -- \"$command\")\n    return\n  fi\n",
                     shell_quoted(in_a_row(first)));
  out += "  case $command in\n";
  for (const auto& command : tool.commands) out += bash_valued(command);
  out += kBashLook;
  for (const auto& command : tool.commands) out += bash_values(tool, command);
  return out.append(kBashEnd);
}

// zsh

std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

/// A message and an action, as _arguments has them.
std::string zsh_value(const DescribedOption& option, const std::string& message) {
  const std::string begin = ":" + replaced(message, ':', "\\:") + ":";
  switch (option.offer) {
    case Offer::files: return begin + "_files";
    case Offer::folders: return begin + "_files -/";
    case Offer::words:
      return begin +
             (std::ranges::any_of(option.words, goes_on) ? "_pawl_setting" : "(" + in_a_row(option.words) + ")");
    case Offer::nothing: break;
  }
  return begin + " ";
}

std::string zsh_option(const DescribedOption& option) {
  std::vector<std::string> others = option.excludes;
  if (!option.repeated) others.insert(others.end(), option.names.begin(), option.names.end());
  std::string out;
  for (const auto& name : option.names) {
    std::string spec = option.repeated ? "*" : "(" + in_a_row(others) + ")";
    spec += name;
    if (option.takes_value) spec += name.starts_with("--") ? "=" : "+";
    spec += "[" + zsh_text(short_text(option.text)) + "]";
    if (option.takes_value) spec += zsh_value(option, option.value);
    out += " \\\n        " + shell_quoted(spec);
  }
  return out;
}

std::string zsh_command(const DescribedCommand& command) {
  std::string out = fmt::format("      {}) _arguments -s -S", command.name);
  for (const auto& option : command.options) out += zsh_option(option);
  unsigned place = 0;
  for (const auto& argument : command.arguments) {
    ++place;
    const std::string which = argument.repeated ? "*" : std::to_string(place);
    out += " \\\n        " + shell_quoted(which + zsh_value(argument, argument.place));
  }
  return out + " ;;\n";
}

/// The function that completes KEY=VALUE; empty: there is no such argument.
std::string zsh_setting(const DescribedTool& tool) {
  for (const auto& command : tool.commands)
    for (const auto& argument : command.arguments) {
      if (std::ranges::none_of(argument.words, goes_on)) continue;
      std::string out = "_pawl_setting() {\n  ";
      for (const auto& [key, words] : keys_with_words(tool, argument))
        out += fmt::format("if compset -P {}; then\n    compadd -- {}\n  el", shell_quoted(key + "="), in_a_row(words));
      out += "if compset -P '*='; then\n    _message value\n  else\n";
      return out + fmt::format("    compadd -S '' -- {}\n  fi\n}}\n\n", in_a_row(argument.words));
    }
  return {};
}

std::string zsh_script(const DescribedTool& tool) {
  std::string out = "#compdef pawl\n# zsh completion for pawl, written by pawl itself: pawl completion zsh\n\n";
  out += zsh_setting(tool);
  out += "_pawl() {\n  local curcontext=$curcontext state line\n  typeset -A opt_args\n  local -a commands\n";
  out += "  commands=(\n";
  for (const auto& command : tool.commands)
    out += "    " + shell_quoted(command.name + ":" + short_text(command.text)) + "\n";
  out += "  )\n  _arguments -C";
  for (const auto& option : tool.itself.options) out += zsh_option(option);
  out += " \\\n        '1:command:->command' \\\n        '*::argument:->argument'\n";
  out += "  case $state in\n  command) _describe -t commands 'pawl command' commands ;;\n  argument)\n";
  out += "    curcontext=${curcontext%:*:*}:pawl-$words[1]:\n    case $words[1] in\n";
  for (const auto& command : tool.commands) out += zsh_command(command);
  out += "    esac ;;\n  esac\n}\n\n";
  // Loaded from $fpath it is the function's body, and sourced it must say what it is for.
  return out + "if [[ $funcstack[1] == _pawl ]]; then _pawl \"$@\"; else compdef _pawl pawl; fi\n";
}

// fish

std::string fish_quoted(std::string_view text) {
  return "'" + replaced(replaced(text, '\\', "\\\\"), '\'', "\\'") + "'";
}

/// Switches that offer what a value can be.
std::string fish_value(const DescribedOption& option) {
  switch (option.offer) {
    case Offer::files: return " -r -F";
    case Offer::folders: return " -x -a '(__fish_complete_directories)'";
    case Offer::words: return " -x -a " + fish_quoted(in_a_row(option.words));
    case Offer::nothing: break;
  }
  return " -x";
}

std::string fish_option(const std::string& condition, const DescribedOption& option) {
  std::string out = "complete -c pawl -n " + fish_quoted(condition);
  for (const auto& name : option.names)
    out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (option.takes_value) out += fish_value(option);
  return out + " -d " + fish_quoted(short_text(option.text)) + "\n";
}

std::string fish_argument(const DescribedTool& tool, const std::string& condition, const DescribedOption& argument) {
  const std::string begin = "complete -c pawl -n " + fish_quoted(condition);
  if (argument.offer == Offer::files) return begin + " -F\n";
  if (argument.offer == Offer::folders) return begin + " -a '(__fish_complete_directories)'\n";
  if (argument.words.empty()) return {};
  std::vector<std::string> words = argument.words;
  for (const auto& [key, values] : keys_with_words(tool, argument))
    for (const auto& value : values) words.push_back(key + "=" + value);
  return begin + " -a " + fish_quoted(in_a_row(words)) + "\n";
}

// Of a command with several arguments none takes an option with a value, which would be counted as one.
constexpr std::string_view kFishHead = R"(# fish completion for pawl, written by pawl itself: pawl completion fish
function __pawl_of
    set -l words (commandline -opc)
    test (count $words) -ge 2; and test $words[2] = $argv[1]
end
function __pawl_place
    __pawl_of $argv[1]; or return 1
    set -l words (commandline -opc)[3..-1]
    set -l place (math 1 + (count (string match -v -- '-*' $words)))
    test $place -eq $argv[2]; or test $argv[3] = more -a $place -gt $argv[2]
end
complete -c pawl -f
)";

std::string fish_script(const DescribedTool& tool) {
  std::string out(kFishHead);
  const std::string first = "__fish_is_first_token";
  for (const auto& option : tool.itself.options) out += fish_option(first, option);
  for (const auto& command : tool.commands)
    out +=
        fmt::format("complete -c pawl -n {} -a {} -d {}\n", first, command.name, fish_quoted(short_text(command.text)));
  for (const auto& command : tool.commands) {
    for (const auto& option : command.options) out += fish_option("__pawl_of " + command.name, option);
    unsigned place = 0;
    for (const auto& argument : command.arguments) {
      ++place;
      const bool alone = command.arguments.size() == 1;
      out += fish_argument(
          tool,
          alone ? "__pawl_of " + command.name
                : fmt::format("__pawl_place {} {} {}", command.name, place, argument.repeated ? "more" : "one"),
          argument);
    }
  }
  return out;
}

}  // namespace

const std::vector<std::string>& completion_shells() {
  static const std::vector<std::string> shells = {"bash", "zsh", "fish"};
  return shells;
}

std::string completion(const DescribedTool& tool, std::string_view shell) {
  if (shell == "zsh") return zsh_script(tool);
  return shell == "fish" ? fish_script(tool) : bash_script(tool);
}

}  // namespace pawl::tool

// The man page and the completion scripts that the tool writes: all that --help has is in them, and those who read them
// (groff, bash, zsh, fish) understand it as it is meant.
#include <algorithm>
#include <cctype>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tool.h"

namespace pawl::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

using Lines = std::vector<std::string>;

class PawlDescribed : public PawlTool {
 protected:
  static std::string printed(std::vector<std::string> words) {
    Process process(pawl(std::move(words)));
    EXPECT_EQ(process.wait(), 0) << process.err();
    return process.out();
  }
  static const std::string& help(const std::string& command) {
    static std::map<std::string, std::string> known;
    auto& text = known[command];
    if (text.empty()) text = printed({command, "--help"});
    return text;
  }
  static bool there_is(const std::string& program) {
    Process process({"sh", "-c", "command -v " + program});
    return process.wait() == 0;
  }
  /// What --help lists under the heading `Subcommands:`.
  static Lines commands() {
    Lines names;
    bool under = false;
    for (const auto& line : lines_of(printed({"--help"}))) {
      if (under && line.starts_with("  ")) names.push_back(line.substr(2, line.find(' ', 2) - 2));
      if (line.starts_with("Subcommands:")) under = true;
    }
    return names;
  }
  /// Names of options that this help lists, all spellings.
  static Lines options(const std::string& help_text) {
    Lines names;
    for (const auto& line : lines_of(help_text)) {
      if (!line.starts_with("  -")) continue;
      std::string rest = line.substr(2, line.find(' ', 2) - 2) + ",";
      for (auto comma = rest.find(','); comma != std::string::npos; comma = rest.find(',')) {
        names.push_back(rest.substr(0, std::min(comma, rest.find('{'))));
        rest.erase(0, comma + 1);
      }
    }
    return names;
  }
  /// Lines that stand under `Examples:` as they are to be typed.
  static Lines examples(const std::string& help_text) {
    Lines found;
    bool under = false;
    for (const auto& line : lines_of(help_text)) {
      if (under && line.starts_with("  ")) found.push_back(line.substr(2));
      if (line == "Examples:") under = true;
    }
    return found;
  }
  /// From the line that begins with `begin` to the next that begins with `end`.
  static std::string part(const std::string& text, const std::string& begin, const std::string& end) {
    const auto from = ("\n" + text).find("\n" + begin);
    if (from == std::string::npos) return {};
    const auto to = text.find("\n" + end, from + 1);
    return text.substr(from, to == std::string::npos ? to : to - from);
  }
  static bool has_word(const std::string& text, const std::string& word) {
    const auto is_part = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-'; };
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
      const auto end = at + word.size();
      if ((at == 0 || !is_part(text[at - 1])) && (end == text.size() || !is_part(text[end]))) return true;
    }
    return false;
  }
  std::string script(const std::string& shell) const {
    return input("completion." + shell, printed({"completion", shell}));
  }
  /// What bash offers for the last of `words`.
  Lines offered(const std::string& bash_words, const std::string& script) const {
    const std::string code = fmt::format(
        "cd {} && source {} && COMP_WORDS=({}) && COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) && _pawl && "
        "((${{#COMPREPLY[@]}} == 0)) || printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        folder_.path().string(), script, bash_words);
    Process bash({"bash", "--norc", "-c", code});
    EXPECT_EQ(bash.wait(), 0) << bash_words;
    EXPECT_EQ(bash.err(), "") << bash_words;
    return lines_of(bash.out());
  }
};

TEST_F(PawlDescribed, TheManPageHasEveryOptionAndEveryExample) {
  const std::string page = printed({"man"});
  EXPECT_TRUE(std::ranges::all_of(page, [](unsigned char c) { return c < 0x80; })) << "roff takes ASCII";
  std::string plain = page;
  for (const auto& [escape, sign] :
       std::map<std::string, std::string>{{"\\fB", ""}, {"\\fI", ""}, {"\\fR", ""}, {"\\-", "-"}})
    for (auto at = plain.find(escape); at != std::string::npos; at = plain.find(escape))
      plain.replace(at, escape.size(), sign);
  const Lines names = commands();
  ASSERT_GE(names.size(), 11u);
  for (const auto& name : names) {
    const std::string section = part(plain, ".SH \"pawl " + name + "\"", ".SH");
    const Lines all = options(help(name));
    EXPECT_FALSE(all.empty()) << name;
    for (const auto& option : all) EXPECT_TRUE(has_word(section, option)) << name << " " << option;
    EXPECT_FALSE(examples(help(name)).empty()) << name << " --help has no example";
  }
  for (const char* code : {"0", "1", "2", "3", "4", "7", "70"})
    EXPECT_THAT(part(plain, ".SH \"EXIT STATUS\"", ".SH"), HasSubstr(std::string(".TP\n") + code + "\n"));
}

TEST_F(PawlDescribed, GroffUnderstandsTheManPageAndShowsExamplesAsTheyAreTyped) {
  if (!there_is("groff")) GTEST_SKIP() << "groff is not there (Debian: groff-base)";
  const std::string page = input("pawl.1", printed({"man"}));
  Process groff({"groff", "-man", "-ww", "-Tascii", "-P-cbou", "-rLL=200n", page});
  ASSERT_EQ(groff.wait(), 0);
  EXPECT_EQ(groff.err(), "");
  const std::string shown = groff.out();
  for (const auto& name : commands())
    for (const auto& line : examples(help(name))) EXPECT_THAT(shown, HasSubstr(line)) << name;
  EXPECT_THAT(shown, HasSubstr("--format auto|batch|lines|urls|files"));
}

TEST_F(PawlDescribed, EveryOptionIsInEachCompletionScript) {
  const std::string bash = printed({"completion", "bash"}), zsh = printed({"completion", "zsh"}),
                    fish = printed({"completion", "fish"});
  for (const auto& name : commands()) {
    const std::string of_bash = part(bash, "    " + name + ") options=", "");
    const auto zsh_begin = zsh.find("      " + name + ") _arguments");
    ASSERT_NE(zsh_begin, std::string::npos) << name;
    const std::string of_zsh = zsh.substr(zsh_begin, zsh.find(" ;;\n", zsh_begin) - zsh_begin);
    std::string of_fish;
    for (const auto& line : lines_of(fish))
      if (line.find("'__pawl_of " + name + "'") != std::string::npos) of_fish += line + "\n";
    for (const auto& option : options(help(name))) {
      EXPECT_TRUE(has_word(of_bash, option)) << "bash: " << name << " " << option;
      EXPECT_TRUE(has_word(of_zsh, option)) << "zsh: " << name << " " << option;
      const bool is_long = option.starts_with("--");
      EXPECT_TRUE(has_word(of_fish, (is_long ? "-l " : "-s ") + option.substr(is_long ? 2 : 1)))
          << "fish: " << name << " " << option;
    }
  }
}

TEST_F(PawlDescribed, BashCompletesCommandsOptionsValuesAndFiles) {
  const std::string bash = script("bash");
  Process check({"bash", "-n", bash});
  ASSERT_EQ(check.wait(), 0) << check.err();
  input("tasks.jsonl", "");
  input("table", "");
  std::filesystem::create_directory(folder_ / "target");
  const auto offer = [&](const std::string& words) { return offered(words, bash); };
  EXPECT_THAT(offer("pawl re"), UnorderedElementsAre("resume", "report"));
  EXPECT_THAT(offer("pawl run --form"), ElementsAre("--format"));
  EXPECT_THAT(offer("pawl run --rate"), UnorderedElementsAre("--rate", "--rate-tokens"));
  EXPECT_THAT(offer("pawl run x --format ''"), ElementsAre("auto", "batch", "lines", "urls", "files"));
  EXPECT_THAT(offer("pawl run x --format = ba"), ElementsAre("batch")) << "as bash splits --format=ba";
  EXPECT_THAT(offer("pawl run x --format ="), ElementsAre("auto", "batch", "lines", "urls", "files"));
  EXPECT_THAT(offer("pawl run x --format=ba"), ElementsAre("--format=batch")) << "without '=' in COMP_WORDBREAKS";
  EXPECT_THAT(offer("pawl run --format batch ta"), UnorderedElementsAre("tasks.jsonl", "table", "target"));
  EXPECT_THAT(offer("pawl run x --header-file tas"), ElementsAre("tasks.jsonl"));
  EXPECT_THAT(offer("pawl run x --repo ta"), ElementsAre("target"));
  EXPECT_THAT(offer("pawl resume ta"), ElementsAre("target"));
  EXPECT_THAT(offer("pawl resume target --rate ''"), IsEmpty()) << "anything";
  EXPECT_THAT(offer("pawl resume target --rate 5/s --on-fail"), ElementsAre("--on-failure"));
  EXPECT_THAT(offer("pawl ctl target ''"), ElementsAre("pause", "resume", "drain", "stop", "set"));
  EXPECT_THAT(offer("pawl ctl target set ''"), ElementsAre("parallel-max=", "rate=", "rate-tokens=", "log-level="));
  EXPECT_THAT(offer("pawl ctl target set rate = 5/s lo"), ElementsAre("log-level="));
  EXPECT_THAT(offer("pawl ctl target set log-level = de"), ElementsAre("debug"));
  EXPECT_THAT(offer("pawl status target --"), UnorderedElementsAre("--help", "--json", "--watch"));
  EXPECT_THAT(offer("pawl completion z"), ElementsAre("zsh"));
  EXPECT_THAT(offer("pawl nonsense ta"), IsEmpty());
}

TEST_F(PawlDescribed, ZshUnderstandsItsScript) {
  if (!there_is("zsh")) GTEST_SKIP() << "zsh is not there";
  Process check({"zsh", "-n", script("zsh")});
  EXPECT_EQ(check.wait(), 0) << check.err();
  EXPECT_EQ(check.err(), "");
}

TEST_F(PawlDescribed, FishCompletesCommandsOptionsAndValues) {
  if (!there_is("fish")) GTEST_SKIP() << "fish is not there";
  const std::string file = script("fish");
  const auto offer = [&](const std::string& line) {
    Process fish({"fish", "--no-config", "-c", fmt::format("source {}; complete -C '{}'", file, line)});
    EXPECT_EQ(fish.wait(), 0);
    EXPECT_EQ(fish.err(), "");
    Lines words;
    for (const auto& said : lines_of(fish.out())) words.push_back(said.substr(0, said.find('\t')));
    return words;
  };
  EXPECT_THAT(offer("pawl rep"), ElementsAre("report"));
  EXPECT_THAT(offer("pawl run --form"), ElementsAre("--format"));
  EXPECT_THAT(offer("pawl run --format ba"), ElementsAre("batch"));
  EXPECT_THAT(offer("pawl ctl target p"), ElementsAre("pause"));
  EXPECT_THAT(offer("pawl ctl target set par"), ElementsAre("parallel-max="));
}

TEST_F(PawlDescribed, AnUnknownShellIsRefused) {
  Process process(pawl({"completion", "tcsh"}));
  EXPECT_EQ(process.wait(), 2);
  EXPECT_THAT(process.err(), HasSubstr("tcsh"));
}

}  // namespace
}  // namespace pawl::test

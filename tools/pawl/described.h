// What the command line takes, as plain data: read from the parser itself, so that what is written from it (the man
// page, completion in shells) cannot name an option that is not there, or forget one.
//
// When not to use it: to parse, or for --help, which CLI11 writes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace pawl::tool {

/// What a shell can offer for a value.
enum class Offer : std::uint8_t { nothing, files, folders, words };

/// An option, or an argument that is known by its place.
struct DescribedOption {
  std::vector<std::string> names;  // as typed, "-H" before "--header"; empty: an argument
  std::string place;               // of an argument: "REPO"
  std::string value;               // "FILE", "auto|batch"; empty: takes none, or an argument that says it by its name
  std::string range;               // "1 - 65536"; empty: none is told
  std::vector<std::string> words;  // those there are, for Offer::words; what ends with '=' goes on
  std::string text;
  std::string group;
  std::string preset;                 // what holds if it is not given; may be empty
  std::string environment;            // variable that gives it, too
  std::vector<std::string> excludes;  // names
  Offer offer = Offer::nothing;
  bool takes_value = false;
  bool required = false;
  bool repeated = false;

  [[nodiscard]] bool is_argument() const noexcept { return names.empty(); }
  /// Alike for a reader, if not for the parser.
  friend bool operator==(const DescribedOption&, const DescribedOption&) = default;
};

struct DescribedCommand {
  std::string name;
  std::string text;
  std::string footer;                      // examples and what else --help ends with
  std::vector<DescribedOption> arguments;  // in their order
  std::vector<DescribedOption> options;    // in the order of --help
  std::vector<std::string> groups;         // of options, likewise

  [[nodiscard]] std::vector<DescribedOption> options_in(const std::string& group) const;
};

struct DescribedTool {
  DescribedCommand itself;
  std::vector<DescribedCommand> commands;
};

/// Values of an argument KEY=VALUE are `keys`, and for a key what the option of that name takes.
[[nodiscard]] DescribedTool described(const CLI::App& app, const std::vector<std::string>& keys);

/// What may come after KEY= of an argument KEY=VALUE: the words of the option --KEY, wherever it is; empty: anything.
[[nodiscard]] std::vector<std::string> words_of_key(const DescribedTool& tool, const std::string& key);

}  // namespace pawl::tool

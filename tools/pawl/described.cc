#include "described.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

namespace pawl::tool {
namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto end = std::min(text.find(separator), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

Offer offer_of(std::string_view value) {
  if (value == "PATH" || value.find("FILE") != std::string_view::npos) return Offer::files;
  if (value == "DIR" || value == "REPO") return Offer::folders;
  return Offer::nothing;
}

/// CLI11 writes an option's type, a colon, and what its check says of itself. Types that it names by itself are
/// of no use to a person; those that we name hold for all that is written.
void read_type(DescribedOption& option, const std::string& type) {
  static constexpr std::array<std::string_view, 4> kOwn = {"TEXT", "UINT", "INT", "FLOAT"};
  const auto own = std::ranges::find_if(
      kOwn, [&](std::string_view name) { return type == name || type.starts_with(std::string(name) + ":"); });
  if (own == kOwn.end()) {
    option.value = type;
    option.offer = offer_of(type);
    return;
  }
  const bool text = *own == "TEXT";
  option.value = text ? "TEXT" : "N";
  const std::string_view check = std::string_view(type).substr(std::min(own->size() + 1, type.size()));
  if (check.starts_with('{') && check.ends_with('}')) {
    option.words = split(check.substr(1, check.size() - 2), ',');
    option.value = fmt::format("{}", fmt::join(option.words, "|"));
    option.offer = Offer::words;
    return;
  }
  if (check.starts_with("SIZE ")) {
    option.value = "SIZE";
    option.range = "bytes, or 64kb, 16mb, 2gb";
  } else if (const auto begin = check.find('['); begin != std::string_view::npos && check.ends_with(']')) {
    option.range = check.substr(begin + 1, check.size() - begin - 2);
  }
}

DescribedOption described_option(const CLI::Option& option, const std::vector<std::string>& keys) {
  DescribedOption it;
  for (const auto& name : option.get_snames()) it.names.push_back("-" + name);
  for (const auto& name : option.get_lnames()) it.names.push_back("--" + name);
  it.text = option.get_description();
  it.group = option.get_group();
  it.takes_value = option.get_items_expected_max() > 0;
  if (it.takes_value) read_type(it, option.get_type_name());
  if (it.is_argument()) {
    it.place = option.get_name(true);
    if (it.offer == Offer::nothing) it.offer = offer_of(it.place);
    if (it.value == "KEY=VALUE") {
      it.offer = Offer::words;
      for (const auto& key : keys) it.words.push_back(key + "=");
    }
  }
  it.preset = option.get_default_str();
  it.environment = option.get_envname();
  for (const CLI::Option* other : option.get_excludes()) it.excludes.push_back(other->get_name());
  std::ranges::sort(it.excludes);  // CLI11 has them by their addresses
  it.required = option.get_required();
  it.repeated = option.get_expected_max() > 1;
  return it;
}

DescribedCommand described_command(const CLI::App& app, const std::vector<std::string>& keys) {
  DescribedCommand it;
  it.name = app.get_name();
  it.text = app.get_description();
  it.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;  // hidden
    auto& list = option->get_positional() ? it.arguments : it.options;
    list.push_back(described_option(*option, keys));
    const auto& group = list.back().group;
    if (!option->get_positional() && std::ranges::find(it.groups, group) == it.groups.end()) it.groups.push_back(group);
  }
  return it;
}

}  // namespace

std::vector<DescribedOption> DescribedCommand::options_in(const std::string& group) const {
  std::vector<DescribedOption> found;
  std::ranges::copy_if(options, std::back_inserter(found), [&](const auto& option) { return option.group == group; });
  return found;
}

DescribedTool described(const CLI::App& app, const std::vector<std::string>& keys) {
  DescribedTool tool{described_command(app, keys), {}};
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    tool.commands.push_back(described_command(*command, keys));
  return tool;
}

std::vector<std::string> words_of_key(const DescribedTool& tool, const std::string& key) {
  for (const auto& command : tool.commands)
    for (const auto& option : command.options)
      if (std::ranges::find(option.names, "--" + key) != option.names.end()) return option.words;
  return {};
}

}  // namespace pawl::tool

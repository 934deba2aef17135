#include "stream_folders.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "stages.h"

namespace pawl::tool {
namespace {

/// Of the input's first task, as far as that can be found out without taking anything from anybody.
std::optional<std::string> first_stream(const std::string& path, const input::Reader& reader,
                                        const input::Options& input) {
  const bool from_lines = reader.format() == input::Format::batch || !input.stream_by.empty();
  if (!from_lines) return input::source_name(path);
  std::error_code ignored;  // what cannot be looked at is no file to read twice
  if (path == "-" || !std::filesystem::is_regular_file(path, ignored)) return std::nullopt;
  auto again = input::Reader::open({path, input::source_name(path)}, input);
  if (!again) return std::nullopt;  // its own reader says what is wrong
  Request request;
  const auto more = (*again)->next(request);
  return more && *more ? std::optional(request.stream) : std::nullopt;
}

}  // namespace

Result<void> check_stream_folders(const RunOptions& options, const std::vector<std::unique_ptr<input::Reader>>& readers,
                                  git::Repository& repository) {
  if (layout_of(options) == git::Layout::raw) return {};
  const auto input = input_options(options, -1);
  if (!input) return std::unexpected(input.error());
  const auto work_tree =
      options.no_worktree ? git::CommitOptions::WorkTree::leave : git::CommitOptions::WorkTree::update;
  for (std::size_t i = 0; i < readers.size(); ++i) {
    const auto stream = first_stream(options.inputs[i], *readers[i], *input);
    if (!stream) continue;
    const auto file = git::in_the_way(repository, *stream, work_tree);
    if (!file) return std::unexpected(file.error());
    if (file->empty()) continue;
    return failure(ErrorCode::usage,
                   fmt::format("{}; the results of stream {} need a folder of that name: move the file out of the "
                               "repository, or give another one with --repo",
                               *file, *stream));
  }
  return {};
}

}  // namespace pawl::tool

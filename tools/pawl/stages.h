// Stages and readers of a session, made from the command line's options.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <pawl/git.h>
#include <pawl/http.h>
#include <pawl/input.h>
#include <pawl/journal.h>
#include <pawl/mockapi.h>

#include "options.h"

namespace pawl::tool {

/// Name under which requests know the built-in server: the same in every run, so that a request stays the same.
inline constexpr const char* kBuiltinOrigin = "http://pawl.builtin";

/// The server of `--api builtin`, or null without it. Errors: usage, io.
[[nodiscard]] Result<std::unique_ptr<mockapi::Server>> start_builtin(const RunOptions& options);

/// `builtin` may be null. Errors: usage (also: header file or token unreadable), unsupported, io.
[[nodiscard]] Result<http::Options> http_options(const RunOptions& options, const mockapi::Server* builtin);

/// Name of the environment variable that a run with these options takes its token from; empty: it has none.
[[nodiscard]] std::string bearer_variable(const RunOptions& options);

[[nodiscard]] git::CommitOptions commit_options(const RunOptions& options, std::uint64_t run);
/// What a person is told of files that hold changes of their own.
[[nodiscard]] std::string left_files_text(const git::WorkTreeReport& report);

[[nodiscard]] journal::Options journal_options(const RunOptions& options, const git::Repository& repository);

[[nodiscard]] git::Layout layout_of(const RunOptions& options);

/// How inputs are read. Errors: usage.
[[nodiscard]] Result<input::Options> input_options(const RunOptions& options, int cancel_fd);

/// Opens every input. Errors: usage, input.
[[nodiscard]] Result<std::vector<std::unique_ptr<input::Reader>>> open_inputs(const RunOptions& options, int cancel_fd);

}  // namespace pawl::tool

// Stages made from functions: what it takes to start with a pipeline, and enough for many programs that embed one.
//
//   pawl::Stages stages{.save = pawl::save_nothing(),
//                       .call = pawl::call_with(ask, {.threads = 16}),
//                       .commit = pawl::commit_with(store)};
//
// The functions may block; they run on threads of these stages, never on the engine's. What they throw (anything
// derived from std::exception) is a result of the task, told below; anything else ends the process. Every stage here
// keeps the contract of stages.h.
//
// When not to use them: where an accepted task must survive a crash (save_nothing() forgets; use pawl/journal.h or a
// SaveStage of your own), for thousands of calls at once (a thread each; use pawl/http.h or a Stage with an event
// loop), and for calls of less than a few microseconds (handing one to a thread costs as much).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>

#include <pawl/error.h>
#include <pawl/export.h>
#include <pawl/stages.h>
#include <pawl/task.h>

namespace pawl {

/// A save stage that saves nothing and lets tasks through at once: *accepted* then promises nothing about a crash.
[[nodiscard]] PAWL_API std::unique_ptr<SaveStage> save_nothing();

/// Makes one call: reads the request, writes the outcome (kind `none` when it comes in). Called by several threads at
/// once. Left at `none`, the outcome becomes `answered`; an `answered` one without a status code gets 200. Attempts,
/// start and duration are filled in where they are left empty.
/// If it throws, the outcome is `failed` with error code "exception" and what() as message: a result, which is
/// committed like any other.
using CallFn = std::function<void(const Request&, Outcome&)>;

/// As CallFn, and told when the engine aborts: then return soon. Returning with kind `none` after that gives the task
/// up as cancelled. Callbacks registered with the token run inside Engine::abort() and must not wait.
using StoppableCallFn = std::function<void(const Request&, Outcome&, const std::stop_token&)>;

struct CallOptions {
  std::uint32_t threads = 1;  // 1 … 4,096: calls at once

  /// Errors: usage.
  [[nodiscard]] PAWL_API Result<void> validate() const;
};

/// A call stage of `options.threads` threads, which start with the engine; if the system gives fewer, those do the
/// work, and with none every task is given up (call). REQUIRES: a function, and options.validate() holds. What has not
/// been begun comes back at once when the engine drains or aborts. A call that is running ends when its function
/// returns: a CallFn that blocks for ever makes Engine::close() wait for ever, a StoppableCallFn need not.
[[nodiscard]] PAWL_API std::unique_ptr<Stage> call_with(CallFn call, CallOptions options = {});
[[nodiscard]] PAWL_API std::unique_ptr<Stage> call_with(StoppableCallFn call, CallOptions options = {});

/// Commits tasks: all those that are ready, of any number of streams, those of one stream in order. A task it returns
/// from is committed unless it gave it up (Task::give_up()). Called by one thread.
/// If it throws, the tasks it has not itself marked `committed` are unfinished: `io`, with what() as context and, from
/// a std::system_error of the system's own category, its errno. Later tasks of the same streams are still handed over.
using CommitFn = std::function<void(std::span<Task* const>)>;

/// The same for one task at a time; what it throws concerns that task alone, which is then unfinished.
using CommitOneFn = std::function<void(Task&)>;

/// A commit stage with one thread. If the system gives none, every task is given up (io). REQUIRES: a function.
/// When the engine aborts, what has not been handed over comes back at once, and what has been when the function
/// returns.
[[nodiscard]] PAWL_API std::unique_ptr<Stage> commit_with(CommitFn commit);
[[nodiscard]] PAWL_API std::unique_ptr<Stage> commit_with(CommitOneFn commit);

}  // namespace pawl

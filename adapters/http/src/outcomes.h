// What is written into a task of what became of its call.
#pragma once

#include <string>
#include <string_view>

#include <pawl/task.h>

#include "retry.h"

namespace pawl::http {

/// The beginning of a sentence about a task.
[[nodiscard]] std::string key_text(const Task& task);

/// Another attempt begins: forgets what came of the one before. Returns its number, from 1.
std::uint32_t begin_attempt(Outcome& outcome);
/// Of the last attempt. `failure_text` says what went wrong, if something did.
void write_outcome(Outcome& outcome, const Attempt& last, std::string failure_text);
/// Of a task that is not called at all.
void write_refusal(Outcome& outcome, std::string_view code, std::string text);
/// Its failure is not to be its outcome: the task is given up, held, with an error that tells of it.
void give_up_failed(Task& task);

}  // namespace pawl::http

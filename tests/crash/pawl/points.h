// The named points at which the crash suite kills pawl: a call on a file, as the file shim's rules name it.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace pawl::test {

struct Point {
  enum class Needs : std::uint8_t {
    nothing,
    left_tasks,  // of an earlier process that was killed: happens only in recovery
    a_pack,      // of an earlier run that came to its end
  };
  const char* name;
  const char* op_and_glob;
  Needs needs = Needs::nothing;
};

/// Every call that moves what is saved, stored or cleaned up from one state to the next.
[[nodiscard]] std::span<const Point> points();

/// Killed there, a first run leaves accepted tasks and answers in the journal and nothing on the branch.
[[nodiscard]] const Point& point_that_leaves_tasks();

enum class Moment : bool { before, after };

/// The rule that kills at the `count`th time that `point` is reached.
[[nodiscard]] std::string kill_rule(const Point& point, unsigned count, Moment moment);

}  // namespace pawl::test

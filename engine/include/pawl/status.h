// What waits, what runs, what is done: a snapshot of monotonic counters, read so that it always adds up.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <pawl/stages.h>

namespace pawl {

/// Where a task is on its way through the pipeline.
enum class Place : std::uint8_t { none, saving, calling, encoding, ordering, committing, retiring };

/// A word for a place ("saving", …), for messages and JSON.
constexpr std::string_view name_of(Place place) noexcept {
  switch (place) {
    case Place::none: return "between stages";
    case Place::saving: return "saving";
    case Place::calling: return "calling";
    case Place::encoding: return "encoding";
    case Place::ordering: return "ordering";
    case Place::committing: return "committing";
    case Place::retiring: return "retiring";
  }
  return "unknown";
}

/// A task that has been in one place for long.
struct Overdue {
  std::string stream, id;
  Place place = Place::none;
  std::chrono::milliseconds age{0};  // time in that place, to within about 10 ms
};

/// Monotonic counts of tasks since the engine was made. Read in reverse stage order, so that at any instant
/// admitted ≥ saved ≥ called ≥ ordered ≥ retired and no difference is negative.
struct Status {
  std::uint64_t admitted = 0;    // submit() returned `accepted`
  std::uint64_t saved = 0;       // have left the save stage
  std::uint64_t called = 0;      // have left the call stage
  std::uint64_t ordered = 0;     // had their turn in their stream
  std::uint64_t retired = 0;     // committed + unfinished; their credit is free again
  std::uint64_t committed = 0;   // the branch holds them (counted once, at retire; `unchanged` included)
  std::uint64_t failed = 0;      // of the committed: no 2xx answer
  std::uint64_t unchanged = 0;   // of the committed: the branch held the same content already
  std::uint64_t unfinished = 0;  // given up; still in the journal
  std::uint64_t bytes_in_flight = 0;
  StageGauge save, call, commit;

  [[nodiscard]] std::uint64_t in_flight() const noexcept { return admitted - retired; }
  [[nodiscard]] std::uint64_t saving() const noexcept { return admitted - saved; }
  [[nodiscard]] std::uint64_t in_call_stage() const noexcept { return saved - called; }
  [[nodiscard]] std::uint64_t ordering() const noexcept { return called - ordered; }
  [[nodiscard]] std::uint64_t committing() const noexcept { return ordered - retired; }
};

}  // namespace pawl

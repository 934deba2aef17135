// Segments: the files being written and the account of what each still holds. Belongs to the writer thread.
//
// Records are gathered in memory and written in large pieces; sync() makes them durable. A segment that is full is
// sealed and synced before the next one is begun, so only the last segment can end in an unfinished write. Released
// segments of the usual size are kept (two at most) and used again: overwriting blocks that exist is what makes a sync
// cheap, because the file's metadata does not change.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include <pawl/journal.h>

#include "byte_buffer.h"
#include "counters.h"
#include "file.h"
#include "format.h"

namespace pawl::journal {

enum class Ending : std::uint8_t {
  whole,   // everything was written
  broken,  // a write or sync has failed: write nothing more
};

class Segments {
 public:
  Segments(const Options& options, Counters& counters) : options_(options), counters_(counters) {}

  /// Opens the folder itself. Once, before anything else. Errors: io.
  [[nodiscard]] Result<void> open(std::uint64_t next_number);

  /// Takes over a segment that an earlier run left. It stays until unpin().
  void adopt(std::uint64_t number, std::uint64_t tasks);

  /// Add records; return the number of the segment they lie in. They are on their way to the disk after flush(),
  /// durable after sync(). After an error the object is only good for accounting. Errors: io.
  [[nodiscard]] Result<std::uint64_t> add_task(const Request& request);
  /// Notes: answers and marks. `records`: whole records but for their stamp; they stay together in one segment.
  [[nodiscard]] Result<std::uint64_t> add_notes(std::span<const std::byte> records, std::uint64_t count);
  [[nodiscard]] Result<void> flush();
  [[nodiscard]] Result<void> sync();

  // The account. A segment with nothing left in it goes away, unless it is being written.
  void release_task(std::uint64_t number) noexcept;
  void release_note(std::uint64_t number) noexcept;
  /// Recovery is through with a segment; `notes` of its notes were handed out with their tasks.
  void unpin(std::uint64_t number, std::uint64_t notes) noexcept;
  /// Removes, or keeps for use again, what has been released. Failure to do so is harmless: the next open() removes it.
  void reap() noexcept;

  /// Ends writing: removes everything that holds nothing, cuts the last segment to its records.
  void finish(Ending ending) noexcept;

 private:
  struct Account {
    std::int64_t tasks = 0;      // not yet released
    std::int64_t notes = 0;      // of tasks not yet released; below 0 until recovery has told how many there are
    bool pinned = false;         // recovery still needs it
    bool of_usual_size = false;  // may be used again
    [[nodiscard]] bool empty() const noexcept { return !pinned && tasks <= 0 && notes <= 0; }
  };

  /// Makes sure that `bytes` more fit into the segment being written; begins the next one if not.
  [[nodiscard]] Result<void> make_room(std::uint64_t bytes);
  [[nodiscard]] Result<void> seal_and_close();
  [[nodiscard]] Result<void> begin(std::uint64_t capacity);
  [[nodiscard]] Result<File> make_file(std::uint64_t first_fill, std::span<const std::byte> header);
  [[nodiscard]] Result<File> take_spare(std::span<const std::byte> header);
  [[nodiscard]] Result<void> fill_ahead(std::uint64_t need);
  void changed(std::uint64_t number, const Account& account) noexcept;

  const Options options_;
  Counters& counters_;
  File folder_;
  std::uint64_t next_number_ = 1;

  File file_;                   // being written; closed before the first record and between segments
  std::uint64_t number_ = 0;    // its number
  std::uint32_t seed_ = 0;      // of its record CRCs
  std::uint64_t capacity_ = 0;  // its size when full
  std::uint64_t filled_ = 0;    // blocks up to here exist
  std::uint64_t written_ = 0;   // end of what was handed to the kernel
  std::uint64_t durable_ = 0;   // end of what is synced
  ByteBuffer pending_;          // records behind written_

  std::map<std::uint64_t, Account> accounts_;  // of every segment in the folder
  std::vector<std::uint64_t> released_;        // numbers to reap
  std::vector<std::filesystem::path> spares_;  // empty segments of the usual size, waiting
};

}  // namespace pawl::journal

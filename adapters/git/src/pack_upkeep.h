// Keeps the number of packs small: a long run, or many short ones, would leave thousands, and everything that reads the
// repository looks through all of them.
//
// Packs that pawl made stand until there are more than forty. Then those of the size that most are of become one: about
// fourteen at least, so that an object is written again once for each power of about sixteen that the history grows by,
// and not at all in a history of forty publications. Packs that are too large to be joined do not count. Names are kept
// in the private folder, from run to run; other packs are not touched, nor those that somebody keeps or git's
// housekeeping is at. Nobody waits for it but stop(). When not to use it: for a better compression, which is what
// `git gc` is for.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <git2.h>

#include <pawl/error.h>

#include "child_process.h"
#include "pack.h"

namespace pawl::git {

class PackUpkeep {
 public:
  struct Options {
    PackFolders folders;
    std::filesystem::path git_dir;        // of objects and refs; where git notes that it is housekeeping
    std::size_t let_stand;                // packs; 0: all
    const Interrupt& borrowed_interrupt;  // leaves off
  };
  explicit PackUpkeep(Options options);

  /// What Options::let_stand is for a repository: four fifths of git's gc.autoPackLimit, beyond which git packs itself;
  /// forty if that is not configured, 0 if it is 0.
  [[nodiscard]] static std::size_t let_stand(git_repository* repository);

  ~PackUpkeep();
  PackUpkeep(const PackUpkeep&) = delete;
  PackUpkeep& operator=(const PackUpkeep&) = delete;

  /// A pack ("pack-<hash>") is in the repository. `bytes`: of pack and index. Any thread, does not wait.
  void added(const std::string& name, std::uint64_t bytes, std::uint64_t objects);
  /// Joins what is due and ends the thread.
  void stop();

  /// REQUIRES of both: stop() has returned.
  [[nodiscard]] std::uint64_t joins() const noexcept { return joins_; }
  /// What has gone wrong; empty: nothing. Packs that could not be joined stay as they are.
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

 private:
  struct Known {
    std::string name;
    std::uint64_t bytes;
    std::uint64_t objects;
  };

  void run();
  void read_list();
  void write_list();
  [[nodiscard]] bool may_join() const;
  [[nodiscard]] std::vector<Known> due() const;
  [[nodiscard]] Result<void> join(const std::vector<Known>& packs);

  const Options options_;
  std::mutex mutex_;
  std::condition_variable changed_;  // added_, stopping_
  std::vector<Known> added_;
  bool stopping_ = false;
  // The rest belongs to the thread.
  std::vector<Known> known_;  // oldest first
  std::uint64_t joins_ = 0;
  std::string problem_;
  std::thread thread_;
};

}  // namespace pawl::git

// A pack under construction, and how it gets onto the disk.
//
// All objects of one publication go into one pack: git reads it at once and it is made durable with one sync. A pack
// is built in memory by the committer and written by the publisher; never both at a time. When not to use it: for
// single objects now and then, where libgit2's loose objects do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/error.h>

#include "encoded.h"
#include "object_id.h"
#include "pack_index.h"

namespace pawl::git {

class Interrupt;

constexpr char kTemporaryPack[] = "tmp_pack_";
constexpr char kTemporaryIndex[] = "tmp_idx_";

class Pack {
 public:
  /// `generation` tells packs of one process apart; not 0.
  explicit Pack(std::uint64_t generation);

  /// Where an object begins, none if it is not in.
  [[nodiscard]] std::optional<std::uint64_t> find(const ObjectId& object_id) const noexcept;

  /// Adds an object unless it is in already. Returns its offset, none if it was in already.
  std::optional<std::uint64_t> add(const ObjectId& object_id, ObjectType type, std::string_view content);

  /// Adds a ready-made entry, as add(). An entry of 64 KiB or more is borrowed, not copied: it must stay where it is
  /// until the pack is written.
  std::optional<std::uint64_t> add_ready(const ObjectId& object_id, std::string_view entry, std::uint32_t crc32);

  /// Adds a delta against the entry at `base_offset`, as add(). `deflated`: a zlib stream of `size` bytes.
  std::optional<std::uint64_t> add_ready_delta(const ObjectId& object_id, std::uint64_t base_offset, std::uint64_t size,
                                               std::string_view deflated);

  /// Adds an object as `delta` against the entry at `base_offset`, as add(). The delta is stored, not deflated: it
  /// consists of ids and offsets, which do not shrink.
  std::optional<std::uint64_t> add_delta(const ObjectId& object_id, std::uint64_t base_offset, std::string_view delta);

  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return size_; }
  [[nodiscard]] std::size_t objects() const noexcept { return entries_.size(); }

 private:
  friend class PackFiles;

  using Entry = PackIndexEntry;
  struct Borrowed {
    std::size_t after;  // stands behind this many bytes of owned_
    std::string_view bytes;
  };

  [[nodiscard]] std::size_t slot_of(const ObjectId& object_id) const noexcept;
  bool note(const ObjectId& object_id);
  std::uint64_t finish_entry(std::size_t begin);
  [[nodiscard]] std::vector<std::string_view> pieces() const;

  std::uint64_t generation_;
  std::string owned_;
  std::vector<Borrowed> borrowed_pieces_;
  std::uint64_t size_ = 0;            // of the pack so far: owned and borrowed bytes
  std::vector<Entry> entries_;        // in pack order
  std::vector<std::uint32_t> slots_;  // open addressing over entries_: index + 1, 0 for free; a power of two
};

struct PackFolders {
  std::filesystem::path packs;    // objects/pack, made if missing
  std::filesystem::path scratch;  // of this run alone; the same file system, or temporary files go into `packs`
};

/// A pack on the disk: first as temporary files where nobody else looks (`git prune` removes those that lie among the
/// packs), then under its name. A `git gc` beside us must not take it for garbage before the branch leads to it, so
/// from install() on a `.keep` file lies beside it for as long as this object lives. It removes what is temporary.
class PackFiles {
 public:
  /// Finishes `pack` (it takes no more objects) and writes it and its index, durably, under temporary names.
  /// Errors: io (naming the file).
  [[nodiscard]] static Result<PackFiles> write(Pack& pack, const PackFolders& folders);

  /// Joins packs into one: their entries one after the other, objects that several have once, deltas as they are.
  /// `sources`: paths without suffix, oldest first. They stay; nothing is inflated, and no more than an index's worth
  /// of memory is taken. Errors: io (naming the file), repository (a source is no whole pack of version 2 with an index
  /// of version 2; or interrupted).
  [[nodiscard]] static Result<PackFiles> join(std::span<const std::filesystem::path> sources,
                                              const PackFolders& folders, const Interrupt& interrupt);

  /// Removes what a killed run of the same scratch folder left: temporary files and `.keep` files. What cannot be
  /// removed stays. REQUIRES: no other process uses the scratch folder.
  static void clean_up(const PackFolders& folders) noexcept;

  PackFiles(PackFiles&& other) noexcept;
  PackFiles& operator=(PackFiles&&) = delete;
  ~PackFiles();

  /// Gives both files their names, the index last, and makes the names durable. Errors: io (naming the file).
  [[nodiscard]] Result<void> install();

  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }  // of pack and index
  [[nodiscard]] std::uint64_t objects() const noexcept { return objects_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  explicit PackFiles(const PackFolders& folders) : folder_(folders.packs), owner_(owner_line(folders)) {}

  [[nodiscard]] static std::filesystem::path temporary_folder(const PackFolders& folders);
  [[nodiscard]] static std::string owner_line(const PackFolders& folders);
  [[nodiscard]] Result<void> keep();

  std::filesystem::path folder_;
  std::string owner_;                      // content of the `.keep` file
  std::string name_;                       // pack-<hash>, no suffix
  std::filesystem::path temporary_pack_;   // empty: not there
  std::filesystem::path temporary_index_;  // empty: not there
  std::filesystem::path kept_;             // the `.keep` file; empty: not there
  std::uint64_t bytes_ = 0;
  std::uint64_t objects_ = 0;
};

/// Writes all of `pieces`, in order. Errors: io (naming `path`).
[[nodiscard]] Result<void> write_all(int fd, std::span<const std::string_view> pieces,
                                     const std::filesystem::path& path);

/// Makes the names in a folder durable. Errors: io.
[[nodiscard]] Result<void> sync_folder(const std::filesystem::path& folder);

}  // namespace pawl::git

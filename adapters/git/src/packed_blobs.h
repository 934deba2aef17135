// Blobs as they lie in the packs that pawl wrote and nobody has packed again: whole, or as deltas of whole ones.
//
// For reading a million records: libgit2 checks the hash of each object and inflates with zlib, which together take
// several times as long. Not for anything else: deltas of deltas, loose objects and packs made after open() are not
// found, and the caller asks git. What is found was checked by zlib's Adler-32 only.
//
// Formats: gitformat-pack(5), index version 2. Every offset is checked against its file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "encoded.h"
#include "file_mapping.h"

namespace pawl::git {

class PackedBlobs {
 public:
  /// Maps every pack of `folder` (objects/pack) that has an index of version 2; passes over what it cannot read.
  [[nodiscard]] static PackedBlobs open(const std::filesystem::path& folder);

  /// Where the thread last found something: neighbours lie together. And what it has touched of that pack
  /// since pages were given back, so that reading a large repository takes no more memory than reading a small one.
  struct Cursor {
    std::size_t pack = 0;
    std::uint64_t touched = 0;  // bytes, about
    // Whole ones that others are deltas of, each where its offset says: neighbours share them.
    struct Base {
      std::size_t pack = 0;
      std::uint64_t offset = 0;  // 0: none
      std::string content;
    };
    std::vector<Base> bases{};
    std::string delta{};
  };
  /// Replaces `content` by the blob's. False: it is not here, or not whole. Any thread, each with its own cursor.
  [[nodiscard]] bool read(const ObjectId& blob, Cursor& cursor, std::string& content) const;

 private:
  struct Pack {
    FileMapping index_file;
    FileMapping pack_file;
    std::span<const std::uint8_t> index;
    std::span<const std::uint8_t> pack;
    std::size_t objects = 0;
    std::int64_t made = 0;  // order of packs: by age
  };
  void move(Cursor& cursor, std::size_t pack) const noexcept;
  [[nodiscard]] static bool load(const std::filesystem::path& index, Pack& pack);
  [[nodiscard]] static std::uint64_t offset_of(const Pack& pack, const ObjectId& blob) noexcept;
  [[nodiscard]] bool read_at(std::uint64_t offset, Cursor& cursor, std::string& content) const;
  [[nodiscard]] const std::string* base_at(std::uint64_t offset, Cursor& cursor) const;

  std::vector<Pack> packs_;
};

}  // namespace pawl::git

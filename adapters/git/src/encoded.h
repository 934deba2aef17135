// What the encoder hangs on a task for the committer: the file, ready to be appended to a pack.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include <pawl/task.h>

namespace pawl::git {

using ObjectId = std::array<std::uint8_t, 20>;  // SHA-1

struct Encoded final : Attachment {
  std::string path;         // in the tree, '/'-separated, every component safe; empty: nothing to write (see error)
  std::string content;      // the file's bytes; also what the work tree gets
  ObjectId blob_id{};       // SHA-1 of "blob <size>\0" + content
  std::string pack_entry;   // pack entry header (type blob, inflated size) + zlib stream; git's pack format v2
  std::uint32_t crc32 = 0;  // of pack_entry, as the idx v2 file wants it
  // Instead of the two, if delta_size is not 0: a delta, for a pack that `base` is in already.
  std::string delta;             // zlib stream
  std::uint64_t delta_size = 0;  // inflated
  ObjectId base{};
  std::string subject;  // commit subject if this task is alone in its commit: "STREAM ID: 200 in 1.24 s"
  std::chrono::steady_clock::time_point taken{};  // by the commit stage, which writes it
};

}  // namespace pawl::git

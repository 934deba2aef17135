// Objects of which each is much like the one before it, as commits are: stored as what changed.
//
// A commit says again who made it and why; what is new are two ids and a few words, which take less room than a
// deflated commit and no time to deflate. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "encoded.h"
#include "pack.h"

namespace pawl::git {

class DeltaChain {
 public:
  /// Adds an object to `pack`: as a line_delta() of the one added before, if that is in the same pack, the delta is
  /// small and the chain not too long for readers; else whole.
  void add(Pack& pack, const ObjectId& object_id, ObjectType type, std::string_view content);

 private:
  // What was added last.
  std::uint64_t generation_ = 0;  // of its pack; 0: none
  std::uint64_t offset_ = 0;
  unsigned depth_ = 0;
  std::string content_;
  std::string delta_;
};

}  // namespace pawl::git

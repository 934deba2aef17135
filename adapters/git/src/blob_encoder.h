// What a pack takes of a file: the content deflated, or a delta.
//
// Records are much alike: the same fields, the same request, the same shape of answer. So small ones are told as deltas
// of one that was encoded shortly before, which stands whole; never of one that is a delta itself, so that a reader has
// two streams to inflate at most, one of which it has seen before. `git gc` finds better ones.
#pragma once

#include <string>

#include "encoded.h"

namespace pawl::git {

/// Fills Encoded::pack_entry and crc32 from its content.
void encode_whole(Encoded& encoded);

/// One thread's, because files that are encoded one after the other come into the pack in about that order.
class BlobEncoder {
 public:
  /// Fills either pack_entry and crc32 or delta, delta_size and base, from content and blob_id. Whether the base is in
  /// the pack, too, is not known yet: see encode_whole().
  void encode(Encoded& encoded);
  /// The next one is whole.
  void forget() noexcept { uses_left_ = 0; }

 private:
  [[nodiscard]] bool make_delta(Encoded& encoded);

  ObjectId base_id_{};
  std::string base_;
  unsigned uses_left_ = 0;  // 0: no base
  std::string delta_;
};

}  // namespace pawl::git

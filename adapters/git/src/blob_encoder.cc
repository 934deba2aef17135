#include "blob_encoder.h"

#include "deflate.h"
#include "delta.h"
#include "pack_entry.h"

namespace pawl::git {
namespace {

constexpr std::size_t kLargestTold = 16 * 1024;  // in larger ones, what is common to all counts for little
// A pack holds some thousand records. The base of the last ones of a pack is of no use for the next, nor is a base
// worth much room if so many share it.
constexpr unsigned kUses = 256;

}  // namespace

void encode_whole(Encoded& encoded) {
  encoded.delta_size = 0;
  encoded.pack_entry.clear();
  append_pack_entry(encoded.pack_entry, ObjectType::blob, encoded.content);
  encoded.crc32 = crc32_of(encoded.pack_entry);
}

void BlobEncoder::encode(Encoded& encoded) {
  if (encoded.content.size() > kLargestTold) return encode_whole(encoded);
  if (uses_left_ != 0 && make_delta(encoded)) {
    --uses_left_;
    return;
  }
  encode_whole(encoded);
  base_id_ = encoded.blob_id;
  base_ = encoded.content;
  uses_left_ = kUses;
}

bool BlobEncoder::make_delta(Encoded& encoded) {
  line_delta(delta_, base_, encoded.content);
  if (delta_.size() > encoded.content.size() / 8 * 7) return false;
  encoded.delta.clear();
  append_deflated(encoded.delta, delta_, Deflated::delta);
  encoded.delta_size = delta_.size();
  encoded.base = base_id_;
  return true;
}

}  // namespace pawl::git

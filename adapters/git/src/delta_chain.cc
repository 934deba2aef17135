#include "delta_chain.h"

#include "delta.h"

namespace pawl::git {
namespace {

constexpr unsigned kDeepest = 20;  // `git log` reads them all, so not as deep as trees

}  // namespace

void DeltaChain::add(Pack& pack, const ObjectId& object_id, ObjectType type, std::string_view content) {
  std::optional<std::uint64_t> offset;
  unsigned depth = 0;
  if (generation_ == pack.generation() && depth_ < kDeepest) {
    line_delta(delta_, content_, content);
    if (delta_.size() < content.size() / 2) {
      offset = pack.add_delta(object_id, offset_, delta_);
      depth = depth_ + 1;
    }
  }
  // A second add() of the same object would find it in and answer none; so would the first, after a delta.
  if (!offset) {
    depth = 0;
    offset = pack.add(object_id, type, content);
  }
  generation_ = offset ? pack.generation() : 0;
  offset_ = offset.value_or(0);
  depth_ = depth;
  content_ = content;
}

}  // namespace pawl::git

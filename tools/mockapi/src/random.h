// A small seeded generator, the same on every platform: what it draws depends on the seed alone.
//
// Used where a run must be repeatable from its seed, which the distributions of <random> do not promise. Not for
// secrets. Algorithm: G. L. Steele, D. Lea, C. H. Flood, "Fast Splittable Pseudorandom Number Generators", 2014.
#pragma once

#include <cstdint>

namespace pawl::mockapi {

class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  /// 64 even bits.
  std::uint64_t bits() noexcept {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
  }

  /// Even in [0, 1).
  double unit() noexcept { return static_cast<double>(bits() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

}  // namespace pawl::mockapi

#include "key_hash.h"

#include <bit>
#include <cstring>

namespace pawl::git {
namespace {

struct State {
  std::uint64_t v0, v1, v2, v3;

  void round() noexcept {
    v0 += v1;
    v2 += v3;
    v1 = std::rotl(v1, 13) ^ v0;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 = std::rotl(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = std::rotl(v1, 17) ^ v2;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 = std::rotl(v2, 32);
  }
  void absorb(std::uint64_t word) noexcept {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
};

static_assert(std::endian::native == std::endian::little, "words are read as they lie in memory");

}  // namespace

std::uint64_t sip_hash(const HashSeed& seed, std::string_view bytes) noexcept {
  State state{0x736f6d6570736575 ^ seed[0], 0x646f72616e646f6d ^ seed[1], 0x6c7967656e657261 ^ seed[0],
              0x7465646279746573 ^ seed[1]};
  const std::uint64_t last = static_cast<std::uint64_t>(bytes.size()) << 56;
  std::uint64_t word = 0;
  while (bytes.size() >= sizeof word) {
    std::memcpy(&word, bytes.data(), sizeof word);
    state.absorb(word);
    bytes.remove_prefix(sizeof word);
  }
  word = 0;
  if (!bytes.empty()) std::memcpy(&word, bytes.data(), bytes.size());
  state.absorb(last | word);
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace pawl::git

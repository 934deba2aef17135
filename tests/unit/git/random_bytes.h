// A seeded source of awkward bytes for property tests. The seed is printed with every failure and taken back from
// PAWL_SEED.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace pawl::test {

class Random {
 public:
  Random() : seed_(choose_seed()), engine_(seed_), trace_(__FILE__, __LINE__, "PAWL_SEED=" + std::to_string(seed_)) {
    testing::Test::RecordProperty("PAWL_SEED", std::to_string(seed_));
  }

  std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

  /// Bytes of a random kind: anything, plain text, or pieces that break naive code.
  std::string bytes(std::size_t max_size) {
    static constexpr std::array<std::string_view, 24> kPieces = {"..",   ".",        "/",
                                                                 "%",    "%2E",      ".git",
                                                                 ".GIT", "\n",       std::string_view("\0", 1),
                                                                 "\xff", "\xc3\xa4", "\"",
                                                                 "\\",   " ",        "{",
                                                                 "}",    "[1,2",     "null",
                                                                 "\x7f", "é",        "\xed\xa0\x80",
                                                                 "~",    ".json",    "\xf0\x9f\x98\x80"};
    std::string made;
    const std::size_t size = below(max_size + 1);
    const std::uint64_t kind = below(3);
    while (made.size() < size) {
      if (kind == 0) {
        made += static_cast<char>(below(256));
      } else if (kind == 1) {
        made += static_cast<char>('a' + below(26));
      } else {
        made += kPieces[below(kPieces.size())];
      }
    }
    return made;
  }

 private:
  static std::uint64_t choose_seed() {
    if (const char* given = std::getenv("PAWL_SEED")) return std::strtoull(given, nullptr, 10);
    return std::random_device{}();
  }

  std::uint64_t seed_;
  std::mt19937_64 engine_;
  testing::ScopedTrace trace_;
};

}  // namespace pawl::test

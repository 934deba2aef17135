#include "key_table.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <unordered_map>

#include <gtest/gtest.h>

#include "random_bytes.h"
#include "temp_dir.h"

namespace pawl::git {
namespace {

using Entry = KeyTable::Entry;
using Kind = KeyTable::Kind;

constexpr KeyTable::Source kSource{42, 1, {1, 2, 3}};

Entry entry_of(std::uint64_t hash, std::uint64_t number, Kind kind = Kind::key) {
  Entry entry;
  entry.hash = hash;
  entry.number = number & KeyTable::kMaxNumber;
  entry.kind = static_cast<std::uint8_t>(kind);
  return entry;
}

std::optional<std::uint64_t> number_of(const KeyTable& table, std::uint64_t hash, Kind kind = Kind::key) {
  const auto found = table.find(hash, kind);
  return found ? std::optional<std::uint64_t>(found->number) : std::nullopt;
}

TEST(SipHash, FollowsTheVectorsOfItsPaper) {
  HashSeed seed{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::string input;
  for (char c = 0; c < 15; ++c) input += c;
  EXPECT_EQ(sip_hash(seed, ""), 0x726fdb47dd0e0e31u);
  EXPECT_EQ(sip_hash(seed, input.substr(0, 1)), 0x74f839c593dc67fdu);
  EXPECT_EQ(sip_hash(seed, input), 0xa129ca6149be45e5u);
}

TEST(KeyTable, TellsKindsOfOneHashApartAndReplaces) {
  const test::TempDir dir;
  auto table = KeyTable::create(dir / "keys");
  ASSERT_TRUE(table.has_value());
  ASSERT_TRUE(table->put(entry_of(5, 1)).has_value());
  ASSERT_TRUE(table->put(entry_of(5, 2, Kind::stream)).has_value());
  ASSERT_TRUE(table->put(entry_of(5, 3)).has_value());
  EXPECT_EQ(number_of(*table, 5), 3u);
  EXPECT_EQ(number_of(*table, 5, Kind::stream), 2u);
  EXPECT_EQ(number_of(*table, 6), std::nullopt);
  EXPECT_EQ(table->keys(), 1u);
}

// Hashes crowd in a few buckets, the last one among them, so that pages overflow, wrap around and grow with strays.
TEST(KeyTable, AgreesWithAMapAlsoWhenPagesOverflow) {
  test::Random random;
  const test::TempDir dir;
  auto table = KeyTable::create(dir / "keys");
  ASSERT_TRUE(table.has_value());
  std::unordered_map<std::uint64_t, std::uint64_t> model;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t low = random.below(3'000);
    const std::uint64_t hash = random.one_in(2) ? low : ~0ull - low;
    if (random.one_in(4)) {
      const auto known = model.find(hash);
      ASSERT_EQ(number_of(*table, hash), known == model.end() ? std::nullopt : std::optional(known->second));
      continue;
    }
    const std::uint64_t number = random.below(KeyTable::kMaxNumber);
    ASSERT_TRUE(table->put(entry_of(hash, number)).has_value());
    model[hash] = number;
    if (random.one_in(2000)) {
      ASSERT_TRUE(table->mark_clean(kSource).has_value());
      auto again = KeyTable::open(dir / "keys", kSource);
      ASSERT_TRUE(again.has_value() && again->has_value());
      table = std::move(**again);
    }
  }
  EXPECT_EQ(table->keys(), model.size());
  for (const auto& [hash, number] : model) ASSERT_EQ(number_of(*table, hash), number);
}

TEST(KeyTable, OpensOnlyWhatIsCleanAndOfItsSource) {
  const test::TempDir dir;
  const auto file = dir / "keys";
  const auto opens = [&](const KeyTable::Source& source) {
    auto opened = KeyTable::open(file, source);
    EXPECT_TRUE(opened.has_value());
    return opened && opened->has_value();
  };
  EXPECT_FALSE(opens(kSource));
  auto table = KeyTable::create(file);
  ASSERT_TRUE(table.has_value());
  EXPECT_FALSE(opens(kSource)) << "never marked clean";
  ASSERT_TRUE(table->mark_clean(kSource).has_value());
  EXPECT_TRUE(opens(kSource));
  EXPECT_FALSE(opens({43, 1, {1, 2, 3}})) << "another branch";
  EXPECT_FALSE(opens({42, 1, {1, 2, 4}})) << "another tip";
  EXPECT_FALSE(opens({42, 0, {}})) << "unborn";
  ASSERT_TRUE(table->put(entry_of(1, 1)).has_value());
  EXPECT_FALSE(opens(kSource)) << "in use";
  ASSERT_TRUE(table->mark_clean(kSource).has_value());
  EXPECT_TRUE(opens(kSource));
}

TEST(KeyTable, ADamagedFileIsNotOpenedOrIsUnharmed) {
  test::Random random;
  const test::TempDir dir;
  const auto file = dir / "keys";
  constexpr std::uint64_t kKeys = 200;
  {
    auto table = KeyTable::create(file);
    ASSERT_TRUE(table.has_value());
    for (std::uint64_t i = 0; i < kKeys; ++i) ASSERT_TRUE(table->put(entry_of(i << 55, i)).has_value());
    ASSERT_TRUE(table->mark_clean(kSource).has_value());
  }
  std::ifstream in(file, std::ios::binary);
  const std::string good{std::istreambuf_iterator<char>(in), {}};
  int refused = 0;
  for (int i = 0; i < 600; ++i) {
    std::string bad = good;
    const std::size_t at = random.one_in(3) ? random.below(200) : random.below(bad.size());
    switch (random.below(4)) {
      case 0: bad.resize(random.below(bad.size())); break;
      case 1: bad.replace(at / 4096 * 4096, 4096, std::string(4096, '\0')); break;
      case 2: bad += std::string(1 + random.below(5000), 'x'); break;
      default: bad[at] = static_cast<char>(bad[at] ^ (1 << random.below(8)));
    }
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bad;
    auto opened = KeyTable::open(file, kSource);
    ASSERT_TRUE(opened.has_value()) << opened.error().context;
    if (!*opened) {
      ++refused;
      continue;
    }
    for (std::uint64_t key = 0; key < kKeys; ++key) ASSERT_EQ(number_of(**opened, key << 55), key);
  }
  EXPECT_GT(refused, 300);
}

TEST(KeyTable, APageDamagedWhileInUseIsReadWithinItsBoundsAndRefusedAtTheNextOpen) {
  const test::TempDir dir;
  const auto file = dir / "keys";
  {
    auto table = KeyTable::create(file);
    ASSERT_TRUE(table.has_value());
    ASSERT_TRUE(table->put(entry_of(1, 1)).has_value());
    ASSERT_TRUE(table->mark_clean(kSource).has_value());
    const FileHandle other(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(::pwrite(other.get(), "\xff\xff\xff\xff", 4, KeyTable::kPageSize + 4), 4);  // the number of entries
    EXPECT_EQ(number_of(*table, 2), std::nullopt);
  }
  auto opened = KeyTable::open(file, kSource);
  ASSERT_TRUE(opened.has_value());
  EXPECT_FALSE(opened->has_value());
}

TEST(KeyTable, WhatIsInTheWayIsReplacedOrReported) {
  const test::TempDir dir;
  std::ofstream(dir / "other") << "precious";
  std::filesystem::create_symlink(dir / "other", dir / "keys");
  ASSERT_TRUE(KeyTable::open(dir / "keys", kSource).has_value());
  ASSERT_TRUE(KeyTable::create(dir / "keys").has_value());
  EXPECT_FALSE(std::filesystem::is_symlink(dir / "keys"));
  EXPECT_EQ(std::filesystem::file_size(dir / "other"), 8u);

  std::filesystem::create_directory(dir / "folder");
  const auto table = KeyTable::create(dir / "folder");
  ASSERT_FALSE(table.has_value());
  EXPECT_EQ(table.error().code, ErrorCode::io);
}

}  // namespace
}  // namespace pawl::git

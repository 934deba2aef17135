#include "pack_upkeep.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <system_error>
#include <utility>

#include <pawl/thread.h>

#include "object_id.h"
#include "open_file.h"
#include "repository.h"

namespace pawl::git {
namespace {

namespace fs = std::filesystem;

constexpr std::int32_t kAutoPackLimit = 50;  // git-config(1)
constexpr std::uint64_t kGrowth = 16;
constexpr std::uint64_t kSmallest = 4096;  // bytes: what is smaller counts as of this size
// A join takes about 70 bytes of memory for each object.
constexpr std::uint64_t kMostObjects = 500'000;
constexpr std::uint64_t kMostBytes = 512ull << 20;
constexpr char kList[] = "packs";  // in the private folder: name, bytes and objects of a pack in each line

/// Packs of one level differ in size by less than kGrowth times.
unsigned level_of(std::uint64_t bytes) {
  unsigned level = 0;
  for (std::uint64_t bound = kSmallest * kGrowth; bytes >= bound; bound *= kGrowth) ++level;
  return level;
}

}  // namespace

std::size_t PackUpkeep::let_stand(git_repository* repository) {
  std::int32_t limit = kAutoPackLimit;
  git_config* raw = nullptr;
  if (git_repository_config_snapshot(&raw, repository) != 0) raw = nullptr;
  const ConfigHandle config(raw);
  if (!config || git_config_get_int32(&limit, config.get(), "gc.autopacklimit") != 0) limit = kAutoPackLimit;
  return limit <= 0 ? 0 : std::max<std::size_t>(1, static_cast<std::size_t>(limit) * 4 / 5);
}

PackUpkeep::PackUpkeep(Options options) : options_(std::move(options)) {
  thread_ = std::thread([this] {
    name_this_thread("pawl-packs");
    put_this_thread_behind();
    run();
  });
}

PackUpkeep::~PackUpkeep() {
  if (thread_.joinable()) stop();
}

void PackUpkeep::added(const std::string& name, std::uint64_t bytes, std::uint64_t objects) {
  const std::lock_guard lock(mutex_);
  added_.push_back({name, bytes, objects});
  changed_.notify_all();
}

void PackUpkeep::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void PackUpkeep::run() {
  read_list();
  bool last = false;
  while (!last) {
    std::vector<Known> fresh;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !added_.empty(); });
      last = stopping_;
      fresh = std::exchange(added_, {});
    }
    known_.insert(known_.end(), fresh.begin(), fresh.end());
    // One that a join makes may be the last that another one waits for.
    for (std::vector<Known> packs = due(); !packs.empty() && problem_.empty() && may_join(); packs = due()) {
      if (const Result<void> joined = join(packs); !joined) {
        if (!options_.borrowed_interrupt.raised()) problem_ = joined.error().context;
        break;
      }
    }
    if (!fresh.empty()) write_list();
  }
}

/// What runs before have left. A list that is missing or damaged costs only that those packs stay as they are.
void PackUpkeep::read_list() {
  std::ifstream file(options_.folders.scratch / kList);
  Known known;
  while (file >> known.name >> known.bytes >> known.objects) {
    constexpr std::string_view kPrefix = "pack-";
    const bool is_name = known.name.starts_with(kPrefix) && from_hex(known.name.substr(kPrefix.size())).has_value();
    if (is_name && fs::exists(options_.folders.packs / (known.name + ".idx"))) known_.push_back(known);
  }
}

void PackUpkeep::write_list() {
  const fs::path path = options_.folders.scratch / kList;
  const fs::path fresh = path.string() + ".new";
  std::ofstream file(fresh, std::ios::trunc);
  for (const Known& known : known_) file << known.name << ' ' << known.bytes << ' ' << known.objects << '\n';
  file.close();
  std::error_code failed;
  if (file) fs::rename(fresh, path, failed);
  // One that could not be written is written after the next pack.
}

/// Whether nobody else is at the packs: git's housekeeping, or an index over several packs that would miss them.
bool PackUpkeep::may_join() const {
  return !options_.borrowed_interrupt.raised() && !fs::exists(options_.git_dir / "gc.pid") &&
         !fs::exists(options_.folders.packs / "multi-pack-index");
}

/// The oldest of the level that most are of, as many as may be joined; empty: there are few.
std::vector<PackUpkeep::Known> PackUpkeep::due() const {
  std::array<std::vector<Known>, 16> levels;
  std::size_t count = 0;
  for (const Known& known : known_) {
    const bool is_full = 2 * known.bytes > kMostBytes || 2 * known.objects > kMostObjects;
    if (is_full) continue;
    levels[std::min<std::size_t>(level_of(known.bytes), levels.size() - 1)].push_back(known);
    ++count;
  }
  if (options_.let_stand == 0 || count <= options_.let_stand) return {};
  std::vector<Known>& level = *std::ranges::max_element(levels, {}, &std::vector<Known>::size);
  std::uint64_t bytes = 0;
  std::uint64_t objects = 0;
  std::size_t fit = 0;
  for (; fit < level.size(); ++fit) {
    bytes += level[fit].bytes;
    objects += level[fit].objects;
    if (bytes > kMostBytes || objects > kMostObjects) break;
  }
  level.resize(fit < 2 ? 0 : fit);
  return level;
}

Result<void> PackUpkeep::join(const std::vector<Known>& packs) {
  std::vector<Known> present;
  std::vector<fs::path> stems;
  for (const Known& known : packs) {
    const fs::path stem = options_.folders.packs / known.name;
    std::erase_if(known_, [&known](const Known& other) { return other.name == known.name; });
    // Gone: somebody has packed it again. Kept, or with a file beside that only git makes: not ours any more.
    bool is_ours = fs::exists(stem.string() + ".pack") && fs::exists(stem.string() + ".idx");
    for (const char* suffix : {".keep", ".bitmap", ".promisor", ".mtimes", ".rev"}) {
      is_ours = is_ours && !fs::exists(stem.string() + suffix);
    }
    if (!is_ours) continue;
    present.push_back(known);
    stems.push_back(stem);
  }
  if (stems.size() < 2) {
    known_.insert(known_.begin(), present.begin(), present.end());
    return {};
  }
  {
    Result<PackFiles> joined = PackFiles::join(stems, options_.folders, options_.borrowed_interrupt);
    if (!joined) return std::unexpected(joined.error());
    if (Result<void> installed = joined->install(); !installed) return installed;
    known_.insert(known_.begin(), {joined->name(), joined->bytes(), joined->objects()});
  }
  ++joins_;
  write_list();
  // The index first: without it nobody looks for the pack.
  for (const fs::path& stem : stems) {
    ::unlink((stem.string() + ".idx").c_str());
    ::unlink((stem.string() + ".pack").c_str());
  }
  return {};
}

}  // namespace pawl::git

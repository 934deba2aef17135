#include "power_loss.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <string>
#include <system_error>
#include <unordered_set>
#include <utility>
#include <vector>

#include "file_shim/file_shim.h"

namespace pawl::test {
namespace {

namespace fs = std::filesystem;
using shim::LogKind;
using shim::LogRecord;

struct Entry {
  LogRecord record;
  std::string path, other, data;
  std::uint64_t end = 0;  // where it ends in the log
  bool durable = false;
  bool hopeless = false;  // its sync failed
};

bool about_content(LogKind kind) { return kind == LogKind::write || kind == LogKind::resize; }
bool about_sync(LogKind kind) { return kind == LogKind::sync || kind == LogKind::sync_failed; }

/// A torn record at the end is none: what it tells of counts as durable.
std::vector<Entry> read_log(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  std::vector<Entry> entries;
  std::size_t at = 0;
  while (bytes.size() - at >= sizeof(LogRecord)) {
    Entry entry;
    std::memcpy(&entry.record, bytes.data() + at, sizeof entry.record);
    const LogRecord& record = entry.record;
    at += sizeof record;
    if (bytes.size() - at < record.path_bytes + record.other_bytes + record.data_bytes) break;
    entry.path = bytes.substr(at, record.path_bytes);
    at += record.path_bytes;
    entry.other = bytes.substr(at, record.other_bytes);
    at += record.other_bytes;
    entry.data = bytes.substr(at, record.data_bytes);
    at += record.data_bytes;
    entry.end = at;
    entries.push_back(std::move(entry));
  }
  return entries;
}

bool covers(const Entry& sync, const Entry& entry) {
  if (entry.end > sync.record.offset || about_sync(entry.record.kind)) return false;
  const std::uint64_t synced = sync.record.file;
  if (synced == 0) return true;  // syncfs()
  if (about_content(entry.record.kind)) return entry.record.file == synced;
  return entry.record.folder == synced || entry.record.other_folder == synced;
}

void find_durable(std::vector<Entry>& entries) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!about_sync(entries[i].record.kind)) continue;
    for (std::size_t j = 0; j < i; ++j) {
      Entry& entry = entries[j];
      if (entry.durable || entry.hopeless || !covers(entries[i], entry)) continue;
      (entries[i].record.kind == LogKind::sync ? entry.durable : entry.hopeless) = true;
    }
  }
}

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

class Chance {
 public:
  Chance(std::uint64_t seed, double lost) : random_(seed), lost_(lost) {}
  bool loses() { return lost_ >= 1 || std::uniform_real_distribution<double>(0, 1)(random_) < lost_; }
  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_); }

 private:
  std::mt19937_64 random_;
  double lost_;
};

/// Undoes changes of names, the last one first.
class Names {
 public:
  Names(const PowerLossOptions& options, Chance& chance, PowerLossReport& report)
      : options_(options), chance_(chance), report_(report) {}

  void undo(std::vector<Entry>& entries) {
    std::vector<Entry*> names;
    for (Entry& entry : entries)
      if (!about_content(entry.record.kind) && !about_sync(entry.record.kind)) names.push_back(&entry);
    if (options_.names == PowerLossOptions::Names::in_order) keep_what_comes_before_the_durable(names);
    // In order: what the file system's journal had not written yet when the power went.
    const auto unsure =
        static_cast<std::size_t>(std::ranges::count_if(names, [](Entry* entry) { return !entry->durable; }));
    const std::size_t survivors = options_.lost >= 1 ? 0 : chance_.below(unsure + 1);
    std::size_t left = unsure;
    for (auto at = names.rbegin(); at != names.rend(); ++at) {
      Entry& entry = **at;
      bool lost = !entry.durable;
      if (lost && options_.names == PowerLossOptions::Names::in_order) lost = left-- > survivors;
      if (lost && options_.names == PowerLossOptions::Names::in_any_order) lost = chance_.loses() && may_be_lost(entry);
      if (!lost) {
        keep(entry);
      } else if (!revert(entry)) {
        ++report_.misfits;
      }
      if (!entry.durable) ++(lost ? report_.names_lost : report_.names_kept);
    }
  }

 private:
  using Name = std::pair<std::uint64_t, std::string>;  // folder, name in it

  static std::vector<Name> names_of(const Entry& entry) {
    std::vector<Name> names;
    if (entry.record.folder != 0) names.emplace_back(entry.record.folder, file_name(entry.path));
    if (entry.record.other_folder != 0) names.emplace_back(entry.record.other_folder, file_name(entry.other));
    return names;
  }
  static void keep_what_comes_before_the_durable(const std::vector<Entry*>& names) {
    bool durable = false;
    for (auto at = names.rbegin(); at != names.rend(); ++at) {
      durable = durable || (*at)->durable;
      (*at)->durable = durable;
    }
  }
  /// Not what a later change that is kept builds on.
  [[nodiscard]] bool may_be_lost(const Entry& entry) const {
    for (const Name& name : names_of(entry))
      if (kept_names_.contains(name)) return false;
    return entry.record.kind != LogKind::make_folder || !needed_folders_.contains(entry.record.file);
  }
  void keep(const Entry& entry) {
    for (Name& name : names_of(entry)) kept_names_.insert(std::move(name));
    if (entry.record.kind == LogKind::rename) {
      // Lost with its folder it would be lost at both places.
      if (entry.record.folder != entry.record.other_folder) needed_folders_.insert(entry.record.other_folder);
      if (entry.record.is_folder != 0) moved_.emplace_back(entry.path, entry.other);
    } else if (!entry.durable) {
      needed_folders_.insert(entry.record.folder);
    }
  }
  /// Where something is now that was at `path` when an entry was written: folders above may have been renamed since.
  [[nodiscard]] std::string now(std::string path) const {
    for (auto move = moved_.rbegin(); move != moved_.rend(); ++move) {  // the oldest was kept last
      const auto& [from, to] = *move;
      if (path == from || path.starts_with(from + "/")) path = to + path.substr(from.size());
    }
    return path;
  }
  [[nodiscard]] bool is(const std::string& path, std::uint64_t file) const {
    struct stat status{};
    return ::lstat(path.c_str(), &status) == 0 && status.st_ino == file;
  }
  bool put_back(std::uint64_t kept, const std::string& path) const {
    if (kept == 0) return true;
    return ::link((options_.state / "kept" / std::to_string(kept)).c_str(), path.c_str()) == 0;
  }
  bool revert(const Entry& entry) const {
    const LogRecord& record = entry.record;
    const std::string path = now(entry.path);
    const std::string other = now(entry.other);
    std::error_code error;
    switch (record.kind) {
      case LogKind::create: return is(path, record.file) && ::unlink(path.c_str()) == 0;
      case LogKind::make_folder: return is(path, record.file) && fs::remove_all(path, error) > 0 && !error;
      case LogKind::rename:
        return is(other, record.file) && ::rename(other.c_str(), path.c_str()) == 0 && put_back(record.kept, other);
      case LogKind::link: return is(other, record.file) && ::unlink(other.c_str()) == 0;
      case LogKind::unlink: return put_back(record.kept, path);
      case LogKind::remove_folder: return ::mkdir(path.c_str(), 0700) == 0;
      default: return false;
    }
  }

  const PowerLossOptions& options_;
  Chance& chance_;
  PowerLossReport& report_;
  std::set<Name> kept_names_;
  std::unordered_set<std::uint64_t> needed_folders_;
  std::vector<std::pair<std::string, std::string>> moved_;
};

/// Undoes changes of one file's content, the last one first: each unit of it goes back some way, or all.
class Content {
 public:
  Content(const std::string& path, std::uint64_t unit_bytes, Chance& chance, PowerLossReport& report)
      : unit_bytes_(unit_bytes), chance_(chance), report_(report) {
    static_cast<void>(::chmod(path.c_str(), 0600));  // git's objects are read-only
    struct stat status{};
    fd_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    EXPECT_GE(fd_, 0) << path;
    EXPECT_EQ(::fstat(fd_, &status), 0) << path;
    size_ = static_cast<std::uint64_t>(status.st_size);
  }
  ~Content() {
    if (fd_ >= 0) ::close(fd_);
  }
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;

  void undo(const Entry& entry) {
    const LogRecord& record = entry.record;
    if (record.kind == LogKind::write) {
      const std::uint64_t end = record.offset + record.length;
      if (end > record.old_size) undo_size(record.old_size);
      units(record.offset, end, entry.data);
      return;
    }
    const bool lost = undo_size(record.old_size);
    if (record.length >= record.old_size) return;  // it only grew
    // Content that was cut off comes back with the size, or not at all.
    if (lost) {
      units(record.length, record.old_size, entry.data);
    } else {
      for (std::uint64_t unit = record.length / unit_bytes_; unit * unit_bytes_ < record.old_size; ++unit)
        fixed_.insert(unit);
    }
  }

 private:
  bool undo_size(std::uint64_t size) {
    size_fixed_ = size_fixed_ || !chance_.loses();
    if (size_fixed_) return false;
    EXPECT_EQ(::ftruncate(fd_, static_cast<off_t>(size)), 0);
    size_ = size;
    return true;
  }
  void units(std::uint64_t begin, std::uint64_t end, const std::string& before) {
    for (std::uint64_t at = begin; at < end;) {
      const std::uint64_t unit = at / unit_bytes_;
      const std::uint64_t stop = std::min(end, (unit + 1) * unit_bytes_);
      if (!fixed_.contains(unit)) {
        if (chance_.loses()) {
          restore(at, stop, begin, before);
          ++report_.units_lost;
        } else {
          fixed_.insert(unit);
          ++report_.units_kept;
        }
      }
      at = stop;
    }
  }
  /// What was beyond the end of the file reads as zeros.
  void restore(std::uint64_t at, std::uint64_t stop, std::uint64_t begin, const std::string& before) {
    std::string bytes = at - begin < before.size() ? before.substr(at - begin, stop - at) : std::string();
    bytes.resize(stop - at, '\0');
    if (at >= size_) return;
    bytes.resize(std::min<std::uint64_t>(bytes.size(), size_ - at));
    EXPECT_EQ(::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(at)), static_cast<ssize_t>(bytes.size()));
  }

  std::uint64_t unit_bytes_;
  Chance& chance_;
  PowerLossReport& report_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
  bool size_fixed_ = false;
  std::unordered_set<std::uint64_t> fixed_;
};

std::map<std::uint64_t, std::string> paths_by_inode(const fs::path& root) {
  std::map<std::uint64_t, std::string> paths;
  if (!fs::exists(root)) return paths;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    struct stat status{};
    if (::lstat(entry.path().c_str(), &status) == 0 && S_ISREG(status.st_mode)) paths[status.st_ino] = entry.path();
  }
  return paths;
}

}  // namespace

PowerLossReport lose_power(const PowerLossOptions& options) {
  PowerLossReport report;
  std::vector<Entry> entries = read_log(options.state / "log");
  report.records = entries.size();
  find_durable(entries);
  Chance chance(options.seed, options.lost);
  Names(options, chance, report).undo(entries);
  std::map<std::uint64_t, std::vector<const Entry*>> by_file;
  for (const Entry& entry : entries)
    if (about_content(entry.record.kind) && !entry.durable) by_file[entry.record.file].push_back(&entry);
  const auto paths = paths_by_inode(options.root);
  for (const auto& [file, changes] : by_file) {
    const auto path = paths.find(file);
    if (path == paths.end()) continue;  // gone with its name
    Content content(path->second, options.unit_bytes, chance, report);
    for (auto change = changes.rbegin(); change != changes.rend(); ++change) content.undo(**change);
  }
  fs::remove_all(options.state / "kept");
  fs::remove(options.state / "log");
  return report;
}

}  // namespace pawl::test

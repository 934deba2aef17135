#include "file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string>
#include <system_error>

namespace pawl::journal {
namespace {

constexpr std::string_view kSegmentEnding = ".journal";
constexpr std::size_t kNumberDigits = 8;

/// The number in a segment's file name, 0 if it is none.
std::uint64_t number_in(const std::string& name) {
  if (!name.ends_with(kSegmentEnding)) return 0;
  const std::size_t digits = name.size() - kSegmentEnding.size();
  if (digits < kNumberDigits) return 0;
  std::uint64_t number = 0;
  const char* end = name.data() + digits;
  const auto [stop, error] = std::from_chars(name.data(), end, number);
  return error == std::errc{} && stop == end ? number : 0;
}

template <class Visit>
Result<void> for_each_name(const std::filesystem::path& folder, Visit visit) {
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  if (error == std::errc::no_such_file_or_directory) return {};
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) visit(entry->path());
  if (error) return io_failure("list", folder, error.value());
  return {};
}

}  // namespace

std::unexpected<Error> io_failure(std::string_view what, const std::filesystem::path& path, int sys_errno) {
  return failure(
      ErrorCode::io,
      "cannot " + std::string(what) + " " + path.string() + ": " + std::generic_category().message(sys_errno),
      sys_errno);
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);  // what had to be durable was synced before; there is nobody left to tell
}

Result<File> File::open(const std::filesystem::path& path, int flags, unsigned mode) {
  File file;
  do {
    file.fd_ = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (file.fd_ < 0 && errno == EINTR);
  if (file.fd_ < 0) return io_failure("open", path, errno);
  file.path_ = path;
  return file;
}

Result<void> File::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (wrote < 0) {
      if (errno == EINTR) continue;
      return io_failure("write", path_, errno);
    }
    offset += static_cast<std::uint64_t>(wrote);
    bytes = bytes.subspan(static_cast<std::size_t>(wrote));
  }
  return {};
}

Result<void> File::write_zeros(std::uint64_t offset, std::uint64_t count) {
  static constexpr std::array<std::byte, 256 * 1024> kZeros{};
  while (count > 0) {
    const std::size_t chunk = static_cast<std::size_t>(std::min<std::uint64_t>(count, kZeros.size()));
    if (auto wrote = write_at(offset, std::span(kZeros).first(chunk)); !wrote) return wrote;
    offset += chunk;
    count -= chunk;
  }
  return {};
}

Result<std::size_t> File::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  std::size_t sum = 0;
  while (sum < bytes.size()) {
    const ssize_t got = ::pread(fd_, bytes.data() + sum, bytes.size() - sum, static_cast<off_t>(offset + sum));
    if (got < 0) {
      if (errno == EINTR) continue;
      return io_failure("read", path_, errno);
    }
    if (got == 0) break;
    sum += static_cast<std::size_t>(got);
  }
  return sum;
}

Result<std::uint64_t> File::size() const {
  struct stat status{};
  if (::fstat(fd_, &status) != 0) return io_failure("examine", path_, errno);
  return static_cast<std::uint64_t>(status.st_size);
}

Result<void> File::truncate(std::uint64_t size) {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return io_failure("truncate", path_, errno);
  return {};
}

Result<void> File::sync_data() {
  if (::fdatasync(fd_) != 0) return io_failure("sync", path_, errno);
  return {};
}

Result<void> File::sync_all() {
  if (::fsync(fd_) != 0) return io_failure("sync", path_, errno);
  return {};
}

Result<void> File::rename_to(const std::filesystem::path& path) {
  if (::rename(path_.c_str(), path.c_str()) != 0) return io_failure("rename", path_, errno);
  path_ = path;
  return {};
}

Result<void> make_folder(const std::filesystem::path& folder) {
  const std::filesystem::path whole = std::filesystem::absolute(folder);
  std::filesystem::path so_far;
  for (const auto& part : whole) {
    const std::filesystem::path above = so_far;
    so_far /= part;
    if (part.empty() || part == whole.root_path()) continue;
    if (::mkdir(so_far.c_str(), 0700) != 0) {
      std::error_code ignored;  // mkdir's own error is the one to report
      if (std::filesystem::is_directory(so_far, ignored)) continue;
      return io_failure("make folder", so_far, errno == EEXIST ? ENOTDIR : errno);
    }
    auto parent = File::open(above, O_RDONLY | O_DIRECTORY);
    if (!parent) return std::unexpected(std::move(parent.error()));
    if (auto synced = parent->sync_all(); !synced) return synced;
  }
  return {};
}

Result<void> remove_file(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return io_failure("remove", path, errno);
  return {};
}

std::filesystem::path segment_path(const std::filesystem::path& folder, std::uint64_t number) {
  std::string digits = std::to_string(number);
  if (digits.size() < kNumberDigits) digits.insert(0, kNumberDigits - digits.size(), '0');
  return folder / (digits + std::string(kSegmentEnding));
}

Result<std::vector<SegmentName>> list_segments(const std::filesystem::path& folder) {
  std::vector<SegmentName> names;
  auto listed = for_each_name(folder, [&](const std::filesystem::path& path) {
    if (const std::uint64_t number = number_in(path.filename().string()); number != 0) names.push_back({number, path});
  });
  if (!listed) return std::unexpected(std::move(listed.error()));
  std::ranges::sort(names, {}, &SegmentName::number);
  return names;
}

Result<std::vector<std::filesystem::path>> list_spares(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  auto listed = for_each_name(folder, [&](const std::filesystem::path& path) {
    if (path.filename().string().ends_with(kSpareEnding)) paths.push_back(path);
  });
  if (!listed) return std::unexpected(std::move(listed.error()));
  return paths;
}

}  // namespace pawl::journal

// Files as the journal needs them: whole reads and writes at an offset, syncs, and errors that name the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <pawl/error.h>

namespace pawl::journal {

/// "cannot <what> <path>: <errno's text>".
[[nodiscard]] std::unexpected<Error> io_failure(std::string_view what, const std::filesystem::path& path,
                                                int sys_errno);

/// An open file or folder. Not thread-safe.
class File {
 public:
  File() = default;
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(path_, other.path_);
    return *this;
  }
  ~File();

  /// `flags` and `mode` as open(2); always close-on-exec.
  [[nodiscard]] static Result<File> open(const std::filesystem::path& path, int flags, unsigned mode = 0);

  [[nodiscard]] Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  [[nodiscard]] Result<void> write_zeros(std::uint64_t offset, std::uint64_t count);
  /// Reads up to `bytes.size()` bytes; fewer only at the end of the file.
  [[nodiscard]] Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> bytes) const;
  [[nodiscard]] Result<std::uint64_t> size() const;
  [[nodiscard]] Result<void> truncate(std::uint64_t size);
  /// Data, and of the metadata what is needed to read it. A failure is final: the kernel may have dropped the data.
  [[nodiscard]] Result<void> sync_data();
  /// Everything; for a folder: its entries.
  [[nodiscard]] Result<void> sync_all();
  /// Moves the file to `path` in the same folder; a file there is replaced.
  [[nodiscard]] Result<void> rename_to(const std::filesystem::path& path);

  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  int fd_ = -1;
  std::filesystem::path path_;
};

/// Makes `folder` and what is missing above it, mode 0700, and syncs the folders that got an entry.
[[nodiscard]] Result<void> make_folder(const std::filesystem::path& folder);

[[nodiscard]] Result<void> remove_file(const std::filesystem::path& path);

struct SegmentName {
  std::uint64_t number = 0;
  std::filesystem::path path;
};
/// "00000042.journal" in `folder`.
[[nodiscard]] std::filesystem::path segment_path(const std::filesystem::path& folder, std::uint64_t number);
/// The segments in `folder`, oldest first; none if it is missing.
[[nodiscard]] Result<std::vector<SegmentName>> list_segments(const std::filesystem::path& folder);
/// Segments being made or waiting to be used again have this ending and hold nothing.
inline constexpr std::string_view kSpareEnding = ".spare";
[[nodiscard]] Result<std::vector<std::filesystem::path>> list_spares(const std::filesystem::path& folder);

}  // namespace pawl::journal

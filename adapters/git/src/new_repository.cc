#include "new_repository.h"

#include <fcntl.h>
#include <git2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "io_error.h"
#include "open_file.h"
#include "pack.h"
#include "repository.h"

namespace pawl::git {
namespace {

namespace fs = std::filesystem;

constexpr char kBuilding[] = ".pawl-new";  // in the folder that becomes the work tree

Result<void> sync_file(const fs::path& path) {
  const OpenFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd() < 0) return std::unexpected(io_error("open", path, errno));
  if (::fsync(file.fd()) != 0) return std::unexpected(io_error("sync", path, errno));
  return {};
}

/// Makes a folder and those above it that are missing, durably.
Result<void> make_folders(const fs::path& path) {
  std::error_code ignored;  // what cannot be looked at cannot be made either, and that says why
  if (fs::is_directory(path, ignored)) return {};
  const fs::path parent = path.parent_path();
  if (parent != path) {
    if (Result<void> made = make_folders(parent); !made) return made;
  }
  if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) return std::unexpected(io_error("make", path, errno));
  return sync_folder(parent);
}

/// Every file and folder in `folder`, and itself.
Result<void> sync_all_of(const fs::path& folder) {
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const Result<void> synced = at->is_directory() ? sync_folder(at->path()) : sync_file(at->path());
    if (!synced) return synced;
  }
  if (error) return std::unexpected(io_error("list", folder, error.value()));
  return sync_folder(folder);
}

Result<void> init(const fs::path& path, const std::string& branch) {
  git_repository_init_options options{};
  git_repository_init_options_init(&options, GIT_REPOSITORY_INIT_OPTIONS_VERSION);  // fails for a wrong version only
  options.flags = GIT_REPOSITORY_INIT_MKDIR | GIT_REPOSITORY_INIT_MKPATH;
  options.initial_head = branch.c_str();
  git_repository* raw = nullptr;
  const int code = git_repository_init_ext(&raw, path.c_str(), &options);
  const RepositoryHandle made(code == 0 ? raw : nullptr);
  if (code != 0) return std::unexpected(git_error("cannot make a repository at " + path.string()));
  return {};
}

/// The folder it is built in, held by one process at a time.
class Building {
 public:
  /// Waits for another process that builds there.
  static Result<Building> enter(const fs::path& folder) {
    for (;;) {
      if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) {
        return std::unexpected(io_error("make", folder, errno));
      }
      Building building(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (building.fd_ < 0 && errno == ENOENT) continue;  // the other is done
      if (building.fd_ < 0) return std::unexpected(io_error("open", folder, errno));
      while (::flock(building.fd_, LOCK_EX) != 0) {
        if (errno != EINTR) return std::unexpected(io_error("lock", folder, errno));
      }
      struct stat held{};
      struct stat there{};
      const bool same = ::fstat(building.fd_, &held) == 0 && ::lstat(folder.c_str(), &there) == 0 &&
                        held.st_ino == there.st_ino && held.st_dev == there.st_dev;
      if (same) return building;
    }
  }
  Building(Building&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Building& operator=(Building&&) = delete;
  ~Building() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  explicit Building(int fd) noexcept : fd_(fd) {}
  int fd_;
};

}  // namespace

Result<void> make_repository(const fs::path& path, const std::string& branch) {
  if (Result<void> made = make_folders(path); !made) return made;
  const fs::path git_dir = path / ".git";
  const fs::path folder = path / kBuilding;
  std::error_code error;
  const auto is_there = [&] { return fs::exists(fs::symlink_status(git_dir, error)); };
  if (is_there()) {
    if (Result<void> made = init(path, branch); !made) return made;
    return sync_all_of(git_dir);
  }
  const Result<Building> building = Building::enter(folder);
  if (!building) return std::unexpected(building.error());
  const auto leave = [&]() -> Result<void> {
    fs::remove_all(folder, error);
    return error ? std::unexpected(io_error("remove", folder, error.value())) : sync_folder(path);
  };
  if (is_there()) return leave();  // made by another while we waited
  // What is in it is of a process that was killed.
  for (const auto& left : fs::directory_iterator(folder, error)) fs::remove_all(left.path(), error);
  if (error) return std::unexpected(io_error("clear", folder, error.value()));
  if (Result<void> made = init(folder, branch); !made) return made;
  if (Result<void> synced = sync_all_of(folder / ".git"); !synced) return synced;
  if (::rename((folder / ".git").c_str(), git_dir.c_str()) != 0) {
    return std::unexpected(io_error("rename to", git_dir, errno));
  }
  return leave();
}

void remove_left_building(const fs::path& path) noexcept {
  ::rmdir((path / kBuilding).c_str());  // stays if there is anything in it, or another process is at it
}

Result<void> sync_reference_folders(const fs::path& common_dir, const std::string& branch) {
  for (fs::path folder = (common_dir / branch).parent_path(); folder != common_dir; folder = folder.parent_path()) {
    if (Result<void> synced = sync_folder(folder); !synced) return synced;
  }
  return {};
}

Result<void> sync_branch(const fs::path& common_dir, const std::string& branch) {
  std::error_code ignored;  // what cannot be looked at is not there for git either
  if (fs::exists(common_dir / "packed-refs", ignored)) {
    if (Result<void> synced = sync_file(common_dir / "packed-refs"); !synced && synced.error().sys_errno != ENOENT) {
      return synced;
    }
  }
  const fs::path loose = common_dir / branch;
  if (fs::exists(loose, ignored)) {
    if (Result<void> synced = sync_file(loose); !synced && synced.error().sys_errno != ENOENT) return synced;
    if (Result<void> synced = sync_reference_folders(common_dir, branch); !synced) return synced;
  }
  // A pack of ours is in place before the branch moves; of the one the branch moved on to nothing else is known.
  for (const char* folder : {"objects/pack", "."}) {
    if (!fs::exists(common_dir / folder, ignored)) continue;
    if (Result<void> synced = sync_folder(common_dir / folder); !synced) return synced;
  }
  return {};
}

}  // namespace pawl::git

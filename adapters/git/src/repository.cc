#include "repository.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "new_repository.h"
#include "pack.h"

namespace pawl::git {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHeads = "refs/heads/";

/// libgit2 counts its users; one for the whole process is enough and never given back, so that handles may outlive
/// every static object.
void start_libgit2() {
  static const int users = [] {
    const int count = git_libgit2_init();
    // A branch that moved but is not on the disk is worth nothing.
    git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
    return count;
  }();
  static_cast<void>(users);
}

/// The user a folder belongs to, by name if it has one.
std::string owner_of(const fs::path& path) {
  struct stat state{};
  if (::stat(path.c_str(), &state) != 0) return "someone else";
  std::array<char, 4096> text;
  struct passwd entry{};
  struct passwd* found = nullptr;
  if (::getpwuid_r(state.st_uid, &entry, text.data(), text.size(), &found) == 0 && found != nullptr) {
    return std::string("user ") + found->pw_name;
  }
  return "user " + std::to_string(state.st_uid);
}

Error cannot_open(const fs::path& path, int code) {
  std::string shown = path.string();
  if (code == GIT_EOWNER) {
    // git compares the name as it finds it itself.
    std::error_code failed;
    if (const fs::path real = fs::canonical(path, failed); !failed) shown = real.string();
    return {ErrorCode::repository, shown + " is owned by " + owner_of(path) + ", you are user " +
                                       std::to_string(::geteuid()) +
                                       "; if you trust it: git config --global --add safe.directory " + shown};
  }
  Error error = git_error("cannot open the repository " + shown);
  if (error.context.find("objectformat") != std::string::npos) {
    return {ErrorCode::repository, shown + " stores SHA-256 objects; pawl needs a repository with SHA-1 objects"};
  }
  return error;
}

/// Name of the branch a new repository starts on: asked for, else git's init.defaultBranch, else main.
std::string first_branch(const RepositoryOptions& options) {
  if (!options.branch.empty()) {
    const std::string_view branch = options.branch;
    return std::string(branch.starts_with(kHeads) ? branch.substr(kHeads.size()) : branch);
  }
  git_config* raw = nullptr;
  if (git_config_open_default(&raw) != 0) return "main";
  const ConfigHandle config(raw);
  git_buf value = GIT_BUF_INIT;
  std::string name = "main";
  if (git_config_get_string_buf(&value, config.get(), "init.defaultBranch") == 0 && value.size > 0) {
    name.assign(value.ptr, value.size);
  }
  git_buf_dispose(&value);
  return name;
}

Result<std::string> checked_out_branch(git_repository* repository, const fs::path& path) {
  git_reference* raw = nullptr;
  if (git_reference_lookup(&raw, repository, "HEAD") != 0) {
    return std::unexpected(git_error("cannot read HEAD of " + path.string()));
  }
  const ReferenceHandle head(raw);
  if (git_reference_type(head.get()) == GIT_REFERENCE_SYMBOLIC) {
    std::string target = git_reference_symbolic_target(head.get());
    if (target.starts_with(kHeads)) return target;
    return failure(ErrorCode::repository, "HEAD of " + path.string() + " points to " + target +
                                              ", which is no branch; name one with --branch");
  }
  return failure(ErrorCode::repository,
                 "HEAD of " + path.string() + " is detached: no branch is checked out; name one with --branch");
}

/// The full name of the branch to commit to, symbolic references followed.
Result<std::string> find_branch(git_repository* repository, const fs::path& path, const std::string& asked) {
  std::string name;
  if (asked.empty()) {
    Result<std::string> found = checked_out_branch(repository, path);
    if (!found) return found;
    name = std::move(*found);
  } else {
    name = asked.starts_with(kHeads) ? asked : std::string(kHeads) + asked;
  }
  int valid = 0;
  if (git_reference_name_is_valid(&valid, name.c_str()) != 0 || valid == 0) {
    return failure(ErrorCode::repository, "\"" + asked + "\" is not a name git allows for a branch");
  }
  constexpr int kDeepest = 5;  // as git: a chain of symbolic references is no longer than that
  for (int depth = 0; depth < kDeepest; ++depth) {
    git_reference* raw = nullptr;
    const int code = git_reference_lookup(&raw, repository, name.c_str());
    if (code == GIT_ENOTFOUND) return name;  // unborn
    if (code != 0) return std::unexpected(git_error("cannot read " + name + " of " + path.string()));
    const ReferenceHandle reference(raw);
    if (git_reference_type(reference.get()) != GIT_REFERENCE_SYMBOLIC) return name;
    name = git_reference_symbolic_target(reference.get());
  }
  return failure(ErrorCode::repository, name + " of " + path.string() + " is a chain of symbolic references");
}

/// A branch that another work tree has checked out is that one's to move: its files and index would fall behind, and
/// its next commit would take the new records out of the branch.
Result<void> check_other_work_trees(git_repository* repository, const std::string& branch) {
  git_reference* raw = nullptr;
  if (git_reference_lookup(&raw, repository, branch.c_str()) != 0) return {};  // unborn
  const ReferenceHandle reference(raw);
  git_reference* raw_head = nullptr;
  if (git_repository_is_bare(repository) == 0 && git_reference_lookup(&raw_head, repository, "HEAD") == 0) {
    const ReferenceHandle head(raw_head);
    const char* target = git_reference_symbolic_target(head.get());
    if (target != nullptr && target == branch) return {};
  }
  if (git_branch_is_checked_out(reference.get()) != 1) return {};
  return failure(ErrorCode::repository, branch +
                                            " is checked out in another work tree of the repository (git worktree "
                                            "list shows which); name that one with --repo");
}

Result<void> make_private_folder(const fs::path& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return failure(ErrorCode::io, "cannot make " + folder.string() + ": " + std::strerror(errno), errno);
  }
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    const int why = errno;
    const bool other = why == ENOTDIR || why == ELOOP;  // ELOOP: a link, because of O_NOFOLLOW
    return failure(
        ErrorCode::io,
        (other ? folder.string() + " is not a folder: " : "cannot open " + folder.string() + ": ") + std::strerror(why),
        why);
  }
  const int code = ::fchmod(fd, 0700);
  const int why = errno;
  ::close(fd);
  if (code != 0) {
    return failure(ErrorCode::io, "cannot set the mode of " + folder.string() + ": " + std::strerror(why), why);
  }
  return sync_folder(folder.parent_path());  // what goes into it must not be lost with its name
}

/// libgit2 ends folder names with a slash; we do not.
fs::path folder_name(const char* name) {
  std::string text = name;
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

Result<RepositoryHandle> open_or_create(const fs::path& path, const RepositoryOptions& options, bool& created) {
  std::error_code ignored;  // a path that cannot be looked at fails below, with libgit2's words
  const fs::file_status status = fs::status(path, ignored);
  if (fs::exists(status) && !fs::is_directory(status)) {
    return failure(ErrorCode::repository, path.string() + " is not a folder");
  }
  git_repository* raw = nullptr;
  const int code = git_repository_open_ext(&raw, path.c_str(), GIT_REPOSITORY_OPEN_NO_SEARCH, nullptr);
  if (code == 0) {
    if (options.use == RepositoryOptions::Use::write) remove_left_building(path);
    return RepositoryHandle(raw);
  }
  if (code != GIT_ENOTFOUND) return std::unexpected(cannot_open(path, code));
  // libgit2 1.5 says the same of a repository of somebody else if git's configuration lists no safe directory.
  const ::git_error* last = git_error_last();
  if (last != nullptr && last->message != nullptr && std::strstr(last->message, "safe.directory") != nullptr) {
    return std::unexpected(cannot_open(path, GIT_EOWNER));
  }
  if (options.missing == RepositoryOptions::Missing::fail) {
    return failure(ErrorCode::repository, "no git repository at " + path.string());
  }
  created = true;
  if (const Result<void> made = make_repository(path, first_branch(options)); !made) {
    return std::unexpected(made.error());
  }
  const int opened = git_repository_open_ext(&raw, path.c_str(), GIT_REPOSITORY_OPEN_NO_SEARCH, nullptr);
  if (opened != 0) return std::unexpected(cannot_open(path, opened));
  return RepositoryHandle(raw);
}

}  // namespace

Repository::Repository(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Repository::~Repository() = default;

Result<std::unique_ptr<Repository>> Repository::open(const RepositoryOptions& options) {
  if (options.path.empty()) return failure(ErrorCode::repository, "the path of the repository is empty");
  start_libgit2();
  std::error_code failed;
  const fs::path path = fs::absolute(options.path, failed);
  if (failed) return failure(ErrorCode::io, "cannot find the present folder: " + failed.message(), failed.value());

  auto impl = std::make_unique<Impl>();
  Result<RepositoryHandle> opened = open_or_create(path, options, impl->created);
  if (!opened) return std::unexpected(std::move(opened.error()));
  impl->handle = std::move(*opened);
  impl->git_dir = folder_name(git_repository_path(impl->handle.get()));
  impl->common_dir = folder_name(git_repository_commondir(impl->handle.get()));
  if (const char* work_tree = git_repository_workdir(impl->handle.get())) impl->work_tree = folder_name(work_tree);

  Result<std::string> branch = find_branch(impl->handle.get(), path, options.branch);
  if (!branch) return std::unexpected(std::move(branch.error()));
  impl->branch = std::move(*branch);
  impl->private_folder = impl->git_dir / "pawl";
  if (options.use == RepositoryOptions::Use::write) {
    if (const Result<void> free = check_other_work_trees(impl->handle.get(), impl->branch); !free) {
      return std::unexpected(free.error());
    }
    const Result<void> made = make_private_folder(impl->private_folder);
    if (!made) return std::unexpected(made.error());
    if (const Result<void> synced = sync_branch(impl->common_dir, impl->branch); !synced) {
      return std::unexpected(synced.error());
    }
  }
  return std::unique_ptr<Repository>(new Repository(std::move(impl)));
}

const fs::path& Repository::git_dir() const noexcept { return impl_->git_dir; }
const fs::path& Repository::private_folder() const noexcept { return impl_->private_folder; }
const fs::path& Repository::work_tree() const noexcept { return impl_->work_tree; }
const std::string& Repository::branch() const noexcept { return impl_->branch; }
bool Repository::created() const noexcept { return impl_->created; }
Repository::Impl& Repository::impl() noexcept { return *impl_; }

git_repository* handle(Repository& repository) noexcept { return repository.impl().handle.get(); }

Result<RepositoryHandle> open_again(const Repository::Impl& repository) {
  git_repository* raw = nullptr;
  const int code = git_repository_open_ext(&raw, repository.git_dir.c_str(), GIT_REPOSITORY_OPEN_NO_SEARCH, nullptr);
  if (code != 0) return std::unexpected(cannot_open(repository.git_dir, code));
  return RepositoryHandle(raw);
}

Result<std::optional<ObjectId>> branch_tip(git_repository* repository, const std::string& branch) {
  git_oid oid{};
  const int code = git_reference_name_to_id(&oid, repository, branch.c_str());
  if (code == GIT_ENOTFOUND) return std::nullopt;
  if (code != 0) return std::unexpected(git_error("cannot read " + branch));
  return from_oid(oid);
}

Result<std::optional<ObjectId>> branch_tip(Repository& repository) {
  return branch_tip(handle(repository), repository.branch());
}

bool is_checked_out(git_repository* repository, const std::string& branch) noexcept {
  git_reference* raw = nullptr;
  if (git_reference_lookup(&raw, repository, "HEAD") != 0) return false;
  const ReferenceHandle head(raw);
  const char* target = git_reference_symbolic_target(head.get());  // null: HEAD is detached
  return target != nullptr && target == branch;
}

Result<bool> has_commits(Repository& repository) {
  const auto tip = branch_tip(repository);
  if (!tip) return std::unexpected(tip.error());
  return tip->has_value();
}

Result<std::optional<ObjectId>> tree_of(git_repository* repository, const ObjectId& commit) {
  const git_oid oid = to_oid(commit);
  git_commit* raw = nullptr;
  const int code = git_commit_lookup(&raw, repository, &oid);
  if (code == GIT_ENOTFOUND) return std::nullopt;
  if (code != 0) return std::unexpected(git_error("cannot read the commit at the tip of the branch"));
  const CommitHandle found(raw);
  return from_oid(*git_commit_tree_id(found.get()));
}

Result<std::optional<ObjectId>> tree_of(Repository& repository, const ObjectId& commit) {
  return tree_of(handle(repository), commit);
}

Error git_error(std::string what) {
  const ::git_error* last = git_error_last();  // this thread's
  if (last != nullptr && last->message != nullptr) {
    what += ": ";
    what += last->message;
  }
  return {ErrorCode::repository, std::move(what)};
}

git_oid to_oid(const ObjectId& object_id) noexcept {
  git_oid oid{};
  std::memcpy(oid.id, object_id.data(), object_id.size());
  return oid;
}

ObjectId from_oid(const git_oid& oid) noexcept {
  ObjectId object_id;
  std::memcpy(object_id.data(), oid.id, object_id.size());
  return object_id;
}

}  // namespace pawl::git

// Makes a repository so that it is there whole and durably, or not at all, whenever the process is killed or the power
// goes; and makes durable what an earlier process may have left in the kernel's hands.
//
// git init writes its files into place one by one: killed in between, it leaves a folder that is no repository and that
// a person has to look at. Here it is built in a folder beside, synced, and renamed into its place.
#pragma once

#include <filesystem>
#include <string>

#include <pawl/error.h>

namespace pawl::git {

/// Makes `path`, if it is missing, and in it a repository with a work tree, on `branch`. If another process makes the
/// same one, the later waits for the earlier and takes what it made. Where something called .git is already, git's own
/// way is taken: it completes it. Errors: io, repository.
[[nodiscard]] Result<void> make_repository(const std::filesystem::path& path, const std::string& branch);

/// Removes the empty folder that a process leaves that was killed right after it had made the repository.
void remove_left_building(const std::filesystem::path& path) noexcept;

/// Makes durable where `branch` points to: a process that was killed may have moved it without the disk knowing, and
/// who acts upon what the branch holds must not lose that to a power failure. Errors: io.
[[nodiscard]] Result<void> sync_branch(const std::filesystem::path& common_dir, const std::string& branch);

/// Makes a new branch's own folders durable: git's library syncs only the innermost. Errors: io.
[[nodiscard]] Result<void> sync_reference_folders(const std::filesystem::path& common_dir, const std::string& branch);

}  // namespace pawl::git

// A power loss, simulated: of what programs under the file shim (file_shim/file_shim.h) did below a folder, only what
// was synced is sure to survive; of the rest a random part is undone.
//
// What counts as synced: the content and size of a file by its own fsync() or fdatasync(); a name (made, renamed,
// removed) by fsync() of the folder it is in, of a rename of either folder. A rename is done as a whole or not at all.
// Everything else may be lost, each name and each unit of each file for itself: that is more than a file system with
// a journal does, which keeps names in order (Names::in_order).
//
// Use it when no program is running below the folder and nothing but the shim's programs has changed names there.
#pragma once

#include <cstdint>
#include <filesystem>

namespace pawl::test {

struct PowerLossOptions {
  std::filesystem::path state;  // PAWL_SHIM_STATE; the log in it is used up
  std::filesystem::path root;   // PAWL_SHIM_ROOT
  std::uint64_t seed = 1;
  double lost = 1;  // chance that something not synced is lost: 1 is everything
  enum class Names : std::uint8_t { in_any_order, in_order } names = Names::in_any_order;
  std::uint64_t unit_bytes = 4096;  // of a file: what is kept or lost at once
};

struct PowerLossReport {
  std::uint64_t records = 0;                     // in the log
  std::uint64_t names_lost = 0, names_kept = 0;  // of those that were not sure to survive
  std::uint64_t units_lost = 0, units_kept = 0;
  std::uint64_t misfits = 0;  // what the log tells of is not there
};

/// Fails the test if the log cannot be read or the folder not be changed.
PowerLossReport lose_power(const PowerLossOptions& options);

}  // namespace pawl::test

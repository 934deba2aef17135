#include <pawl/journal.h>

#include "recovery.h"

namespace pawl::journal {

Result<Left> inspect(const std::filesystem::path& folder) {
  // A writer at work removes segments and uses them again while they are being read. What looks like an error then is
  // not there at the next look; real damage is.
  constexpr int kLooks = 4;
  Result<Scan> scan = scan_folder(folder);
  for (int look = 1; look < kLooks && !scan; ++look) scan = scan_folder(folder);
  if (!scan) return std::unexpected(std::move(scan.error()));
  return scan->left;
}

}  // namespace pawl::journal

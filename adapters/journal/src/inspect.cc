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

struct LeftTasks::Impl {
  Recovery recovery;
};

LeftTasks::LeftTasks(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
LeftTasks::~LeftTasks() = default;

Result<std::unique_ptr<LeftTasks>> LeftTasks::open(const std::filesystem::path& folder) {
  auto recovery = Recovery::look(folder);
  if (!recovery) return std::unexpected(std::move(recovery.error()));
  auto impl = std::make_unique<Impl>(std::move(*recovery));
  return std::unique_ptr<LeftTasks>(new LeftTasks(std::move(impl)));
}

Result<bool> LeftTasks::next(Recovered& recovered) { return impl_->recovery.next(recovered); }

}  // namespace pawl::journal

#include <pawl/limits.h>

namespace pawl {

Result<void> Limits::validate() const {
  if (tasks_in_flight < 1 || tasks_in_flight > 4'194'304)
    return failure(ErrorCode::usage, "tasks in flight must be 1 to 4194304, not " + std::to_string(tasks_in_flight));
  if (bytes_in_flight < 1024 * 1024)
    return failure(ErrorCode::usage,
                   "bytes in flight must be at least 1048576, not " + std::to_string(bytes_in_flight));
  if (encode_threads > 1024)
    return failure(ErrorCode::usage, "encode threads must be 0 to 1024, not " + std::to_string(encode_threads));
  if (stop_patience < std::chrono::seconds(1))
    return failure(ErrorCode::usage, "patience when stopping must be at least 1000 ms, not " +
                                         std::to_string(stop_patience.count()) + " ms");
  return {};
}

}  // namespace pawl

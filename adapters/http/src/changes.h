// What a person has asked to be otherwise while calls run, on its way to the loop: asked for by any thread, made true
// by the loop's own. The loop looks at one flag in each turn, and takes the mutex only when it is set.
#pragma once

#include <atomic>
#include <mutex>

#include <pawl/http.h>

namespace pawl::http {

class SendGate;
struct TransferSetup;
class WaitLine;

class PendingChanges {
 public:
  /// `options`: as the stage was made with; `parts`: of how many like it this is one.
  PendingChanges(const Options& options, unsigned parts) : asked_(options), parts_(parts) {}

  /// Any thread. Errors: as CallStage::change(); then nothing changes.
  [[nodiscard]] Result<void> ask(const Changes& changes);

  /// The loop's, as all below: makes true what has been asked for, in the parts that go by it.
  void apply(TransferSetup& setup, WaitLine& line, SendGate& gate);
  [[nodiscard]] bool any() const noexcept { return news_.load(std::memory_order_acquire); }  // acquire [P1]
  /// No call is to leave.
  [[nodiscard]] bool paused() const noexcept { return paused_; }

 private:
  std::mutex mutex_;
  Options asked_;                  // guarded by mutex_: only what can be changed is looked at
  bool pause_asked_ = false;       // guarded by mutex_
  bool rates_asked_ = false;       // guarded by mutex_: a rate has been changed
  const unsigned parts_;           // share the connections
  std::atomic<bool> news_{false};  // set by ask(), cleared by the loop; publishes the three above
  bool paused_ = false;            // the loop's
};

}  // namespace pawl::http

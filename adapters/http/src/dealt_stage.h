// Several call stages behind one port, each with its own event loop, for loads whose work is more than one processor
// can do: TLS connections that live for one request, above all.
//
// A task goes to the part that its ordinal says, so neighbours spread evenly and a task that comes back from the send
// log finds its part again. Each part has an even share of every limit, which a load of many tasks does not notice; but
// parts learn nothing from each other.
#pragma once

#include <cstddef>
#include <memory>

#include <pawl/http.h>

#include "changes.h"

namespace pawl::http {

/// A call stage with one event loop.
class CallPart : public CallStage {
 public:
  CallPart(const Options& options, unsigned parts) : changes_(options, parts) {}

  [[nodiscard]] Result<void> change(const Changes& changes) override {
    auto asked = changes_.ask(changes);
    if (asked) wake();
    return asked;
  }
  /// How long its attempts took. Any thread, as long as the stage lives.
  [[nodiscard]] virtual const LatencyHistogram& attempt_latency() const noexcept = 0;

 protected:
  /// Makes the loop turn. Any thread.
  virtual void wake() noexcept = 0;

  PendingChanges changes_;
};

/// `parts`: of how many it is one. REQUIRES: valid options, whose limits are this part's own. Errors: as
/// make_call_stage().
[[nodiscard]] Result<std::unique_ptr<CallPart>> make_call_part(const Options& options, SendLog* borrowed_log,
                                                               unsigned parts);

/// A stage of Options::call_threads parts. REQUIRES: valid options. Errors: as make_call_stage().
[[nodiscard]] Result<std::unique_ptr<CallStage>> make_dealt_stage(const Options& options, SendLog* borrowed_log);

/// What part `index` of options.call_threads gets of `limit`; 0 (no limit) stays 0.
[[nodiscard]] unsigned share_of(unsigned limit, unsigned parts, unsigned index) noexcept;

}  // namespace pawl::http

// Who is called next: first come, first served, but a task whose host is full steps aside and holds nobody up.
//
// Each call passes through at most two lists (the common one, its host's own), so the cost is constant per call
// however many hosts are full. A host begins cold: one call at a time until a connection stands, so that a thousand
// calls do not start a thousand name look-ups. Not thread-safe; knows nothing of the network.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include <pawl/task.h>

namespace pawl::http {

struct Host;

/// A task while the stage holds it.
struct Call {
  Task* task = nullptr;
  Host* host = nullptr;
  Call* link = nullptr;                           // of the list it is in
  std::chrono::steady_clock::time_point begun{};  // of the first attempt
};

/// First in, first out, through Call::link.
class CallList {
 public:
  void push(Call& call) noexcept {
    call.link = nullptr;
    (tail_ != nullptr ? tail_->link : head_) = &call;
    tail_ = &call;
  }
  Call* pop() noexcept {
    Call* call = head_;
    if (call == nullptr) return nullptr;
    head_ = call->link;
    if (head_ == nullptr) tail_ = nullptr;
    call->link = nullptr;
    return call;
  }
  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }

 private:
  Call* head_ = nullptr;
  Call* tail_ = nullptr;
};

/// An origin: scheme, host and port.
struct Host {
  std::string origin;       // "https://api.example.com:443"
  std::uint64_t calls = 0;  // the stage holds for it
  unsigned active = 0;      // of them, those that left the line and have not ended
  bool warm = false;        // a connection stood once, or an attempt has ended
  CallList parked;          // stepped aside, older than anyone in the common list
};

class WaitLine {
 public:
  /// Hosts remembered although nobody calls them.
  static constexpr std::size_t kIdleHostsMax = 4096;

  /// `host_max`: calls at one host at a time; 0: no limit.
  explicit WaitLine(unsigned host_max) noexcept
      : host_max_(host_max == 0 ? std::numeric_limits<unsigned>::max() : host_max) {}

  /// The host of that origin. Valid while Host::calls > 0; counts one call up.
  Host& enter(const std::string& origin) {
    auto& host = hosts_[origin];
    if (host == nullptr) {
      host = std::make_unique<Host>();
      host->origin = origin;
    }
    ++host->calls;
    return *host;
  }
  /// The counterpart of enter(). True: the host is forgotten and the reference dead.
  bool leave(Host& host) {
    if (--host.calls > 0 || hosts_.size() <= kIdleHostsMax) return false;
    hosts_.erase(std::string(host.origin));
    return true;
  }

  /// A new call joins at the end.
  void push(Call& call) noexcept {
    ++size_;
    fresh_.push(call);
  }
  /// A call that has been tried before goes ahead of the new ones: its stream has waited longest.
  void push_again(Call& call) noexcept {
    ++size_;
    again_.push(call);
  }

  /// The next call that may begin, or nullptr. It counts as active at its host until end().
  Call* next() noexcept {
    Call* call = resumed_.pop();
    while (call == nullptr) {
      call = again_.empty() ? fresh_.pop() : again_.pop();
      if (call == nullptr) return nullptr;
      if (call->host->active < limit(*call->host)) {
        ++call->host->active;
      } else {
        call->host->parked.push(*call);
        call = nullptr;
      }
    }
    --size_;
    return call;
  }

  /// An active call of that host has ended, well or not.
  void end(Host& host) noexcept {
    --host.active;
    host.warm = true;
    resume(host);
  }
  /// A connection to that host stands.
  void warm(Host& host) noexcept {
    if (host.warm) return;
    host.warm = true;
    resume(host);
  }

  /// For cancel: takes out every call there is. `give(Call&)` may leave() hosts.
  template <class Give>
  void drain(Give give) {
    CallList all;
    while (Call* call = resumed_.pop()) {
      --call->host->active;
      all.push(*call);
    }
    for (auto& [origin, host] : hosts_) {
      while (Call* call = host->parked.pop()) all.push(*call);
    }
    while (Call* call = again_.pop()) all.push(*call);
    while (Call* call = fresh_.pop()) all.push(*call);
    size_ = 0;
    while (Call* call = all.pop()) give(*call);
  }

  /// Most calls at one host at a time.
  [[nodiscard]] unsigned host_max() const noexcept { return host_max_; }
  /// Calls that wait, parked ones included.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// False: next() would surely answer nullptr. True: ask it.
  [[nodiscard]] bool ready() const noexcept { return !resumed_.empty() || !again_.empty() || !fresh_.empty(); }

 private:
  [[nodiscard]] unsigned limit(const Host& host) const noexcept { return host.warm ? host_max_ : 1; }
  void resume(Host& host) noexcept {
    while (host.active < limit(host)) {
      Call* call = host.parked.pop();
      if (call == nullptr) return;
      ++host.active;
      resumed_.push(*call);
    }
  }

  unsigned host_max_;
  std::uint64_t size_ = 0;
  CallList resumed_;  // parked until their host had room, which they hold already
  CallList again_;
  CallList fresh_;
  std::unordered_map<std::string, std::unique_ptr<Host>> hosts_;
};

}  // namespace pawl::http

// Sockets and timers of all transfers: one epoll set under many small libcurl multi handles.
//
// Small multis because libcurl walks a multi's connections for every request. Idle connections stay registered with
// epoll, and a multi's timer is a number here instead of a timerfd: that saves most system calls between requests.
// One thread at a time; wake() alone may be called by any.
//
// When not to use it: with a few transfers, where curl_multi_poll() does.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <pawl/error.h>

#include "curl_handles.h"

namespace pawl::http {

/// A file descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Fd& operator=(Fd&&) = delete;
  ~Fd();
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_ = -1;
};

class Wire {
 public:
  using Clock = std::chrono::steady_clock;

  /// Transfers per multi handle. Measured: 52 → 35 µs a request at 1,024 transfers against one handle for all.
  static constexpr unsigned kShardTransfers = 16;

  struct Setup {
    long connections_max = 64;  // idle and busy ones that a shard keeps
    bool multiplex = false;     // HTTP/2 streams
  };
  /// Errors: io (epoll, eventfd), call (libcurl).
  [[nodiscard]] static Result<std::unique_ptr<Wire>> make(const Setup& setup);
  /// Every transfer must have been removed.
  ~Wire() = default;
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  /// Makes an easy handle use this wire's sockets, name cache and TLS sessions.
  void attach(CURL* easy) noexcept;

  /// Starts a transfer in a shard; the first bytes go out with run_timers(). False: libcurl refuses it.
  [[nodiscard]] bool add(CURL* easy, unsigned shard);
  /// Ends a transfer, finished or not (then its connection is closed).
  void remove(CURL* easy, unsigned shard) noexcept;

  /// The transfer has ended well and its connection may be kept. If bytes wait in it already, or in its TLS session
  /// (nullptr: it has none), they belong to no request: the connection is not used again.
  void check_idle(CURL* easy, const void* borrowed_tls) noexcept;
  /// The transfer has failed because its HTTP/2 connection is out of order; libcurl keeps it for others all the same.
  /// While others are on it nothing happens: they fail the same way.
  void give_up_idle(CURL* easy) noexcept;

  /// Waits for sockets, timers, wake() or `until`, and lets libcurl work on the sockets that are ready.
  void poll(std::optional<Clock::time_point> until);
  /// Lets libcurl work on what is due: new transfers, time limits.
  void run_timers();

  /// Calls `finished(CURL*, CURLcode)` for each transfer that has ended since; it may add() and remove().
  template <class Finished>
  void collect(Finished finished) {
    for (std::size_t i = 0; i < dirty_.size(); ++i) {
      Shard& shard = *shards_[dirty_[i]];
      shard.dirty = false;
      int left = 0;
      while (const CURLMsg* message = curl_multi_info_read(shard.multi.get(), &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        // Copied: the message dies with remove().
        CURL* easy = message->easy_handle;
        const CURLcode code = message->data.result;
        finished(easy, code);
      }
    }
    dirty_.clear();
  }

  /// Makes a present or the next poll() return. Any thread.
  void wake() noexcept;

  /// How often libcurl has been let work; grows.
  [[nodiscard]] std::uint64_t acts() const noexcept { return acts_; }
  [[nodiscard]] std::uint64_t opened() const noexcept { return opened_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t closed() const noexcept { return closed_.load(std::memory_order_relaxed); }

 private:
  static constexpr Clock::time_point kNever = Clock::time_point::max();

  struct Shard {
    Wire* wire = nullptr;
    unsigned index = 0;
    MultiHandle multi;
    Clock::time_point deadline = kNever;
    bool due = false;    // in due_
    bool whole = false;  // when due, all its transfers are looked at, not only those whose time has come
    bool dirty = false;  // in dirty_
  };
  /// What is known of a descriptor number.
  struct Socket {
    std::uint32_t registered = 0;  // events epoll watches for
    std::uint32_t wanted = 0;      // events libcurl wants
    unsigned shard = 0;
    bool ours = false;          // from open_socket(), so close_socket() will tell when the number is free again
    std::uint64_t left_in = 0;  // number of the poll in which libcurl let go of it while epoll watched it; 0: none
  };

  /// A connection at its end. Its number is given to sockets that must not be used again: libcurl sees the end and
  /// closes them. (It reads what waits in an idle connection as the answer to the next request.)
  struct Grave {
    Fd end;
    Fd other;  // open, but says nothing: writing to the end is no error, and no SIGPIPE
  };

  Wire(const Setup& setup, Fd epoll, Fd bell, Grave grave, ShareHandle share) noexcept;
  [[nodiscard]] Shard* shard(unsigned index);
  Socket& socket(curl_socket_t fd);
  void watch(curl_socket_t fd, Socket& socket, std::uint32_t events) noexcept;
  [[nodiscard]] curl_socket_t idle_socket(CURL* easy) noexcept;
  void bury(curl_socket_t fd, Socket& socket) noexcept;
  void make_due(Shard& shard);
  void look_again(Shard& shard);
  void act(Shard& shard, curl_socket_t fd, int mask) noexcept;
  [[nodiscard]] int timeout_ms(Clock::time_point until) const noexcept;
  void dispatch(curl_socket_t fd, std::uint32_t events);

  static int on_socket(CURL*, curl_socket_t fd, int what, void* shard, void*) noexcept;
  static int on_timer(CURLM*, long timeout_ms, void* shard) noexcept;
  static curl_socket_t open_socket(void* wire, curlsocktype, curl_sockaddr* address) noexcept;
  static int close_socket(void* wire, curl_socket_t fd) noexcept;

  Setup setup_;
  Fd epoll_;
  Fd bell_;  // eventfd
  Grave grave_;
  ShareHandle share_;
  std::vector<Socket> sockets_;           // by descriptor; outlives the multis, which close sockets as they die
  std::atomic<std::uint64_t> opened_{0};  // written by the wire's thread, read for statistics
  std::atomic<std::uint64_t> closed_{0};
  Clock::time_point nearest_ = kNever;  // no shard's deadline is earlier; may be earlier than all of them
  std::uint64_t polls_ = 0;
  std::uint64_t acts_ = 0;
  std::vector<unsigned> due_;
  std::vector<unsigned> firing_;
  std::vector<unsigned> dirty_;
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace pawl::http

// The server's thread: one epoll that accepts, reads, delays and answers.
//
// Sockets are registered once, edge-triggered, so a request costs one recv, one send and its share of an epoll_wait.
// Everything is owned by the thread in run(); ask() and stop() are the only ways in from others.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include <pawl/mockapi.h>

#include "api.h"
#include "connection.h"
#include "counts.h"
#include "faults.h"
#include "fd.h"
#include "timer_heap.h"

namespace pawl::mockapi {

class Loop {
 public:
  /// Listens. Errors: usage (address), io.
  [[nodiscard]] static Result<std::unique_ptr<Loop>> make(const Options& options);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

  /// Serves until stop().
  void run() noexcept;

  /// Makes run() return soon. Any thread.
  void stop() noexcept;

  /// Calls `read` with the counters at rest, on the loop's thread or, once run() has returned, on the caller's. Any
  /// thread other than the loop's own; waits for it. REQUIRES: run() has begun or will.
  void ask(const std::function<void(const Counts&)>& read);

 private:
  enum class Step : std::uint8_t { go_on, wait, gone };  // gone: the connection is destroyed

  struct Question {
    const std::function<void(const Counts&)>& read;
    bool answered = false;
  };

  Loop(const Options& options, Fd listener, Fd epoll, Fd wake, std::uint16_t port);

  void wait_and_handle();
  void handle(std::uint64_t tag, std::uint32_t events);
  [[nodiscard]] std::int64_t nanoseconds_to_wait() const noexcept;
  [[nodiscard]] Connection* find(std::uint64_t tag) noexcept;
  void expire_timers();
  void set_timer(Connection& connection, double delay_ms);
  void answer_questions();
  void end();

  void accept_all();
  void pause_accepting() noexcept;
  void resume_accepting() noexcept;

  void drive(Connection& connection);
  [[nodiscard]] Step read_request(Connection& connection);
  [[nodiscard]] Step receive(Connection& connection, std::string_view& bytes);
  [[nodiscard]] Step feed(Connection& connection, std::string_view bytes, bool from_unread);
  [[nodiscard]] Step begin_exchange(Connection& connection);
  void begin_call(Connection& connection, const Request& request);
  void apply_plan(Connection& connection, const Plan& plan);
  void answer_control(Connection& connection, const Request& request);
  void refuse(Connection& connection);
  void put_together(Connection& connection, bool head_only);
  [[nodiscard]] Step take_place(Connection& connection);
  void give_place(Connection& connection) noexcept;
  void admit_queued();
  void answer_capacity(const Request& request);
  [[nodiscard]] Step start_answer(Connection& connection);
  [[nodiscard]] Step write_answer(Connection& connection);
  [[nodiscard]] Step finish_answer(Connection& connection);
  [[nodiscard]] Step linger(Connection& connection);
  [[nodiscard]] Step close(Connection& connection);
  [[nodiscard]] Step on_timer(Connection& connection);

  const Options options_;
  const Fd listener_;
  const Fd epoll_;
  const Fd wake_;  // eventfd: a question or the stop has come
  const std::uint16_t port_;

  Api api_;
  FaultPlanner planner_;
  Counts counts_;
  TimerHeap<Connection> timers_;
  std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor
  unsigned capacity_;                                     // calls worked on at once; 0: no bound
  unsigned places_taken_ = 0;
  std::deque<std::uint64_t> queue_;  // tags of connections that wait for a place; some may be gone
  std::vector<char> scratch_;        // what recv() fills
  Answer answer_;
  Clock::time_point now_;  // when the current batch of events was got
  std::uint64_t answer_number_ = 0;
  std::uint32_t generation_ = 0;
  bool accepting_ = true;
  Clock::time_point accept_again_{};

  std::mutex mutex_;  // guards the four below
  std::condition_variable answered_;
  std::vector<Question*> questions_;
  bool stopping_ = false;
  bool ended_ = false;
};

/// Names a connection for as long as it lives, and no other one afterwards.
[[nodiscard]] inline std::uint64_t tag_of(const Connection& connection) noexcept {
  return std::uint64_t{connection.generation} << 32 | static_cast<std::uint32_t>(connection.fd.get());
}

/// Processor time of the calling thread.
[[nodiscard]] double thread_cpu_ms() noexcept;

}  // namespace pawl::mockapi

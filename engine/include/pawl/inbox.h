// Inbox: many threads put intrusive nodes in, one thread takes all of them out, in the order they went in.
//
// Use it where a stage hands work to its own thread. Not for several consumers, and not where a bound is needed
// (tasks are bounded by the engine's credits already). Lock-free for producers (one CAS loop per push, whole chains
// at a time); take_all() is wait-free. No allocation. A push that finds the inbox empty rings the bell; the others
// make no system call.
//
// The list is a stack that only ever loses all its nodes at once, so there is no ABA (R. K. Treiber, "Systems
// Programming: Coping with Parallelism", 1986).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>

#include <pawl/export.h>

namespace pawl {

/// Waits while `word` equals `old`, at most until `deadline`; spurious returns are allowed. Linux futex(2).
/// Templates call it unqualified, so that an atomic of a test brings its own wait_on() and wake_all() along.
PAWL_API void wait_on(std::atomic<std::uint32_t>& word, std::uint32_t old,
                      std::chrono::steady_clock::time_point deadline) noexcept;
/// Wakes every thread in wait_on(word).
PAWL_API void wake_all(std::atomic<std::uint32_t>& word) noexcept;

/// `Node` has a member `Node* link`, which belongs to the inbox while the node is in it.
template <class Node, template <class> class Atom = std::atomic>
class Inbox {
 public:
  Inbox() = default;
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  /// Puts `nodes` in, keeping their order. Any thread. Returns true if the inbox was empty, that is if a consumer
  /// that sleeps on something other than wait() must now be woken.
  bool push(std::span<Node* const> nodes) noexcept {
    if (nodes.empty()) return false;
    for (std::size_t i = nodes.size() - 1; i > 0; --i) nodes[i]->link = nodes[i - 1];
    Node* head = head_.load(std::memory_order_relaxed);  // relaxed: the CAS below checks it
    do {
      nodes[0]->link = head;
      // release [I1]: publishes the nodes' fields; pairs with take_all()
    } while (!head_.compare_exchange_weak(head, nodes[nodes.size() - 1], std::memory_order_release,
                                          std::memory_order_relaxed));
    if (head != nullptr) return false;
    ring();
    return true;
  }

  /// Takes everything; returns the first node put in, linked through `link`, or nullptr. Any thread: each node goes to
  /// one of those who take.
  Node* take_all() noexcept {
    Node* node = head_.exchange(nullptr, std::memory_order_acquire);  // acquire [I1]
    Node* first = nullptr;
    while (node != nullptr) {
      Node* next = node->link;
      node->link = first;
      first = node;
      node = next;
    }
    return first;
  }

  /// A hint; exact only for the consumer when it says false.
  [[nodiscard]] bool empty() const noexcept { return head_.load(std::memory_order_acquire) == nullptr; }

  /// Waits until something is in, ring() is called, or the deadline passes. Consumer thread only.
  void wait(std::chrono::steady_clock::time_point deadline) noexcept {
    const std::uint32_t seen = bell_.load(std::memory_order_acquire);  // acquire [I2]
    if (seen != heard_) {
      heard_ = seen;
      return;
    }
    if (!empty()) return;
    wait_on(bell_, seen, deadline);
    heard_ = bell_.load(std::memory_order_acquire);  // acquire [I2]
  }

  /// Makes a present or the next wait() return. Any thread.
  void ring() noexcept {
    bell_.fetch_add(1, std::memory_order_release);  // release [I2]: a waiter that sees it sees the push before it
    wake_all(bell_);
  }

 private:
  Atom<Node*> head_{nullptr};    // written by all; newest node first; publishes the nodes
  Atom<std::uint32_t> bell_{0};  // written by ring(), read by the consumer: changes when there is news
  std::uint32_t heard_ = 0;      // consumer only
};

}  // namespace pawl

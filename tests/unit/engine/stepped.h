// The atomic of stepped tests: each of its operations is a step of step_scheduler.h, so that a test drives the
// production code, which is templated on the atomic, through every order of a small case and random ones of a larger.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>

#include "step_scheduler.h"

namespace pawl::test {

/// Random orders that a test of a protocol plays, at least.
inline constexpr std::size_t kOrders = 100'000;

/// An atomic each of whose operations is a step, for the template parameter Atom of the engine's structures.
template <class T>
class SteppedAtom {
 public:
  SteppedAtom() = default;
  SteppedAtom(T value) : value_(value) {}  // NOLINT: implicit, as std::atomic
  SteppedAtom(const SteppedAtom&) = delete;
  SteppedAtom& operator=(const SteppedAtom&) = delete;

  T load(std::memory_order order) const {
    Stepped::step();
    const Stepped::Store* mine = Stepped::kept_back(this);
    return mine != nullptr ? from_bits(mine->value) : value_.load(order);
  }
  void store(T value, std::memory_order order) {
    Stepped::step();
    if (order != std::memory_order_seq_cst && Stepped::keep_back({this, to_bits(value), &SteppedAtom::put})) return;
    Stepped::empty_buffer();
    value_.store(value, order);
  }
  T exchange(T value, std::memory_order order) { return change().exchange(value, order); }
  T fetch_add(T value, std::memory_order order) { return change().fetch_add(value, order); }
  T fetch_sub(T value, std::memory_order order) { return change().fetch_sub(value, order); }
  T fetch_or(T value, std::memory_order order) { return change().fetch_or(value, order); }
  T fetch_and(T value, std::memory_order order) { return change().fetch_and(value, order); }
  bool compare_exchange_strong(T& expected, T value, std::memory_order success, std::memory_order failure) {
    return change().compare_exchange_strong(expected, value, success, failure);
  }
  bool compare_exchange_strong(T& expected, T value, std::memory_order order) {
    return change().compare_exchange_strong(expected, value, order);
  }
  /// Never fails without a reason: that would be an endless choice.
  bool compare_exchange_weak(T& expected, T value, std::memory_order success, std::memory_order failure) {
    return compare_exchange_strong(expected, value, success, failure);
  }
  bool compare_exchange_weak(T& expected, T value, std::memory_order order) {
    return compare_exchange_strong(expected, value, order);
  }

  void wait(T old, std::memory_order order) const {
    while (load(order) == old) Stepped::block(this, false);
  }
  void notify_one() const { wake(1); }
  void notify_all() const { wake(Stepped::kMostActors); }

  /// In place of the futex of the engine's wait_on(): returns when woken, or in time-out at any moment if it has one.
  friend void wait_on(SteppedAtom& word, T old, std::chrono::steady_clock::time_point deadline) {
    if (word.load(std::memory_order_relaxed) != old) return;
    if (deadline <= std::chrono::steady_clock::now()) return;
    Stepped::block(&word, deadline != std::chrono::steady_clock::time_point::max());
  }
  friend void wake_all(SteppedAtom& word) { word.notify_all(); }

  /// In place of the engine's full_fence().
  friend void full_fence(const SteppedAtom&) {
    Stepped::step();
    Stepped::empty_buffer();
  }

 private:
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  static std::uint64_t to_bits(T value) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
  }
  static T from_bits(std::uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
  }
  static void put(void* atom, std::uint64_t bits) {
    static_cast<SteppedAtom*>(atom)->value_.store(from_bits(bits), std::memory_order_release);
  }
  /// For a read-modify-write, which no buffer keeps back.
  std::atomic<T>& change() {
    Stepped::step();
    Stepped::empty_buffer();
    return value_;
  }
  void wake(std::size_t most) const {
    Stepped::step();
    Stepped::empty_buffer();  // a system call orders
    Stepped::wake(this, most);
  }

  std::atomic<T> value_{};
};

}  // namespace pawl::test

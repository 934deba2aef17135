// Timers of one thread: a binary heap of nodes that live in their owners and know their place, so a timer is cancelled
// in O(log n) and a dead connection leaves nothing behind.
//
// No allocation per timer beyond the heap's array. Not thread-safe. A node must be cancelled before it is destroyed.
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

namespace pawl::mockapi {

template <class Owner>
struct Timer {
  static constexpr std::size_t kIdle = static_cast<std::size_t>(-1);
  explicit Timer(Owner& its_owner) noexcept : owner(its_owner) {}
  Owner& owner;
  std::chrono::steady_clock::time_point due{};
  std::size_t place = kIdle;  // in the heap's array; kept by the heap
};

template <class Owner>
class TimerHeap {
 public:
  using Node = Timer<Owner>;

  [[nodiscard]] bool empty() const noexcept { return nodes_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
  /// The earliest timer. REQUIRES: not empty.
  [[nodiscard]] Node& first() const noexcept { return *nodes_.front(); }

  /// Sets `node`, which must be idle.
  void set(Node& node, std::chrono::steady_clock::time_point due) {
    node.due = due;
    node.place = nodes_.size();
    nodes_.push_back(&node);
    rise(node.place);
  }

  /// Takes `node` out; does nothing if it is idle.
  void cancel(Node& node) noexcept {
    if (node.place == Node::kIdle) return;
    const std::size_t hole = node.place;
    node.place = Node::kIdle;
    Node* last = nodes_.back();
    nodes_.pop_back();
    if (last == &node) return;
    put(hole, last);
    sink(hole);
    rise(last->place);
  }

 private:
  void put(std::size_t place, Node* node) noexcept {
    nodes_[place] = node;
    node->place = place;
  }

  void rise(std::size_t place) noexcept {
    Node* node = nodes_[place];
    while (place > 0) {
      const std::size_t parent = (place - 1) / 2;
      if (nodes_[parent]->due <= node->due) break;
      put(place, nodes_[parent]);
      place = parent;
    }
    put(place, node);
  }

  void sink(std::size_t place) noexcept {
    Node* node = nodes_[place];
    for (;;) {
      std::size_t child = 2 * place + 1;
      if (child >= nodes_.size()) break;
      if (child + 1 < nodes_.size() && nodes_[child + 1]->due < nodes_[child]->due) ++child;
      if (node->due <= nodes_[child]->due) break;
      put(place, nodes_[child]);
      place = child;
    }
    put(place, node);
  }

  std::vector<Node*> nodes_;
};

}  // namespace pawl::mockapi

// What other threads tell the journal's writer: answers to write, tasks released. And where used messages wait.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "byte_buffer.h"

namespace pawl::journal {

/// Where a note lies whose task had to go on before it was written: the mark of such an answer or settling is the
/// ticket of its message, which the writer turns into a segment when it has written it. Other marks are the segment's
/// number.
inline constexpr std::uint64_t kTicketBit = std::uint64_t{1} << 63;

struct Message {
  enum class Kind : std::uint8_t {
    answers,  // `bytes` holds `count` records, known by `ticket`
    settled,  // as `answers`; the older marks of the same tasks, in `marks`, have no more use
    release,  // tasks with these `marks` are done with
    passed,   // recovery is through with `segment`; `count` of its notes were handed out
  };
  struct Marks {
    std::uint64_t save = 0;
    std::uint64_t answer = 0;
    std::uint64_t sent = 0;
  };

  Kind kind = Kind::answers;
  ByteBuffer bytes;
  std::uint64_t ticket = 0;
  std::uint64_t count = 0;
  std::uint64_t segment = 0;
  std::vector<Marks> marks;
  Message* link = nullptr;
};

/// Used messages with their buffers. Any thread takes and gives; wait-free (a bounded walk over slots). Not for
/// counting on: when all slots are empty a new message is made, when all are full the message is freed.
class MessagePool {
 public:
  MessagePool() = default;
  MessagePool(const MessagePool&) = delete;
  MessagePool& operator=(const MessagePool&) = delete;
  ~MessagePool() {
    for (auto& slot : slots_) delete slot.load(std::memory_order_relaxed);  // relaxed: nobody else is left
  }

  [[nodiscard]] std::unique_ptr<Message> take() {
    for (auto& slot : slots_) {
      if (slot.load(std::memory_order_relaxed) == nullptr) continue;  // relaxed: the exchange below decides
      // acquire [P1]: pairs with give(); its buffers are ours now
      if (Message* message = slot.exchange(nullptr, std::memory_order_acquire))
        return std::unique_ptr<Message>(message);
    }
    return std::make_unique<Message>();
  }

  void give(std::unique_ptr<Message> message) noexcept {
    message->bytes.recycle(kBytesKept);
    message->marks.clear();
    for (auto& slot : slots_) {
      Message* empty = nullptr;
      if (slot.load(std::memory_order_relaxed) != nullptr) continue;  // relaxed: the exchange below decides
      // release [P1]: publishes the message's buffers
      if (slot.compare_exchange_strong(empty, message.get(), std::memory_order_release, std::memory_order_relaxed)) {
        static_cast<void>(message.release());
        return;
      }
    }
  }

 private:
  static constexpr std::size_t kSlots = 32;
  static constexpr std::size_t kBytesKept = 1024 * 1024;

  // A slot owns the message it points to. Only whole slots change hands, so there is no ABA.
  std::array<std::atomic<Message*>, kSlots> slots_{};
};

}  // namespace pawl::journal

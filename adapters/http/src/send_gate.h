// Between the line and the wire: a call passes only once the send log says that it is marked as sent.
//
// Marks are asked for ahead of need, so that a place on the wire never waits for a sync: up to `ahead` calls stand
// ready here behind those on the wire, and the log is asked again when half of them have gone, for many at a time.
// When nobody waits, the log is given room to mark tasks together with their save. Without a log every call passes.
//
// What is marked and does not leave after all is settled, so that after a crash as few calls as possible are in doubt:
// at most those on the wire, those ahead, and those given room.
//
// The call stage's thread only, but for may_send().
#pragma once

#include <algorithm>
#include <cstdlib>
#include <vector>

#include <pawl/inbox.h>
#include <pawl/stages.h>

#include "wait_line.h"
#include "wire.h"

namespace pawl::http {

class SendGate final : public SendSink {
 public:
  static constexpr std::size_t kAheadMax = 256;

  /// `borrowed_log` may be null. `at_once`: how many calls of one kind can be on the wire, which is what room is given
  /// for; `parallel_max`: how many there can be at all; `ahead_max`: how many stand ready behind those (0 where it
  /// matters when a call leaves: who stands ready leaves when there is a place, not when the line let it in).
  SendGate(SendLog* borrowed_log, Wire& wire, std::size_t parallel_max, std::size_t at_once,
           std::size_t ahead_max = kAheadMax) noexcept
      : borrowed_log_(borrowed_log),
        wire_(wire),
        ahead_(borrowed_log == nullptr ? 0 : std::min(parallel_max, ahead_max)),
        most_(parallel_max + ahead_),
        at_once_(std::min(parallel_max, at_once)) {}

  /// As when it was made. What is held already stays.
  void set_limits(std::size_t parallel_max, std::size_t at_once, std::size_t ahead_max) noexcept {
    ahead_ = borrowed_log_ == nullptr ? 0 : std::min(parallel_max, ahead_max);
    most_ = parallel_max + ahead_;
    at_once_ = std::min(parallel_max, at_once);
  }

  void attach() noexcept {
    if (borrowed_log_ != nullptr) borrowed_log_->attach_sender(*this);
  }

  void may_send(std::span<Task* const> tasks) noexcept override {
    if (marked_.push(tasks)) wire_.wake();
  }

  /// A task has come to the stage. If it was marked with its save, it has used the room that was given for it.
  void arrived(const Task& task) noexcept {
    if (task.sent && !task.in_doubt && room_given_ > 0) --room_given_;
  }

  /// How many more calls to let in from the line, with `active` on the wire.
  [[nodiscard]] std::size_t wants(std::size_t active) const noexcept {
    const std::size_t here = active + held();
    return here + ahead_ / 2 < most_ ? most_ - here : 0;
  }
  /// REQUIRES: what was settled has been told.
  void let_in(Call& call) {
    if (borrowed_log_ == nullptr || call.task->sent) {
      ready_.push(call);
      ++ready_count_;
    } else {
      asked_.push(call);
      asking_.push_back(call.task);
    }
  }
  /// Hands to the log what has been let in without a mark.
  void ask() noexcept {
    if (asking_.empty()) return;
    asked_count_ += asking_.size();
    borrowed_log_->note_sending(asking_);
    asking_.clear();
  }
  /// Calls whose marks have come back stand ready. `refuse(Call&)` takes those whose task was given up.
  template <class Refuse>
  void take_marked(Refuse refuse) {
    for (Task* task = marked_.empty() ? nullptr : marked_.take_all(); task != nullptr;) {
      Task* const next = task->link;
      task->link = nullptr;
      Call* const call = asked_.pop();
      if (call == nullptr || call->task != task) std::abort();  // the log keeps the order, or nothing here is true
      --asked_count_;
      if (task->fate == Fate::live) {
        ready_.push(*call);
        ++ready_count_;
      } else {
        refuse(*call);
      }
      task = next;
    }
  }
  /// The next call that may begin, or nullptr.
  [[nodiscard]] Call* next() noexcept {
    Call* const call = ready_.pop();
    if (call != nullptr) --ready_count_;
    return call;
  }
  [[nodiscard]] bool ready() const noexcept { return !ready_.empty(); }

  /// Nobody waits in the line: tasks that come next may be marked with their save, as many as could leave at once.
  void give_room(std::size_t active) noexcept {
    const std::size_t taken = active + held() + room_given_;
    if (borrowed_log_ == nullptr || taken >= at_once_) return;
    borrowed_log_->give_room(at_once_ - taken);
    room_given_ += at_once_ - taken;
  }

  /// The call of this task will not leave now, and none has left that nothing is known of. To be told (tell_settled())
  /// before the task is given away or let in again.
  void settle(Task& task) {
    if (borrowed_log_ != nullptr && task.sent && !task.in_doubt) settled_.push_back(&task);
  }
  void tell_settled() noexcept {
    if (settled_.empty()) return;
    borrowed_log_->note_settled(settled_);
    settled_.clear();
  }

  /// Calls here: asked for or ready.
  [[nodiscard]] std::size_t held() const noexcept { return asked_count_ + ready_count_; }

 private:
  SendLog* const borrowed_log_;
  Wire& wire_;
  std::size_t ahead_;    // stand ready beyond those on the wire
  std::size_t most_;     // on the wire and here
  std::size_t at_once_;  // room is given for
  Inbox<Task> marked_;   // put in by the log's thread
  CallList asked_;       // handed to the log, in order
  CallList ready_;
  std::size_t asked_count_ = 0, ready_count_ = 0;
  std::size_t room_given_ = 0;  // of it, what no task has come for
  std::vector<Task*> asking_;   // let in, not yet handed to the log
  std::vector<Task*> settled_;  // not yet told
};

}  // namespace pawl::http

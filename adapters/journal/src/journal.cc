#include <pawl/journal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory_resource>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <pawl/inbox.h>
#include <pawl/latency.h>
#include <pawl/thread.h>

#include "counters.h"
#include "format.h"
#include "message.h"
#include "recovery.h"
#include "segments.h"

namespace pawl::journal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kNoteSyncDelay{5};  // Durability::sync: answers and settled marks
constexpr std::chrono::milliseconds kBufferDelay{200};  // Durability::none: everything
constexpr std::size_t kForgetTogether = 512;

}  // namespace

Result<void> Options::validate() const {
  if (folder.empty()) return failure(ErrorCode::usage, "the journal needs a folder");
  if (segment_bytes < 64 * 1024 || segment_bytes > 1024ull * 1024 * 1024)
    return failure(ErrorCode::usage,
                   "a journal segment must be 65536 to 1073741824 bytes, not " + std::to_string(segment_bytes));
  if (record_bytes_max < 1024 || record_bytes_max > 2048ull * 1024 * 1024)
    return failure(ErrorCode::usage, "the largest journal record must be 1024 to 2147483648 bytes, not " +
                                         std::to_string(record_bytes_max));
  return {};
}

// The writer thread owns everything but what is marked otherwise. Others reach it through three inboxes: tasks to save,
// tasks to mark as sent, and messages. Each is worked off in the order things came in, so an answer is written before
// its task's release is looked at; and what was told of a task before it came to be marked is written before its mark.
struct Journal::Impl {
  Impl(const Options& chosen, Recovery recovered)
      : options(chosen), recovery(std::move(recovered)), left(recovery.left()), segments(chosen, counters) {}

  void run();
  void write_group(Task* first_to_save, Task* first_to_mark);
  [[nodiscard]] Result<void> save_and_mark(std::span<Task* const> saving, std::span<Task* const> leaving);
  [[nodiscard]] Result<std::uint64_t> add_tasks(std::span<Task* const> saving);
  [[nodiscard]] Result<void> make_safe();
  void be_safe_within(std::chrono::milliseconds delay);
  void apply(Message* first);
  void write_answers(Message& message);
  void write_settled(Message& message);
  [[nodiscard]] bool write_notes(Message& message);
  void release_note(std::uint64_t mark);
  void release_marks(const Message::Marks& marks);
  void drain_messages();
  void send(std::unique_ptr<Message> message) noexcept;
  void send_forgotten() noexcept;
  void settle(Result<void> result);

  const Options options;
  Recovery recovery;                   // the thread that calls next()
  std::unique_ptr<Message> forgotten;  // the same; marks that are to go together
  bool streamed = false;               // the same; next() has come to its end
  const Left left;
  Counters counters;
  MessagePool pool;
  Inbox<Task> tasks;
  Inbox<Task> to_mark;
  Inbox<Message> messages;

  std::atomic<bool> cancelled{false};         // set once by cancel(), read by the writer
  std::atomic<bool> stopping{false};          // set once by stop(), read by the writer
  std::atomic<std::uint64_t> next_ticket{1};  // taken by note_answers() and note_settled(); only has to be unique
  std::atomic<std::uint64_t> room{0};  // given by give_room(), taken by the writer: tasks to mark with their save
  Counter queued_answer_bytes;         // added by note_answers(), subtracted by the writer
  Counter taken, begun, given_back;    // tasks: take(), the writer, the writer
  LatencyHistogram latency;            // written by the writer

  struct Ticket {
    std::uint64_t segment = 0;
    std::uint64_t live = 0;  // notes under it that are of use
  };
  std::pmr::unsynchronized_pool_resource ticket_memory;
  std::pmr::unordered_map<std::uint64_t, Ticket> tickets{&ticket_memory};
  Segments segments;
  std::vector<Task*> group, marking;
  ByteBuffer marks;
  std::optional<Error> broken;               // why nothing is written any more
  std::optional<Clock::time_point> safe_by;  // some records are not yet as safe as they shall be by then
  StageSink* sink = nullptr;
  SendSink* sender = nullptr;  // set by attach_sender(); published with the first task or room that comes after it
  bool stopped = false;
  std::thread writer;
};

void Journal::Impl::run() {
  for (;;) {
    // acquire [J1]: what was put in before stop() is seen by the take_all() below
    const bool last_round = stopping.load(std::memory_order_acquire);
    Task* leaving = to_mark.take_all();  // before the messages: see above
    Message* message = messages.take_all();
    Task* task = tasks.take_all();
    if (message != nullptr) apply(message);
    if (task != nullptr || leaving != nullptr) write_group(task, leaving);
    segments.reap();
    if (message != nullptr || task != nullptr || leaving != nullptr) continue;
    if (safe_by && (last_round || Clock::now() >= *safe_by)) {
      safe_by.reset();
      settle(options.durability == Durability::sync ? segments.sync() : segments.flush());
    }
    if (last_round) return;
    tasks.wait(safe_by.value_or(Clock::time_point::max()));
  }
}

void Journal::Impl::settle(Result<void> result) {
  if (!result && !broken) broken = std::move(result.error());
}

namespace {

void collect(Task* first, std::vector<Task*>& out) {
  out.clear();
  for (Task* task = first; task != nullptr; task = task->link) out.push_back(task);
}

void give_up_all(std::span<Task* const> tasks, const Error& why) {
  for (Task* task : tasks) task->give_up(why);
}

}  // namespace

void Journal::Impl::write_group(Task* first_to_save, Task* first_to_mark) {
  collect(first_to_save, group);
  collect(first_to_mark, marking);
  begun.add(group.size());
  std::span<Task* const> saving = group;
  if (cancelled.load(std::memory_order_relaxed)) {  // relaxed: a group that just misses it is saved, which is as good
    give_up_all(group, {ErrorCode::cancelled, "the run is stopping; the task was not accepted", 0});
    saving = {};
  }
  if (!broken) settle(save_and_mark(saving, marking));
  if (broken) {
    give_up_all(saving, *broken);
    give_up_all(marking, *broken);
  } else if (!saving.empty()) {
    latency.record_batch(saving, Clock::now(), [](const Task* task) { return task->admitted; });
  }
  given_back.add(group.size());
  if (!group.empty()) sink->done(group);
  if (!marking.empty()) sender->may_send(marking);
}

Result<std::uint64_t> Journal::Impl::add_tasks(std::span<Task* const> saving) {
  std::uint64_t saved = 0;
  for (Task* task : saving) {
    const std::uint64_t bytes = record_bytes(task->request);
    if (bytes > options.record_bytes_max) {
      task->give_up({ErrorCode::usage,
                     "the task takes " + std::to_string(bytes) + " bytes in the journal, more than the " +
                         std::to_string(options.record_bytes_max) + " allowed",
                     0});
      continue;
    }
    auto number = segments.add_task(task->request);
    if (!number) return number;
    task->save_mark = *number;
    task->answer_mark = task->sent_mark = 0;
    ++saved;
  }
  return saved;
}

Result<void> Journal::Impl::save_and_mark(std::span<Task* const> saving, std::span<Task* const> leaving) {
  if (saving.empty() && leaving.empty()) return {};
  auto saved = add_tasks(saving);
  if (!saved) return std::unexpected(std::move(saved.error()));
  // All marks of the group lie together behind its tasks.
  marks.clear();
  for (const Task* task : leaving) append_mark(marks, Kind::sent, task->request.task_id);
  const std::uint64_t places = room.load(std::memory_order_acquire);  // acquire [J2]: its giver is attached
  std::uint64_t with_save = 0;
  for (auto task = saving.begin(); task != saving.end() && with_save < places; ++task) {
    if ((*task)->fate != Fate::live) continue;
    append_mark(marks, Kind::sent, (*task)->request.task_id);
    (*task)->sent = true;
    ++with_save;
  }
  if (with_save != 0) room.fetch_sub(with_save, std::memory_order_relaxed);  // relaxed: only counts
  if (!marks.empty()) {
    auto number = segments.add_notes(std::as_const(marks).bytes(), leaving.size() + with_save);
    if (!number) return std::unexpected(std::move(number.error()));
    for (Task* task : leaving) {
      release_note(task->sent_mark);
      task->sent_mark = *number;
      task->sent = true;
    }
    for (Task* task : saving)
      if (task->sent) task->sent_mark = *number;
  }
  if (auto safe = make_safe(); !safe) return safe;
  for (Task* task : saving)
    if (task->fate == Fate::live) task->saved = true;
  counters.tasks.add(*saved);
  counters.sent.add(leaving.size() + with_save);
  counters.sent_with_save.add(with_save);
  if (!saving.empty()) counters.groups.add(1);
  return {};
}

/// As safe as what is accepted has to be.
Result<void> Journal::Impl::make_safe() {
  switch (options.durability) {
    case Durability::sync: safe_by.reset(); return segments.sync();
    case Durability::flush: return segments.flush();
    case Durability::none: be_safe_within(kBufferDelay); return {};
  }
  return {};
}

void Journal::Impl::be_safe_within(std::chrono::milliseconds delay) {
  if (!safe_by) safe_by = Clock::now() + delay;
}

void Journal::Impl::apply(Message* first) {
  bool wrote = false;
  while (first != nullptr) {
    std::unique_ptr<Message> message(std::exchange(first, first->link));
    switch (message->kind) {
      case Message::Kind::answers:
        write_answers(*message);
        wrote = true;
        break;
      case Message::Kind::settled:
        write_settled(*message);
        wrote = true;
        break;
      case Message::Kind::release:
        for (const auto& its : message->marks) release_marks(its);
        break;
      case Message::Kind::passed: segments.unpin(message->segment, message->count); break;
    }
    pool.give(std::move(message));
  }
  if (!wrote || broken) return;
  if (options.durability == Durability::none) return be_safe_within(kBufferDelay);
  // In the kernel's hands they survive our death; the disk has them with the next group or when the delay is over.
  settle(segments.flush());
  if (options.durability == Durability::sync) be_safe_within(kNoteSyncDelay);
}

bool Journal::Impl::write_notes(Message& message) {
  if (broken) return false;
  auto number = segments.add_notes(std::as_const(message.bytes).bytes(), message.count);
  if (!number) {
    broken = std::move(number.error());
    return false;
  }
  tickets[message.ticket] = {*number, message.count};
  return true;
}

void Journal::Impl::write_answers(Message& message) {
  queued_answer_bytes.subtract(message.bytes.size());
  (write_notes(message) ? counters.answers : counters.answers_dropped).add(message.count);
}

void Journal::Impl::write_settled(Message& message) {
  if (!write_notes(message)) return;  // then the older marks stay, which is the safe side
  counters.settled.add(message.count);
  for (const auto& older : message.marks) release_note(older.sent);
}

void Journal::Impl::release_note(std::uint64_t mark) {
  if (mark == 0) return;
  if ((mark & kTicketBit) == 0) return segments.release_note(mark);
  const auto at = tickets.find(mark);
  if (at == tickets.end()) return;  // could not be written
  segments.release_note(at->second.segment);
  if (--at->second.live == 0) tickets.erase(at);
}

void Journal::Impl::release_marks(const Message::Marks& its) {
  segments.release_task(its.save);
  release_note(its.answer);
  release_note(its.sent);
}

void Journal::Impl::send(std::unique_ptr<Message> message) noexcept {
  Message* node = message.release();
  if (messages.push({&node, 1})) tasks.ring();  // the writer sleeps on the tasks' bell
}

void Journal::Impl::send_forgotten() noexcept {
  if (forgotten) send(std::move(forgotten));
}

void Journal::Impl::drain_messages() {
  if (Message* message = messages.take_all()) apply(message);
}

Journal::Journal(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

Journal::~Journal() {
  if (!impl_->stopped) stop();
}

Result<std::unique_ptr<Journal>> Journal::open(const Options& options) {
  if (auto valid = options.validate(); !valid) return std::unexpected(std::move(valid.error()));
  if (auto made = make_folder(options.folder); !made) return std::unexpected(std::move(made.error()));
  auto recovery = Recovery::open(options.folder);
  if (!recovery) return std::unexpected(std::move(recovery.error()));
  auto impl = std::make_unique<Impl>(options, std::move(*recovery));
  if (auto opened = impl->segments.open(impl->recovery.next_number()); !opened)
    return std::unexpected(std::move(opened.error()));
  for (const LeftSegment& segment : impl->recovery.segments())
    if (!segment.empty()) impl->segments.adopt(segment.name.number, segment.tasks);
  return std::unique_ptr<Journal>(new Journal(std::move(impl)));
}

Left Journal::left() const noexcept { return impl_->left; }

Result<bool> Journal::next(Recovered& recovered) {
  auto more = impl_->recovery.next(recovered);
  if (!more || !*more) {
    impl_->streamed = true;
    impl_->send_forgotten();
  }
  for (const Passed& passed : impl_->recovery.take_passed()) {
    auto message = impl_->pool.take();
    message->kind = Message::Kind::passed;
    message->segment = passed.segment;
    message->count = passed.notes_used;
    impl_->send(std::move(message));
  }
  return more;
}

void Journal::forget(const Recovered& recovered) noexcept {
  auto& forgotten = impl_->forgotten;
  if (!forgotten) {
    forgotten = impl_->pool.take();
    forgotten->kind = Message::Kind::release;
  }
  forgotten->marks.push_back({recovered.save_mark, recovered.answer_mark, recovered.sent_mark});
  if (impl_->streamed || forgotten->marks.size() >= kForgetTogether) impl_->send_forgotten();
}

Stats Journal::stats() const noexcept {
  const Counters& counters = impl_->counters;
  Stats stats;
  stats.tasks = counters.tasks.read();
  stats.sent_with_save = counters.sent_with_save.read();
  stats.sent = counters.sent.read();
  stats.settled = counters.settled.read();
  stats.answers = counters.answers.read();
  stats.answers_dropped = counters.answers_dropped.read();
  stats.groups = counters.groups.read();
  stats.syncs = counters.syncs.read();
  stats.bytes = counters.bytes.read();
  stats.segments_made = counters.segments_made.read();
  stats.segments_reused = counters.segments_reused.read();
  stats.segments_removed = counters.segments_removed.read();
  return stats;
}

void Journal::attach(StageSink& sink) {
  impl_->sink = &sink;
  impl_->writer = std::thread([impl = impl_.get()] {
    name_this_thread("pawl-journal");
    impl->run();
  });
}

void Journal::take(std::span<Task* const> tasks) noexcept {
  impl_->taken.add(tasks.size());
  impl_->tasks.push(tasks);
}

void Journal::cancel(Cancel) noexcept {
  // Both kinds mean the same here: what is being written is done in a moment, what is not is not worth writing.
  impl_->cancelled.store(true, std::memory_order_relaxed);  // relaxed: see save()
}

void Journal::stop() noexcept {
  if (impl_->stopped) return;
  impl_->stopped = true;
  impl_->send_forgotten();
  if (impl_->writer.joinable()) {
    impl_->stopping.store(true, std::memory_order_release);  // release [J1]
    impl_->tasks.ring();
    impl_->writer.join();
  } else {
    impl_->drain_messages();  // never attached: there may be forgotten tasks to account for
  }
  impl_->segments.finish(impl_->broken ? Ending::broken : Ending::whole);
}

StageGauge Journal::gauge() const noexcept {
  const std::uint64_t given_back = impl_->given_back.read();
  const std::uint64_t begun = std::max(given_back, impl_->begun.read());
  const std::uint64_t taken = std::max(begun, impl_->taken.read());
  return {.waiting = taken - begun, .active = begun - given_back, .delayed = 0};
}

const LatencyHistogram* Journal::latency() const noexcept { return &impl_->latency; }

void Journal::note_answers(std::span<Task* const> tasks) noexcept {
  auto message = impl_->pool.take();
  message->kind = Message::Kind::answers;
  message->count = 0;
  // relaxed: a ticket only has to be unique
  message->ticket = impl_->next_ticket.fetch_add(1, std::memory_order_relaxed) | kTicketBit;
  const std::uint64_t queued = impl_->queued_answer_bytes.read();
  for (Task* task : tasks) {
    if (task->outcome.kind == Outcome::Kind::none || task->answer_mark != 0) continue;
    const std::uint64_t bytes = record_bytes(task->outcome);
    if (bytes > impl_->options.record_bytes_max ||
        queued + message->bytes.size() + bytes > impl_->options.answer_bytes_queued_max) {
      impl_->counters.answers_dropped.add(1);
      continue;
    }
    append_answer(message->bytes, task->request.task_id, task->outcome);
    task->answer_mark = message->ticket;
    ++message->count;
  }
  if (message->count == 0) return impl_->pool.give(std::move(message));
  impl_->queued_answer_bytes.add(message->bytes.size());
  impl_->send(std::move(message));
}

void Journal::attach_sender(SendSink& sender) noexcept { impl_->sender = &sender; }

void Journal::give_room(std::uint64_t calls) noexcept {
  impl_->room.fetch_add(calls, std::memory_order_release);  // release [J2]
}

void Journal::note_sending(std::span<Task* const> tasks) noexcept {
  if (impl_->to_mark.push(tasks)) impl_->tasks.ring();  // the writer sleeps on the tasks' bell
}

void Journal::note_settled(std::span<Task* const> tasks) noexcept {
  auto message = impl_->pool.take();
  message->kind = Message::Kind::settled;
  message->count = 0;
  // relaxed: a ticket only has to be unique
  message->ticket = impl_->next_ticket.fetch_add(1, std::memory_order_relaxed) | kTicketBit;
  for (Task* task : tasks) {
    if (!task->sent) continue;
    append_mark(message->bytes, Kind::settled, task->request.task_id);
    message->marks.push_back({.save = 0, .answer = 0, .sent = std::exchange(task->sent_mark, message->ticket)});
    task->sent = false;
    ++message->count;
  }
  if (message->count == 0) return impl_->pool.give(std::move(message));
  impl_->send(std::move(message));
}

void Journal::release(std::span<Task* const> tasks) noexcept {
  if (tasks.empty()) return;
  auto message = impl_->pool.take();
  message->kind = Message::Kind::release;
  for (const Task* task : tasks) message->marks.push_back({task->save_mark, task->answer_mark, task->sent_mark});
  impl_->send(std::move(message));
}

}  // namespace pawl::journal

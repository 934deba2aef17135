// A task: one request, its outcome, and where it stands between the two.
//
// The engine owns every task in a slab and lends it to one stage at a time, so a stage reads and writes the fields
// without synchronisation. Buffers (strings, vectors) keep their capacity when a slot is used again: assign into
// them, do not replace them.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <pawl/error.h>
#include <pawl/export.h>

namespace pawl {

/// Names one accepted task of one repository for ever. Ordered by age.
struct TaskId {
  std::uint64_t run = 0;      // microseconds since 1970-01-01 UTC at which the run that accepted it began
  std::uint64_t ordinal = 0;  // 1, 2, … in the order the run accepted its tasks
  auto operator<=>(const TaskId&) const = default;
};

/// What is asked of the outside world. Spellings are the user's own bytes, never made safe here.
struct Request {
  TaskId task_id;
  std::string stream;                     // not empty; order is kept among tasks of one stream
  std::string id;                         // not empty; (stream, id) is the key, committed once
  std::uint64_t position = 0;             // 0, 1, … place of the key in its stream; decides where its record lies
  std::array<std::uint8_t, 16> digest{};  // of method, url, content_type, headers and body: "the same request"
  std::string method;                     // "POST", "GET", …
  std::string url;                        // absolute, http or https
  std::string content_type;               // empty: no Content-Type header
  std::vector<std::string> headers;       // "Name: value", this task's own; never a secret
  std::string body;                       // empty: none

  /// Bytes this request holds in memory and in the journal, roughly; what byte credits count.
  [[nodiscard]] std::uint64_t bytes() const noexcept {
    std::uint64_t sum = stream.size() + id.size() + method.size() + url.size() + content_type.size() + body.size();
    for (const auto& header : headers) sum += header.size();
    return sum;
  }
};

/// What came back. Written by the call stage; read by everything after it.
struct Outcome {
  enum class Kind : std::uint8_t {
    none,      // not called yet
    answered,  // an HTTP response arrived whole; any status code
    failed,    // no usable response after all attempts: `error_code` and `error_message` say why
  };
  Kind kind = Kind::none;
  int status_code = 0;         // HTTP status (RFC 9110 section 15) of the last response, 0 if there was none
  std::string request_id;      // the server's x-request-id, empty if it sent none
  std::string content_type;    // of the response
  std::string body;            // of the response, as it came (content-coding undone)
  std::string error_code;      // e.g. "connect_failed", "timeout", "response_too_large"; empty when answered
  std::string error_message;   // one sentence for a person
  std::uint32_t attempts = 0;  // calls made, the last one included
  std::chrono::system_clock::time_point started{};  // start of the first attempt
  std::chrono::milliseconds duration{0};            // first attempt's start to last attempt's end

  /// An answer with a 2xx status.
  [[nodiscard]] bool success() const noexcept {
    return kind == Kind::answered && status_code >= 200 && status_code < 300;
  }
  /// Back to `none`, buffers kept.
  void reset() noexcept {
    kind = Kind::none;
    status_code = 0;
    for (std::string* text : {&request_id, &content_type, &body, &error_code, &error_message})
      if (!text->empty()) text->clear();  // most are: then nothing is written
    if (attempts != 0) attempts = 0;
    if (started != decltype(started){}) started = {};
    if (duration.count() != 0) duration = std::chrono::milliseconds{0};
  }
};

/// Whether a task goes on to be committed.
enum class Fate : std::uint8_t {
  live,        // on its way
  unfinished,  // not committed by this run: stopped, or a stage failed. It stays in the journal for `pawl resume`.
};

/// Base of what a stage may hang on a task for a later stage of the same adapter (for example a ready pack entry).
/// Kept on the slot between tasks so that its buffers are used again.
class PAWL_API Attachment {
 public:
  Attachment() = default;
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;
  virtual ~Attachment() = default;
};

struct Task {
  // What the engine and every stage touch comes first, so that a task that passes by costs few cache lines.
  Task* link = nullptr;  // for the stage that holds the task: its own lists and inboxes
  Fate fate = Fate::live;
  bool saved = false;      // durable in the journal (recovered tasks are from the start)
  bool committed = false;  // set by the commit stage: its commit is durable and the branch has moved
  bool unchanged = false;  // set by the commit stage: nothing to commit, the branch held this content already
  bool sent = false;       // a mark is safe (see SendLog): after a crash its call counts as perhaps on its way
  bool in_doubt = false;   // recovered, and its call was perhaps on its way when the process before died
  std::chrono::steady_clock::time_point admitted{};  // set by the engine when it takes the task to its first stage
  Outcome outcome;
  std::uint64_t save_mark = 0;          // the save stage's own: where the request is kept
  std::uint64_t answer_mark = 0;        // the save stage's own: where the answer is kept, 0 if nowhere yet
  std::uint64_t sent_mark = 0;          // the save stage's own: where the newest mark of its call is kept
  std::unique_ptr<Attachment> encoded;  // written by the encoder, read by the commit stage
  Request request;                      // not changed by any stage
  std::optional<Error> error;           // why it is unfinished, set by the stage that gave it up

  /// Marks the task as not committed by this run. The first reason wins.
  void give_up(Error why) {
    if (fate == Fate::unfinished) return;
    fate = Fate::unfinished;
    error = std::move(why);
  }
};

}  // namespace pawl

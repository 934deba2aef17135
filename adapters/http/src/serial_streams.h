// For streams whose calls must not overlap: a call that comes while one of its stream has no outcome yet waits here.
//
// Stands between admission and the wait line, so what waits here takes no place on the wire and holds no other stream
// up. Calls go on in the order in which they came, which is the order of acceptance when all tasks of a stream are
// submitted by one Producer (see Stage::take()). O(1) per call; memory for streams that have a call here, and for those
// that are closed. Not thread-safe; knows nothing of the network.
//
// When not to use it: where only commits must be in order. The pipeline sees to that anyway, and calls that overlap
// are as many times faster as there are of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <pawl/http.h>

#include "wait_line.h"

namespace pawl::http {

class SerialStreams {
 public:
  explicit SerialStreams(StreamCalls calls) noexcept : on_(calls == StreamCalls::serial) {}

  enum class Entry : std::uint8_t {
    go,      // it may be called; leave() is owed
    parked,  // kept here, until leave() or drain() gives it back
    closed,  // never to be called
  };
  /// A call has come.
  [[nodiscard]] Entry enter(Call& call) {
    if (!on_) return Entry::go;
    Stream& stream = find_or_make(call.task->request.stream);
    if (stream.closed) return Entry::closed;
    if (!stream.busy) {
      stream.busy = true;
      return Entry::go;
    }
    stream.parked.push(call);
    ++parked_;
    return Entry::parked;
  }

  /// The call of this stream that went has its outcome, or was given up. Returns the next one, which may go now, or
  /// nullptr.
  [[nodiscard]] Call* leave(std::string_view name) {
    if (!on_) return nullptr;
    const auto found = streams_.find(name);
    if (found == streams_.end()) return nullptr;
    Stream& stream = found->second;
    if (Call* const next = stream.parked.pop()) {
      --parked_;
      return next;
    }
    stream.busy = false;
    if (!stream.closed) forget(found);
    return nullptr;
  }

  /// Whatever comes of this stream from now on must not be called; what waits here already may.
  void close(std::string_view name) {
    if (on_) find_or_make(name).closed = true;
  }

  /// For cancel: takes out every call that waits, stream by stream.
  template <class Give>
  void drain(Give give) {
    CallList all;
    for (auto& [name, stream] : streams_) {
      while (Call* call = stream.parked.pop()) all.push(*call);
    }
    parked_ = 0;
    while (Call* call = all.pop()) give(*call);
  }

  [[nodiscard]] bool on() const noexcept { return on_; }
  /// Calls that wait here.
  [[nodiscard]] std::uint64_t parked() const noexcept { return parked_; }
  /// Streams remembered: with a call that went, or closed.
  [[nodiscard]] std::size_t size() const noexcept { return streams_.size(); }

 private:
  struct Stream {
    bool busy = false;    // a call has gone and not left
    bool closed = false;  // for those to come
    CallList parked;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const noexcept { return std::hash<std::string_view>{}(name); }
  };
  using Map = std::unordered_map<std::string, Stream, Hash, std::equal_to<>>;

  Stream& find_or_make(std::string_view name) {
    if (const auto found = streams_.find(name); found != streams_.end()) return found->second;
    if (spare_.empty()) return streams_.emplace(std::string(name), Stream{}).first->second;
    auto node = std::move(spare_.back());
    spare_.pop_back();
    node.key().assign(name);
    node.mapped() = Stream{};
    return streams_.insert(std::move(node)).position->second;
  }
  void forget(Map::iterator stream) {
    auto node = streams_.extract(stream);
    if (spare_.size() < kSpareMost) spare_.push_back(std::move(node));
  }

  static constexpr std::size_t kSpareMost = 1024;  // so that streams of one task each allocate nothing

  const bool on_;
  std::uint64_t parked_ = 0;
  Map streams_;
  std::vector<Map::node_type> spare_;
};

}  // namespace pawl::http

// One client's connection and the exchange it is in: a request, its plan, its answer. Plain state; loop.cc moves it.
//
// One exchange at a time: what a client pipelines waits in the kernel and in `unread`, so answers keep their order
// and a client that does not read its answers is not read either.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "counts.h"
#include "faults.h"
#include "fd.h"
#include "request_parser.h"
#include "timer_heap.h"

namespace pawl::mockapi {

struct Connection {
  enum class Phase : std::uint8_t {
    reading,    // taking a request
    queued,     // waits for a place among the calls that are worked on
    delaying,   // the answer is ready and waits for its time
    writing,    // the answer goes out, up to `allowed`
    dripping,   // waits for its time to allow more
    lingering,  // our side is shut; reads and drops what the client still sends, so that it can read the answer
  };

  Connection(Fd socket, std::uint32_t its_generation, std::uint64_t max_body_bytes)
      : fd(std::move(socket)), generation(its_generation), parser(max_body_bytes), timer(*this) {}

  Fd fd;
  const std::uint32_t generation;  // tells events of this connection from those of an earlier one on the same number
  Phase phase = Phase::reading;
  bool readable = false;      // edge-triggered: bytes, or the end, may be there to read
  bool writable = true;       // edge-triggered: the kernel may take bytes
  bool peer_closing = false;  // the end is among what is there to read: read until it comes
  RequestParser parser;
  std::string unread;         // bytes of requests after the current one
  std::size_t unread_at = 0;  // those before it are used up
  Timer<Connection> timer;

  std::string out;          // the answer
  std::size_t sent = 0;     // bytes of `out` the kernel has taken
  std::size_t allowed = 0;  // bytes of `out` that may go now
  std::size_t head_size = 0;
  int drips_left = 0;
  unsigned answers = 0;  // sent on this connection

  bool in_call = false;      // the exchange counts as a call
  bool has_place = false;    // the call is one of those that are worked on
  double delay_ms = 0;       // until the answer, once it is
  bool close_after = false;  // close once the answer is out
  int status = 0;
  Fault fault = Fault::none;
  KeyCount* key = nullptr;
};

}  // namespace pawl::mockapi

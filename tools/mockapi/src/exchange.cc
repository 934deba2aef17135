// The part of the loop that leads one connection through its exchanges.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>

#include "loop.h"

namespace pawl::mockapi {
namespace {

constexpr double kLingerMs = 1000;  // how long a client may take to read the last answer and close
constexpr int kDrips = 16;
constexpr std::size_t kKeptCapacity = 16 * 1024;  // of a connection's buffers between exchanges

void forget(std::string& text) noexcept {
  text.clear();
  if (text.capacity() > kKeptCapacity) std::string().swap(text);
}

bool is_control(const Request& request) noexcept {
  return request.path == "/stats" || request.path == "/stats/keys" || request.path == "/stats/reset" ||
         request.path == "/capacity";
}

void append_request_id(std::string& out, std::uint64_t number) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += "x-request-id: req-";
  for (int shift = 60; shift >= 0; shift -= 4) out += kHex[(number >> shift) & 15];
  out += "\r\n";
}

void append_retry_after(std::string& headers, std::chrono::milliseconds wait) {
  // Whole seconds are rounded up: a client that reads only these must not come back too early.
  headers += "Retry-After: ";
  append_number(headers, static_cast<std::uint64_t>((wait.count() + 999) / 1000));
  headers += "\r\nretry-after-ms: ";
  append_number(headers, static_cast<std::uint64_t>(wait.count()));
  headers += "\r\n";
}

}  // namespace

// Goes on until the connection has to wait for its peer or its timer, or is gone.
void Loop::drive(Connection& connection) {
  for (;;) {
    Step step = Step::wait;
    switch (connection.phase) {
      case Connection::Phase::reading: step = read_request(connection); break;
      case Connection::Phase::writing: step = write_answer(connection); break;
      case Connection::Phase::lingering: step = linger(connection); break;
      case Connection::Phase::queued:
      case Connection::Phase::delaying:
      case Connection::Phase::dripping: break;
    }
    if (step != Step::go_on) return;
  }
}

Loop::Step Loop::read_request(Connection& connection) {
  if (connection.unread_at < connection.unread.size())
    return feed(connection, std::string_view(connection.unread).substr(connection.unread_at), true);
  forget(connection.unread);
  connection.unread_at = 0;
  std::string_view bytes;
  const Step step = receive(connection, bytes);
  return step == Step::go_on ? feed(connection, bytes, false) : step;
}

// go_on: `bytes` holds some, in scratch_. An end of what the peer sends closes the connection: between requests it is
// the usual farewell, within one there is nobody who waits for an answer.
Loop::Step Loop::receive(Connection& connection, std::string_view& bytes) {
  if (!connection.readable) return Step::wait;
  const ssize_t got = ::recv(connection.fd.get(), scratch_.data(), scratch_.size(), 0);
  if (got < 0) {
    if (errno == EINTR) return receive(connection, bytes);
    if (errno != EAGAIN && errno != EWOULDBLOCK) return close(connection);
    connection.readable = false;
    return Step::wait;
  }
  if (got == 0) return close(connection);
  // A short read has emptied the socket, and what comes later makes a new edge; but for the end, whose edge is past.
  if (static_cast<std::size_t>(got) < scratch_.size() && !connection.peer_closing) connection.readable = false;
  bytes = std::string_view(scratch_.data(), static_cast<std::size_t>(got));
  return Step::go_on;
}

Loop::Step Loop::feed(Connection& connection, std::string_view bytes, bool from_unread) {
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  RequestParser& parser = connection.parser;
  const std::size_t used = parser.consume(bytes);
  if (from_unread) {
    connection.unread_at += used;
  } else if (used < bytes.size()) {
    connection.unread.assign(bytes.substr(used));
  }
  if (parser.complete()) return begin_exchange(connection);
  if (parser.failed()) {
    refuse(connection);
    return Step::go_on;
  }
  if (parser.take_expectation()) {
    // Nothing else is on its way out, so the kernel takes these few bytes at once, or the connection is broken.
    const ssize_t sent = ::send(connection.fd.get(), kContinue.data(), kContinue.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(kContinue.size())) return close(connection);
  }
  return Step::go_on;
}

Loop::Step Loop::begin_exchange(Connection& connection) {
  const Request& request = connection.parser.request();
  ++connection.answers;
  connection.close_after =
      !request.keep_alive || (options_.close_after > 0 && connection.answers >= options_.close_after);
  connection.fault = Fault::none;
  connection.drips_left = 0;
  answer_.reset();
  if (is_control(request)) {
    answer_control(connection, request);
    put_together(connection, request.method == "HEAD");
    return start_answer(connection);
  }
  begin_call(connection, request);
  const Plan plan = planner_.next(now_);
  if (plan.delay_ms > 0) {
    ++counts_.totals.delayed;
    counts_.totals.delay_ms_sum += plan.delay_ms;
    counts_.totals.delay_ms_max = std::max(counts_.totals.delay_ms_max, plan.delay_ms);
  }
  if (plan.fault != Fault::rate_limited && plan.fault != Fault::error) api_.answer(request, answer_);
  apply_plan(connection, plan);
  connection.delay_ms = plan.delay_ms;
  if (plan.fault == Fault::rate_limited) return start_answer(connection);
  if (capacity_ == 0 || places_taken_ < capacity_) return take_place(connection);
  connection.phase = Connection::Phase::queued;
  queue_.push_back(tag_of(connection));
  ++counts_.totals.queued;
  return Step::wait;
}

// A place is held while the call is worked on, which is its latency; sending the answer takes none.
Loop::Step Loop::take_place(Connection& connection) {
  ++places_taken_;
  connection.has_place = true;
  if (connection.delay_ms <= 0) return start_answer(connection);
  connection.phase = Connection::Phase::delaying;
  set_timer(connection, connection.delay_ms);
  return Step::wait;
}

void Loop::give_place(Connection& connection) noexcept {
  if (!connection.has_place) return;
  connection.has_place = false;
  --places_taken_;
}

void Loop::admit_queued() {
  while (!queue_.empty() && (capacity_ == 0 || places_taken_ < capacity_)) {
    Connection* const connection = find(queue_.front());
    queue_.pop_front();
    if (connection == nullptr || connection->phase != Connection::Phase::queued) continue;
    if (take_place(*connection) == Step::go_on) drive(*connection);
  }
}

void Loop::begin_call(Connection& connection, const Request& request) {
  counts_.entered();
  connection.in_call = true;
  connection.key = nullptr;
  if (options_.stats_per_key && !request.idempotency_key.empty())
    connection.key = &counts_.call_of(request.idempotency_key);
}

void Loop::apply_plan(Connection& connection, const Plan& plan) {
  connection.fault = plan.fault;
  if (plan.fault == Fault::rate_limited) {
    Api::error(answer_, 429, "rate_limit_error", "rate_limit_exceeded", "too many requests");
    append_retry_after(answer_.headers, plan.retry_after);
  } else if (plan.fault == Fault::error) {
    Api::error(answer_, plan.error_code, "server_error", "injected_error", "this error was asked for");
    if (plan.error_code == 429 || (plan.error_code == 503 && options_.retry_after))
      append_retry_after(answer_.headers, plan.retry_after);
  }
  if (plan.fault == Fault::truncated || plan.fault == Fault::dropped) connection.close_after = true;
  const bool head_only = connection.parser.request().method == "HEAD";
  put_together(connection, head_only);
  const std::size_t body = connection.out.size() - connection.head_size;
  // Without a body there is nothing to cut or to drip: a cut answer is then none, a slow one an ordinary one.
  if (body == 0 && plan.fault == Fault::truncated) connection.fault = Fault::dropped;
  if (body == 0 && plan.fault == Fault::slow) connection.fault = Fault::none;
  if (connection.fault == Fault::truncated) {
    connection.out.resize(connection.head_size + body / 2);
    connection.allowed = connection.out.size();
  } else if (connection.fault == Fault::slow) {
    connection.allowed = connection.head_size;
    connection.drips_left = kDrips;
  }
}

void Loop::answer_control(Connection& connection, const Request& request) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (request.path == "/capacity") return answer_capacity(request);
  const bool resets = request.path == "/stats/reset";
  if (resets ? request.method != "POST" : !reads) {
    Api::error(answer_, 405, "invalid_request_error", "method_not_allowed", "this method is not allowed here");
    answer_.headers = resets ? "Allow: POST\r\n" : "Allow: GET, HEAD\r\n";
  } else if (resets) {
    counts_.forget();
    for (auto& other : connections_) {
      if (other) other->key = nullptr;
    }
    answer_.body = "{}\n";
  } else if (request.path == "/stats") {
    counts_.totals.cpu_ms = thread_cpu_ms();
    counts_.append_json(answer_.body);
  } else {
    answer_.content_type = "text/plain";
    counts_.append_key_lines(answer_.body);
  }
  connection.key = nullptr;
}

void Loop::answer_capacity(const Request& request) {
  constexpr unsigned kMost = 1'000'000;
  unsigned wanted = 0;
  const char* const end = request.body.data() + request.body.size();
  const auto [after, error] = std::from_chars(request.body.data(), end, wanted);
  if (request.method == "PUT" && (error != std::errc{} || after != end || wanted > kMost)) {
    return Api::error(answer_, 400, "invalid_request_error", "invalid_capacity", "the body is a number up to 1000000");
  }
  if (request.method != "PUT" && request.method != "GET") {
    Api::error(answer_, 405, "invalid_request_error", "method_not_allowed", "this method is not allowed here");
    answer_.headers = "Allow: GET, PUT\r\n";
    return;
  }
  if (request.method == "PUT") capacity_ = wanted;
  answer_.body = "{\"capacity\":" + std::to_string(capacity_) + "}\n";
}

// Answers what is not HTTP, or too much of it, and closes: where the next request begins is unknown.
void Loop::refuse(Connection& connection) {
  ++counts_.totals.malformed;
  answer_.reset();
  Api::error(answer_, connection.parser.failure_status(), "invalid_request_error", "malformed_request",
             connection.parser.failure_reason());
  connection.fault = Fault::none;
  connection.close_after = true;
  connection.key = nullptr;
  put_together(connection, false);
  connection.phase = Connection::Phase::writing;
}

void Loop::put_together(Connection& connection, bool head_only) {
  std::string& out = connection.out;
  connection.status = answer_.status;
  out = "HTTP/1.1 ";
  append_number(out, static_cast<std::uint64_t>(answer_.status));
  out += ' ';
  out += reason_phrase(answer_.status);
  out += "\r\n";
  if (!answer_.content_type.empty()) out.append("Content-Type: ").append(answer_.content_type).append("\r\n");
  if (answer_.status != 204 && answer_.status != 304) {
    out += "Content-Length: ";
    append_number(out, answer_.body.size());
    out += "\r\n";
  }
  append_request_id(out, ++answer_number_);
  out += answer_.headers;
  if (connection.close_after) {
    out += "Connection: close\r\n";
  } else if (connection.parser.request().http_1_0) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
  connection.head_size = out.size();
  if (!head_only) out += answer_.body;
  connection.sent = 0;
  connection.allowed = out.size();
}

Loop::Step Loop::start_answer(Connection& connection) {
  give_place(connection);
  if (connection.fault == Fault::dropped) {
    ++counts_.totals.dropped;
    --counts_.totals.in_flight;
    connection.in_call = false;
    return close(connection);
  }
  connection.phase = Connection::Phase::writing;
  return Step::go_on;
}

Loop::Step Loop::write_answer(Connection& connection) {
  while (connection.sent < connection.allowed) {
    if (!connection.writable) return Step::wait;
    const ssize_t sent = ::send(connection.fd.get(), connection.out.data() + connection.sent,
                                connection.allowed - connection.sent, MSG_NOSIGNAL);
    if (sent >= 0) {
      connection.sent += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      connection.writable = false;
    } else if (errno != EINTR) {
      return close(connection);
    }
  }
  if (connection.allowed == connection.out.size()) return finish_answer(connection);
  connection.phase = Connection::Phase::dripping;
  set_timer(connection, options_.slow_ms / kDrips);
  return Step::wait;
}

Loop::Step Loop::finish_answer(Connection& connection) {
  if (connection.in_call) {
    connection.in_call = false;
    --counts_.totals.in_flight;
    if (connection.fault == Fault::truncated) {
      ++counts_.totals.truncated;
    } else {
      counts_.answered(connection.status, connection.key);
      if (connection.fault == Fault::slow) ++counts_.totals.slowed;
      if (connection.fault == Fault::error) ++counts_.totals.errors_injected;
      if (connection.fault == Fault::rate_limited) ++counts_.totals.rate_limited;
    }
  }
  forget(connection.out);
  connection.key = nullptr;
  connection.sent = connection.allowed = 0;
  if (connection.close_after) {
    ::shutdown(connection.fd.get(), SHUT_WR);
    connection.phase = Connection::Phase::lingering;
    forget(connection.unread);
    set_timer(connection, kLingerMs);
    return Step::go_on;
  }
  connection.parser.next();
  connection.phase = Connection::Phase::reading;
  return Step::go_on;
}

// Closing with bytes unread would reset the connection, and the client might lose the answer to that.
Loop::Step Loop::linger(Connection& connection) {
  std::string_view dropped;
  return receive(connection, dropped);
}

Loop::Step Loop::on_timer(Connection& connection) {
  switch (connection.phase) {
    case Connection::Phase::delaying: return start_answer(connection);
    case Connection::Phase::dripping: {
      --connection.drips_left;
      const std::size_t rest = connection.out.size() - connection.allowed;
      connection.allowed += rest / static_cast<std::size_t>(connection.drips_left + 1);
      if (connection.drips_left == 0) connection.allowed = connection.out.size();
      connection.phase = Connection::Phase::writing;
      return Step::go_on;
    }
    case Connection::Phase::lingering: return close(connection);
    case Connection::Phase::reading:
    case Connection::Phase::queued:
    case Connection::Phase::writing: break;
  }
  return Step::go_on;
}

}  // namespace pawl::mockapi

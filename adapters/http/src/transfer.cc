#include "transfer.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "curl_version.h"
#include "memory.h"
#include "retry.h"
#include "tls_rest.h"
#include "url.h"

namespace pawl::http {

using std::chrono::milliseconds;

namespace {

// A server may promise much; more than this is set aside only as it arrives.
constexpr std::uint64_t kReserveMax = 1 << 20;
// libcurl allocates its receive buffer anew for each request. A small one stays in the processor's cache from request
// to request; a large one takes a large body with fewer system calls.
constexpr long kSmallBuffer = 4 << 10;
constexpr long kLargeBuffer = 32 << 10;
constexpr std::uint64_t kSmallBody = 3 << 10;  // fits the small buffer together with its headers

long http_version(Version version) noexcept {
  switch (version) {
    case Version::http1_1: return CURL_HTTP_VERSION_1_1;
    case Version::http2: return CURL_HTTP_VERSION_2TLS;
    case Version::http2_prior_knowledge: return CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
  }
  return CURL_HTTP_VERSION_1_1;
}

bool redirecting(int status) noexcept {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool bodiless(std::string_view method, int status) noexcept {
  return method == "HEAD" || status == 204 || status == 304 || status < 200;
}

// Methods whose request says how long its body is even when it has none.
bool states_length(std::string_view method) noexcept {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

}  // namespace

std::unique_ptr<Transfer> Transfer::make(TransferSetup& setup, Wire& wire, unsigned shard) {
  std::unique_ptr<Transfer> transfer(new Transfer(setup, wire, shard));
  if (!transfer->set_up()) return nullptr;
  return transfer;
}

Transfer& Transfer::of(CURL* easy) noexcept {
  void* transfer = nullptr;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
  return *static_cast<Transfer*>(transfer);
}

bool Transfer::set_up() {
  easy_.reset(curl_easy_init());
  url_.reset(curl_url());
  CURL* easy = easy_.get();
  if (easy == nullptr || url_ == nullptr) return false;
  const Options& options = setup_.options;
  wire_.attach(easy);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, this);
  curl_easy_setopt(easy, CURLOPT_CURLU, url_.get());
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_text_.data());
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, &Transfer::on_connected);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, this);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  // Without it, giving up a transfer waits for the thread that looks its name up.
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, http_version(options.version));
  if (options.version != Version::http1_1 && !waits_for_an_answer(curl_version_info(CURLVERSION_NOW)->version_num)) {
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
  }
  curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);  // follow() does it, and knows what must not go along
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  if (setup_.proxies) curl_easy_setopt(easy, CURLOPT_USERAGENT, options.user_agent.c_str());  // for CONNECT
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  if (setup_.connect_to) curl_easy_setopt(easy, CURLOPT_CONNECT_TO, setup_.connect_to.get());
  if (!options.proxy.empty()) curl_easy_setopt(easy, CURLOPT_PROXY, options.proxy.c_str());
  if (!options.unix_socket.empty()) curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, options.unix_socket.c_str());
  if (!setup_.proxies) {
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
  }
  set_up_tls();
  method_ = "GET";
  return true;
}

void Transfer::set_up_tls() {
  CURL* easy = easy_.get();
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  if (setup_.trust != nullptr) return setup_.trust->attach(easy);
  if (setup_.ca_file.empty()) return;
  // A CA directory switches libcurl's cache of parsed certificates off: 37 ms instead of 1.2 ms per connection.
  curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  curl_easy_setopt(easy, CURLOPT_CAINFO, setup_.ca_file.c_str());
}

void Transfer::set_request(std::string_view method, Payload payload) {
  CURL* easy = easy_.get();
  const std::string& body = call_->task->request.body;
  if (payload == Payload::body) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.c_str());  // borrowed until end()
  }
  if (method == method_ && payload == payload_) return;
  method_ = method;
  payload_ = payload;
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, nullptr);
  if (method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (payload == Payload::body) {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 0L);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    if (method != "POST") curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method_.c_str());
  } else {
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    if (method != "GET") curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method_.c_str());
  }
}

void Transfer::clear_response() noexcept {
  Outcome& outcome = call_->task->outcome;
  outcome.body.clear();
  outcome.content_type.clear();
  outcome.request_id.clear();
  status_ = 0;
  status_seen_ = false;
  headers_whole_ = false;
  chunked_ = false;
  too_large_ = false;
  fault_ = {};
  own_request_id_ = false;
  header_bytes_ = 0;
  body_bytes_ = 0;
  body_pieces_ = 0;
  apart_ = false;
  tls_ = nullptr;
  content_length_.reset();
  decoder_.reset();
  retry_after_.reset();
  retry_after_ms_.reset();
  should_retry_.reset();
  limits_.clear();
}

bool Transfer::launch(Leg leg, milliseconds time_max) {
  clear_response();
  leg_ = leg;
  waiting_since_ = {};
  error_text_[0] = '\0';
  if (time_max != time_max_) {
    time_max_ = time_max;
    curl_easy_setopt(easy_.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(time_max.count()));
  }
  // The next body will be much like the last one.
  const long buffer = last_body_bytes_ > kSmallBody ? kLargeBuffer : kSmallBuffer;
  if (buffer != buffer_) {
    buffer_ = buffer;
    curl_easy_setopt(easy_.get(), CURLOPT_BUFFERSIZE, buffer);
  }
  headers_.build(setup_.headers, call_->task->request, leg, payload_);
  curl_easy_setopt(easy_.get(), CURLOPT_HTTPHEADER, headers_.get());
  return wire_.add(easy_.get(), shard_);
}

bool Transfer::begin(Call& call) {
  const Request& request = call.task->request;
  call_ = &call;
  redirects_ = 0;
  left_ = false;
  if (fresh_) curl_easy_setopt(easy_.get(), CURLOPT_FRESH_CONNECT, 0L);
  fresh_ = false;
  origin_.clear();
  begun_ = std::chrono::steady_clock::now();
  if (url_text_ != request.url) {
    url_text_.clear();
    if (!parse_url(url_.get(), request.url, nullptr).empty()) {
      clear_response();
      return false;
    }
    url_text_ = request.url;
  }
  const bool body = request.method != "HEAD" && (!request.body.empty() || states_length(request.method));
  set_request(request.method, body ? Payload::body : Payload::none);
  return launch(Leg::own_origin, setup_.options.time_max);
}

Failure Transfer::follow(const std::string& url) {
  if (++redirects_ > kRedirectsMax) return Failure::too_many_redirects;
  const Request& request = call_->task->request;
  wire_.remove(easy_.get(), shard_);
  if (origin_.empty() && !parse_url(url_.get(), request.url, &origin_).empty()) return Failure::bad_url;
  url_text_.clear();
  std::string origin;
  if (!parse_url(url_.get(), url, &origin).empty()) return Failure::bad_redirect;
  url_text_ = url;
  // RFC 9110 section 15.4: 303 asks for a GET; 301 and 302 turn a POST into one, as every client does.
  const bool get = (status_ == 303 && method_ != "HEAD") || ((status_ == 301 || status_ == 302) && method_ == "POST");
  const std::string method = get ? "GET" : method_;
  set_request(method, get ? Payload::none : payload_);
  const auto left = time_left();
  if (!left) return Failure::timeout;
  return launch(origin == origin_ ? Leg::own_origin : Leg::other_origin, *left) ? Failure::none : Failure::call_failed;
}

std::optional<milliseconds> Transfer::time_left() const noexcept {
  const auto spent = std::chrono::floor<milliseconds>(std::chrono::steady_clock::now() - begun_);
  const auto left = setup_.options.time_max - spent;
  if (left <= milliseconds(0)) return std::nullopt;
  return left;
}

bool Transfer::stale(CURLcode code) const noexcept {
  switch (code) {
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: break;
    default: return false;
  }
  long connections = 0;  // opened for it
  return !fresh_ && header_bytes_ == 0 && body_bytes_ == 0 &&
         curl_easy_getinfo(easy_.get(), CURLINFO_NUM_CONNECTS, &connections) == CURLE_OK && connections == 0;
}

Failure Transfer::again() {
  wire_.remove(easy_.get(), shard_);
  fresh_ = true;
  curl_easy_setopt(easy_.get(), CURLOPT_FRESH_CONNECT, 1L);
  const auto left = time_left();
  if (!left) return Failure::timeout;
  return launch(leg_, *left) ? Failure::none : Failure::call_failed;
}

void Transfer::end() noexcept {
  last_body_bytes_ = body_bytes_;
  wire_.remove(easy_.get(), shard_);
  call_ = nullptr;
}

std::string Transfer::redirect() const {
  if (!redirecting(status_)) return {};
  char* url = nullptr;
  if (curl_easy_getinfo(easy_.get(), CURLINFO_REDIRECT_URL, &url) != CURLE_OK || url == nullptr) return {};
  return url;
}

bool Transfer::answer_whole() const noexcept {
  if (!headers_whole_ || status_ < 200 || (decoder_ && !decoder_->whole())) return false;
  return bodiless(method_, status_) || (!chunked_ && content_length_ == body_bytes_);
}

Failure Transfer::conclude(CURLcode code) {
  const bool memory_failed = take_allocation_failure();
  if (too_large_) return Failure::response_too_large;
  if (!fault_.empty()) return Failure::bad_response;
  if (code == CURLE_OK) {
    // libcurl takes a connection that closes between two header lines for the end of a response, and compressed bodies
    // as they come.
    if (!headers_whole_ || status_ < 200 || (decoder_ && !decoder_->whole())) return Failure::truncated;
    // What came at once has been looked through to its end by libcurl.
    if (body_pieces_ != 1 || chunked_ || apart_ || tls_ != nullptr) wire_.check_idle(easy_.get(), tls_);
    return Failure::none;
  }
  if (code == CURLE_HTTP2) wire_.give_up_idle(easy_.get());
  // The server answered before it had the whole request, and took no more of it.
  if ((code == CURLE_SEND_ERROR || code == CURLE_OPERATION_TIMEDOUT) && answer_whole()) return Failure::none;
  long connect_status = 0;
  if (curl_easy_getinfo(easy_.get(), CURLINFO_HTTP_CONNECTCODE, &connect_status) == CURLE_OK && connect_status >= 300) {
    return connect_status < 500 && !transient_status(static_cast<int>(connect_status)) ? Failure::proxy_refused
                                                                                       : Failure::proxy_failed;
  }
  if (code == CURLE_OUT_OF_MEMORY && !memory_failed && error_text_[0] == '\0') {
    fault_ = "a header line is larger than libcurl takes";
    return Failure::bad_response;
  }
  // The socket is well, so it is the body that is not: chunks that are none, TLS that ends without saying so.
  if (code == CURLE_RECV_ERROR && headers_whole_ && !std::string_view(error_text_.data()).starts_with("Recv failure")) {
    return Failure::truncated;
  }
  if (code == CURLE_OPERATION_TIMEDOUT && std::string_view(error_text_.data()).starts_with("Resolving timed out")) {
    return Failure::look_up_timeout;
  }
  return classify(code);
}

std::string Transfer::failure_text(Failure failure, CURLcode code) const {
  switch (failure) {
    case Failure::response_too_large:
      return "the response is larger than the limit of " + std::to_string(setup_.options.response_bytes_max) + " bytes";
    case Failure::too_many_redirects: return "more than " + std::to_string(kRedirectsMax) + " redirects";
    case Failure::truncated:
      if (code != CURLE_OK) break;
      return headers_whole_ && status_ >= 200 ? "the compressed body stops in its middle"
                                              : "the connection closed within the response's headers";
    case Failure::bad_redirect: return "a redirect leads to a URL that is not usable http or https";
    default: break;
  }
  if (!fault_.empty()) return "the response cannot be taken: " + std::string(fault_);
  std::string text = error_text_[0] != '\0' ? error_text_.data() : curl_easy_strerror(code);
  setup_.secrets.hide_in_message(text);
  return text;
}

std::optional<milliseconds> Transfer::retry_after() const noexcept {
  return retry_after_ms_ ? retry_after_ms_ : retry_after_;
}

bool Transfer::refuse(std::string_view fault) noexcept {
  fault_ = fault;
  return false;
}

std::optional<std::chrono::steady_clock::time_point> Transfer::patience_ends() const noexcept {
  const Options& options = setup_.options;
  const auto limit = header_bytes_ == 0 ? options.first_byte_time_max : options.idle_time_max;
  if (waiting_since_ == decltype(waiting_since_){} || limit.count() == 0) return std::nullopt;
  return waiting_since_ + limit;
}

void Transfer::lose_patience() noexcept {
  const Options& options = setup_.options;
  if (header_bytes_ == 0) {
    std::snprintf(error_text_.data(), error_text_.size(), "no byte of the response within %lld ms of the request",
                  static_cast<long long>(options.first_byte_time_max.count()));
  } else {
    std::snprintf(error_text_.data(), error_text_.size(), "no further byte of the response for %lld ms",
                  static_cast<long long>(options.idle_time_max.count()));
  }
}

bool Transfer::take_header(std::string_view line) noexcept {
  if (setup_.options.idle_time_max.count() > 0) waiting_since_ = std::chrono::steady_clock::now();
  static_assert(kHeaderBytesMax == 256 << 10);
  header_bytes_ += line.size();
  if (header_bytes_ > kHeaderBytesMax) return refuse("its headers are larger than 256 KiB");
  if (headers_whole_ && status_ >= 200) return true;  // a trailer
  const bool folded = line.starts_with(' ') || line.starts_with('\t');
  line = trim(line);
  // A lone CR ends a line for some and not for others (RFC 9112 section 2.2).
  if (line.find('\r') != std::string_view::npos) return refuse("a header has a carriage return in it");
  if (!status_seen_ || headers_whole_) return take_status_line(line);
  if (folded) return true;  // the rest of a value (RFC 9112 section 5.2) that we do not need
  if (line.empty()) {
    headers_whole_ = true;
    headers_act_ = wire_.acts();
    return status_ != 101 || refuse("it changes to a protocol that nobody asked for");
  }
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return true;
  return take_field(line.substr(0, colon), trim(line.substr(colon + 1)));
}

bool Transfer::take_status_line(std::string_view line) noexcept {
  // A new response: what an interim one (1xx) said is void.
  const auto header_bytes = header_bytes_;
  clear_response();
  header_bytes_ = header_bytes;
  status_seen_ = true;
  if (setup_.options.version == Version::http1_1 && !line.starts_with("HTTP/1."))
    return refuse("it is not in HTTP/1.1");
  const auto space = line.find(' ');
  if (space != std::string_view::npos) {
    std::from_chars(line.data() + space + 1, line.data() + line.size(), status_);
  }
  return (status_ >= 100 && status_ <= 999) || refuse("it has no status of three digits");
}

bool Transfer::take_field(std::string_view name, std::string_view value) {
  Outcome& outcome = call_->task->outcome;
  if (same_name(name, "content-type")) {
    outcome.content_type = value;
  } else if (same_name(name, "x-request-id")) {
    outcome.request_id = value;
    own_request_id_ = true;
  } else if (same_name(name, "request-id")) {
    if (!own_request_id_) outcome.request_id = value;
  } else if (same_name(name, "retry-after")) {
    retry_after_ = parse_retry_after(value, std::chrono::system_clock::now());
  } else if (same_name(name, "retry-after-ms")) {
    retry_after_ms_ = parse_retry_after_ms(value);
  } else if (same_name(name, "x-should-retry")) {
    if (same_name(value, "true")) should_retry_ = true;
    if (same_name(value, "false")) should_retry_ = false;
  } else if (limits_.take(name, value)) {
    return true;
  } else if (bodiless(method_, status_)) {
    return true;  // what describes a body describes another one
  } else if (same_name(name, "content-length")) {
    return take_content_length(value);
  } else if (same_name(name, "transfer-encoding")) {
    chunked_ = true;
  } else if (same_name(name, "content-encoding")) {
    const Coding coding = parse_coding(value);
    if (coding == Coding::identity) return true;
    if (coding == Coding::unknown || decoder_) return refuse("its content coding is neither gzip nor deflate");
    decoder_.emplace(coding);
  }
  return true;
}

bool Transfer::take_content_length(std::string_view value) noexcept {
  std::uint64_t length = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
  if (error == std::errc::invalid_argument || end != value.data() + value.size()) {
    return refuse("its Content-Length is not a number");
  }
  // RFC 9110 section 8.6: who believes one and who believes the other disagree on where the next response begins.
  if (content_length_ && *content_length_ != length) return refuse("it has two different Content-Lengths");
  too_large_ = error == std::errc::result_out_of_range || length > setup_.options.response_bytes_max;
  if (too_large_) return false;
  content_length_ = length;
  call_->task->outcome.body.reserve(std::min(length, kReserveMax));
  return true;
}

bool Transfer::take_body(std::string_view bytes) noexcept {
  std::string& body = call_->task->outcome.body;
  if (setup_.options.idle_time_max.count() > 0) waiting_since_ = std::chrono::steady_clock::now();
  const std::uint64_t most = setup_.options.response_bytes_max;
  body_bytes_ += bytes.size();
  if (++body_pieces_ == 1) {
    apart_ = wire_.acts() != headers_act_;
    tls_ = tls_session(easy_.get());
  }
  if (decoder_) {
    const auto verdict = decoder_->feed(bytes, body, most);
    if (verdict == ContentDecoder::Verdict::damaged) return refuse("its compressed body is damaged");
    too_large_ = verdict == ContentDecoder::Verdict::full;
    return !too_large_;
  }
  if (bytes.size() > most - body.size()) {
    too_large_ = true;
    return false;
  }
  body.append(bytes);
  return true;
}

std::size_t Transfer::on_header(char* bytes, std::size_t size, std::size_t count, void* transfer) noexcept {
  const std::size_t length = size * count;
  return static_cast<Transfer*>(transfer)->take_header({bytes, length}) ? length : 0;
}

std::size_t Transfer::on_body(char* bytes, std::size_t size, std::size_t count, void* transfer) noexcept {
  const std::size_t length = size * count;
  return static_cast<Transfer*>(transfer)->take_body({bytes, length}) ? length : 0;
}

int Transfer::on_connected(void* transfer, char*, char*, int, int) noexcept {
  auto& self = *static_cast<Transfer*>(transfer);
  self.left_ = true;
  if (self.setup_.waits_with_limit()) self.waiting_since_ = std::chrono::steady_clock::now();
  self.setup_.on_connected(self.setup_.owner, *self.call_->host);
  return CURL_PREREQFUNC_OK;
}

}  // namespace pawl::http

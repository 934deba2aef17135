// WebServer with civetweb: it reads requests and writes answers; what is answered is decided here. Nothing of its own
// (files, CGI, CORS, passwords) is used: every request goes to begin_request.
#include <civetweb.h>
#include <netdb.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <fstream>
#include <mutex>
#include <optional>
#include <sstream>
#include <thread>

#include <pawl/thread.h>
#include <pawl/web.h>

#include "history.h"
#include "thread_signals.h"
#include "unique_fd.h"
#include "web_guard.h"
#include "web_page.h"

namespace pawl::observe {

namespace {

constexpr std::chrono::milliseconds kSampleEvery{1000};
constexpr std::chrono::milliseconds kFreshFor{100};  // however many ask, the run is not looked at more often

struct WebAnswer {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  std::string more_headers;
};

std::string header_of(const mg_connection* connection, const char* name) {
  const char* value = mg_get_header(connection, name);
  return value == nullptr ? std::string() : value;
}

std::string random_word() {
  std::array<unsigned char, 16> bytes{};
  for (std::size_t got = 0; got < bytes.size();) {
    const ssize_t more = ::getrandom(bytes.data() + got, bytes.size() - got, 0);
    if (more > 0) got += static_cast<std::size_t>(more);
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string word;
  for (const unsigned char byte : bytes) (word += kDigits[byte >> 4]) += kDigits[byte & 15];
  return word;
}

std::string for_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

void put_in(std::string& text, std::string_view field, std::string_view value) {
  for (auto at = text.find(field); at != std::string::npos; at = text.find(field, at + value.size()))
    text.replace(at, field.size(), value);
}

std::string content_of(const char* file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Why nobody can listen there; empty if one can. The server's library says only that it cannot.
std::string why_not(const ListenAddress& listen) {
  addrinfo wanted{};
  wanted.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int unknown = ::getaddrinfo(listen.host.c_str(), std::to_string(listen.port).c_str(), &wanted, &found);
  if (unknown != 0) return ::gai_strerror(unknown);
  const UniqueFd fd(::socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, found->ai_protocol));
  const int yes = 1;
  if (fd.get() >= 0) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const bool can =
      fd.get() >= 0 && ::bind(fd.get(), found->ai_addr, found->ai_addrlen) == 0 && ::listen(fd.get(), 1) == 0;
  const int why = errno;
  ::freeaddrinfo(found);
  return can ? std::string() : std::strerror(why);
}

// Another user of this machine can read the page, so the token alone does not say who asks.
bool is_own_user(const mg_connection* connection, unsigned own_port) {
  const auto peer = static_cast<unsigned>(mg_get_request_info(connection)->remote_port);
  return connection_is_of(content_of("/proc/net/tcp") + content_of("/proc/net/tcp6"), peer, own_port, ::geteuid());
}

const char* words_for(int status) {
  switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    default: return "Service Unavailable";
  }
}

}  // namespace

struct WebServer::Impl {
  std::string title;
  std::string url;
  std::string bound_host;
  unsigned port = 0;
  WebPolicy policy;
  std::string problem;  // what civetweb says while it starts; open()'s thread only, and so are the next two
  const std::thread::id opener = std::this_thread::get_id();
  bool starting = true;
  mg_context* server = nullptr;
  std::atomic<Steering*> borrowed_steering{nullptr};

  std::mutex mutex;  // guards what follows; nobody waits for it but who looks at the run
  std::condition_variable ending;
  bool ended = false;
  std::function<RunView()> sample;
  std::optional<RunView> last;
  std::chrono::steady_clock::time_point last_at;
  Pace pace;
  History history;
  std::thread sampler;

  /// `mutex` is held. None before start().
  const std::optional<RunView>& view() {
    const auto now = std::chrono::steady_clock::now();
    if (sample && (!last || now - last_at >= kFreshFor)) {
      last = sample();
      last_at = now;
      pace.update(*last);
      history.add(*last);
    }
    return last;
  }

  void keep_history() {
    name_this_thread("pawl-web");
    std::unique_lock lock(mutex);
    while (!ended) {
      static_cast<void>(view());
      ending.wait_for(lock, kSampleEvery, [this] { return ended; });
    }
  }

  std::optional<WebAnswer> read(std::string_view path) {
    const std::lock_guard lock(mutex);
    const auto& now = view();
    const bool known = path == "/metrics" || path == "/status.json" || path == "/history.json";
    if (!known) return std::nullopt;
    if (!now) return WebAnswer{503, "text/plain; charset=utf-8", "the run is about to begin\n", "Retry-After: 1\r\n"};
    if (path == "/metrics") return WebAnswer{200, "text/plain; version=0.0.4; charset=utf-8", to_prometheus(*now), {}};
    return WebAnswer{200, "application/json", path == "/status.json" ? to_json(*now) : history.to_json(), {}};
  }

  WebAnswer page() const {
    const std::string nonce = random_word();
    WebAnswer answer{200, "text/html; charset=utf-8", std::string(web_page()), {}};
    put_in(answer.body, "{nonce}", nonce);
    put_in(answer.body, "{token}", policy.loopback ? policy.token : std::string());
    put_in(answer.body, "{title}", for_html(title));
    answer.more_headers =
        "Content-Security-Policy: default-src 'none'; script-src 'nonce-" + nonce + "'; style-src 'nonce-" + nonce +
        "'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n";
    return answer;
  }

  WebAnswer steer(std::string_view path, const mg_connection* connection) {
    Steering* const steering = borrowed_steering.load(std::memory_order_acquire);  // acquire [W1]: pairs with start()
    if (steering == nullptr) return {503, "text/plain; charset=utf-8", "this run cannot be steered here\n", {}};
    if (path != "/pause" && path != "/resume" && path != "/drain") return {404, {}, {}, {}};
    if (!is_own_user(connection, port))
      return {403, "text/plain; charset=utf-8", "the run belongs to another user\n", {}};
    if (path == "/pause") steering->pause();
    if (path == "/resume") steering->resume();
    if (path == "/drain") steering->drain();
    return {204, {}, {}, {}};
  }

  WebAnswer answer(mg_connection* connection) {
    const mg_request_info* info = mg_get_request_info(connection);
    const std::string path = info->local_uri == nullptr ? "" : info->local_uri;
    const std::string method = info->request_method == nullptr ? "" : info->request_method;
    const std::string host = header_of(connection, "Host");
    const std::string origin = header_of(connection, "Origin");
    const std::string site = header_of(connection, "Sec-Fetch-Site");
    const std::string token = header_of(connection, "X-Pawl-Token");
    const std::string refused = why_refused({method, path, host, origin, site, token}, policy);
    if (!refused.empty()) return {403, "text/plain; charset=utf-8", refused + "\n", {}};
    if (method == "POST") return steer(path, connection);
    if (path == "/") return page();
    if (auto found = read(path)) return *found;
    return {404, "text/plain; charset=utf-8", "here are /, /metrics, /status.json and /history.json\n", {}};
  }

  int respond(mg_connection* connection) {
    const WebAnswer what = answer(connection);
    std::string head = "HTTP/1.1 " + std::to_string(what.status) + ' ' + words_for(what.status) + "\r\n";
    if (!what.type.empty()) head += "Content-Type: " + what.type + "\r\n";
    head += "Content-Length: " + std::to_string(what.body.size()) +
            "\r\nConnection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
            "X-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n"
            "Cross-Origin-Opener-Policy: same-origin\r\n" +
            what.more_headers + "\r\n";
    const bool head_only = std::strcmp(mg_get_request_info(connection)->request_method, "HEAD") == 0;
    const std::string all = head_only ? head : head + what.body;
    mg_write(connection, all.data(), all.size());
    return what.status;
  }

  /// The server looks whether it should stop when somebody comes, else every two seconds: so somebody comes.
  void stop_server() {
    if (server == nullptr) return;
    bool stopped = false;  // guarded by `mutex`
    std::thread stopping([&] {
      mg_stop(server);
      const std::lock_guard lock(mutex);
      stopped = true;
      ending.notify_all();
    });
    std::unique_lock lock(mutex);
    while (!ending.wait_for(lock, std::chrono::milliseconds{5}, [&] { return stopped; })) {
      std::array<char, 100> why_not;
      if (auto* const visit =
              mg_connect_client(bound_host.c_str(), static_cast<int>(port), 0, why_not.data(), why_not.size()))
        mg_close_connection(visit);
    }
    lock.unlock();
    stopping.join();
  }

  static int on_request(mg_connection* connection) {
    auto* const self = static_cast<Impl*>(mg_get_user_data(mg_get_context(connection)));
    return self->respond(connection);
  }
  static int on_message(const mg_connection* connection, const char* message) {
    auto* const self = static_cast<Impl*>(mg_get_user_data(mg_get_context(connection)));
    // The others are about peers that went away.
    if (std::this_thread::get_id() == self->opener && self->starting) self->problem = message;
    return 1;  // said
  }
};

WebServer::WebServer(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

Result<std::unique_ptr<WebServer>> WebServer::open(const Options& options) {
  auto impl = std::make_unique<Impl>();
  impl->title = options.title;
  impl->bound_host = options.listen.host;
  impl->policy.loopback = options.listen.loopback;
  impl->policy.token = random_word();
  utsname machine{};
  if (::uname(&machine) == 0) impl->policy.host_name = machine.nodename;
  const bool six = options.listen.host.find(':') != std::string::npos;
  const std::string host = six ? '[' + options.listen.host + ']' : options.listen.host;
  const std::string listen = host + ':' + std::to_string(options.listen.port);
  const char* settings[] = {"listening_ports",
                            listen.c_str(),
                            "num_threads",
                            "6",
                            "request_timeout_ms",
                            "5000",
                            "enable_keep_alive",
                            "no",
                            "max_request_size",
                            "16384",
                            "enable_auth_domain_check",
                            "no",
                            "access_control_allow_origin",
                            "",
                            "access_control_allow_methods",
                            "",
                            "tcp_nodelay",
                            "1",
                            nullptr};
  mg_callbacks callbacks{};
  callbacks.begin_request = &Impl::on_request;
  callbacks.log_message = &Impl::on_message;
  static const unsigned prepared = mg_init_library(MG_FEATURES_DEFAULT);
  static_cast<void>(prepared);
  {
    const SignalsBlocked blocked;  // also in the server's threads
    impl->server = mg_start(&callbacks, impl.get(), settings);
  }
  impl->starting = false;
  if (impl->server == nullptr) {
    const std::string why = why_not(options.listen);
    return failure(ErrorCode::usage, "cannot serve metrics at " + listen + ": " + (why.empty() ? impl->problem : why));
  }
  mg_server_port bound{};
  if (mg_get_server_ports(impl->server, 1, &bound) != 1)
    return failure(ErrorCode::io, "cannot serve metrics at " + listen + ": no port");
  impl->port = static_cast<unsigned>(bound.port);
  impl->url = "http://" + host + ':' + std::to_string(bound.port) + '/';
  return std::unique_ptr<WebServer>(new WebServer(std::move(impl)));
}

void WebServer::start(std::function<RunView()> sample, Steering* borrowed_steering) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->sample = std::move(sample);
  }
  impl_->borrowed_steering.store(borrowed_steering, std::memory_order_release);  // release [W1]: the run can be steered
  const SignalsBlocked blocked;
  impl_->sampler = std::thread([self = impl_.get()] { self->keep_history(); });
}

WebServer::~WebServer() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->ended = true;
  }
  impl_->ending.notify_all();
  if (impl_->sampler.joinable()) impl_->sampler.join();
  impl_->stop_server();
}

const std::string& WebServer::url() const noexcept { return impl_->url; }

}  // namespace pawl::observe

// An HTTP server over real sockets whose every byte a test decides: a thread per connection runs the test's script.
//
// For tests of a client's behaviour. Not for load: a thousand connections are a thousand threads.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <gtest/gtest.h>

namespace pawl::test {

/// A request as it came. Names of headers are in lower case.
struct SeenRequest {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;
  std::string body;

  [[nodiscard]] std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
  [[nodiscard]] bool has(const std::string& name) const { return headers.contains(name); }
};

/// A whole response. `headers`: lines, each ended by CRLF.
inline std::string response(int status, std::string_view body = {}, std::string_view headers = {}) {
  std::string text = "HTTP/1.1 " + std::to_string(status) + " X\r\n";
  text.append(headers);
  text += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  return text.append(body);
}

/// The server's side of one connection; used by the thread that runs its script.
class Connection {
 public:
  Connection(int fd, int stop_fd, int number) : fd_(fd), stop_fd_(stop_fd), number_(number) {}
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// 1 for the first connection of the server, 2 for the next.
  [[nodiscard]] int number() const { return number_; }
  /// Its socket, for what speaks another protocol over it; stays this object's.
  [[nodiscard]] int fd() const { return fd_; }

  /// The next request, whole; nullopt: the client closed, or the server stops.
  std::optional<SeenRequest> read_request() {
    auto head = read_head();
    if (!head) return std::nullopt;
    SeenRequest& request = *head;
    const std::size_t length = std::strtoull(request.header("content-length").c_str(), nullptr, 10);
    while (input_.size() < length) {
      if (!read_more()) return std::nullopt;
    }
    request.body = input_.substr(0, length);
    input_.erase(0, length);
    return head;
  }

  /// The next request up to its body, none of which has been waited for.
  std::optional<SeenRequest> read_head() {
    std::size_t end = 0;
    while ((end = input_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more()) return std::nullopt;
    }
    SeenRequest request = parse_head(std::string_view(input_).substr(0, end + 2));
    input_.erase(0, end + 4);
    return request;
  }

  /// False: the client is gone, or the server stops.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      if (fd_ < 0 || !wait_for(POLLOUT)) return false;
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno == EAGAIN) continue;
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// Waits until the client closes or the server stops; what comes meanwhile is thrown away.
  void hang() {
    while (read_more()) input_.clear();
  }

  /// False when the server was stopped meanwhile. For servers that are slow on purpose.
  bool pause(std::chrono::milliseconds time) const {
    pollfd stop{stop_fd_, POLLIN, 0};
    return ::poll(&stop, 1, static_cast<int>(time.count())) == 0;
  }

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  /// Says that nothing more will come; goes on to read.
  void finish_sending() const { ::shutdown(fd_, SHUT_WR); }

  /// Closes with a TCP reset.
  void reset() {
    const linger at_once{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
  }

 private:
  bool wait_for(short events) const {
    pollfd fds[2] = {{fd_, events, 0}, {stop_fd_, POLLIN, 0}};
    return ::poll(fds, 2, -1) > 0 && fds[1].revents == 0;
  }
  bool read_more() {
    if (fd_ < 0 || !wait_for(POLLIN)) return false;
    char bytes[65'536];
    const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    input_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }
  static SeenRequest parse_head(std::string_view head) {
    SeenRequest request;
    bool first = true;
    while (!head.empty()) {
      const std::string_view line = head.substr(0, head.find("\r\n"));
      head.remove_prefix(line.size() + 2);
      if (first) {
        const auto space = line.find(' ');
        request.method = line.substr(0, space);
        request.target = line.substr(space + 1, line.rfind(' ') - space - 1);
        first = false;
        continue;
      }
      const auto colon = line.find(':');
      std::string name(line.substr(0, colon));
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      std::string_view value = line.substr(colon + 1);
      while (value.starts_with(' ')) value.remove_prefix(1);
      request.headers[name] = value;
    }
    return request;
  }

  int fd_;
  int stop_fd_;
  int number_;
  std::string input_;
};

class ScriptedServer {
 public:
  using Script = std::function<void(Connection&)>;
  using Answer = std::function<std::string(const SeenRequest&)>;

  /// Runs `script` for each connection to 127.0.0.1:port(). It ends when the script returns.
  explicit ScriptedServer(Script script) : script_(std::move(script)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    stop_ = ::eventfd(0, EFD_CLOEXEC);
    sockaddr_in address = loopback();
    socklen_t length = sizeof address;
    EXPECT_EQ(::bind(listener_, as_sockaddr(address), length), 0);
    EXPECT_EQ(::listen(listener_, 4096), 0);
    EXPECT_EQ(::getsockname(listener_, as_sockaddr(address), &length), 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }

  /// The same at a Unix socket of this name, which is not longer than such names can be.
  ScriptedServer(Script script, const std::string& path) : script_(std::move(script)) {
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    stop_ = ::eventfd(0, EFD_CLOEXEC);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    EXPECT_LT(path.copy(address.sun_path, sizeof address.sun_path - 1), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 4096), 0);
    acceptor_ = std::thread([this] { accept_all(); });
  }

  /// Keeps connections alive and answers every request.
  static Script answering(Answer answer) {
    return [answer = std::move(answer)](Connection& connection) {
      while (auto request = connection.read_request()) {
        if (!connection.send(answer(*request))) return;
      }
    };
  }

  ~ScriptedServer() {
    const std::uint64_t one = 1;
    EXPECT_EQ(::write(stop_, &one, sizeof one), static_cast<ssize_t>(sizeof one));
    acceptor_.join();
    for (auto& running : running_) running.thread.join();
    ::close(listener_);
    ::close(stop_);
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string url(std::string_view path = "/") const {
    return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
  }
  [[nodiscard]] int connections() const { return connections_.load(); }

  /// A port of 127.0.0.1 that nobody listens at (as long as nobody takes it).
  static int closed_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback();
    socklen_t length = sizeof address;
    EXPECT_EQ(::bind(fd, as_sockaddr(address), length), 0);
    EXPECT_EQ(::getsockname(fd, as_sockaddr(address), &length), 0);
    ::close(fd);
    return ntohs(address.sin_port);
  }

 private:
  struct Running {
    std::thread thread;
    std::atomic<bool> ended{false};  // written by the thread, read by the acceptor
  };

  static sockaddr_in loopback() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  static sockaddr* as_sockaddr(sockaddr_in& address) { return reinterpret_cast<sockaddr*>(&address); }

  void accept_all() {
    while (true) {
      pollfd fds[2] = {{listener_, POLLIN, 0}, {stop_, POLLIN, 0}};
      if (::poll(fds, 2, -1) < 0 || fds[1].revents != 0) return;
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      const int number = ++connections_;
      // Those that have ended go, so that a server may have any number of connections, one after the other.
      std::erase_if(running_, [](Running& running) {
        const bool ended = running.ended.load(std::memory_order_acquire);  // acquire [S1]
        if (ended) running.thread.join();
        return ended;
      });
      Running& running = running_.emplace_back();
      running.thread = std::thread([this, fd, number, &running] {
        {
          Connection connection(fd, stop_, number);
          script_(connection);
        }
        running.ended.store(true, std::memory_order_release);  // release [S1]: nothing but the join is left
      });
    }
  }

  Script script_;
  int listener_ = -1;
  int stop_ = -1;  // readable once the server stops
  int port_ = 0;
  std::atomic<int> connections_{0};
  std::list<Running> running_;  // the acceptor's until it is joined
  std::thread acceptor_;
};

}  // namespace pawl::test

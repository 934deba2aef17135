// A blocking HTTP client on a bare socket, so that tests decide every byte and see every byte.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include <pawl/mockapi.h>

namespace pawl::mockapi::test {

struct Reply {
  int status = 0;
  std::string head;  // status line and headers, in lower case
  std::string body;
  bool whole = false;  // as much body as Content-Length promised

  [[nodiscard]] std::string header(std::string_view name) const {
    const std::string mark = "\r\n" + std::string(name) + ": ";
    const std::size_t at = head.find(mark);
    if (at == std::string::npos) return {};
    const std::size_t begin = at + mark.size();
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval patience{120, 0};  // a server that hangs fails the test instead of hanging it
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    connected_ = fd_ >= 0 && ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  RawClient(RawClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_), buffer_(std::move(other.buffer_)) {}
  RawClient& operator=(RawClient&&) = delete;
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() { close(); }

  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] bool connected() const noexcept { return connected_; }
  void close() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void half_close() noexcept { ::shutdown(fd_, SHUT_WR); }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// Reads one answer; nullopt if the connection ends before a whole head has come.
  std::optional<Reply> read(bool of_head_request = false) {
    Reply reply;
    std::size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!fill()) return std::nullopt;
    }
    reply.head = buffer_.substr(0, end + 2);
    for (char& c : reply.head) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    buffer_.erase(0, end + 4);
    reply.status = std::atoi(reply.head.c_str() + std::string_view("http/1.1 ").size());
    const std::size_t length = std::strtoull(reply.header("content-length").c_str(), nullptr, 10);
    if (of_head_request || reply.status < 200) {
      reply.whole = true;
      return reply;
    }
    while (buffer_.size() < length && fill()) {
    }
    reply.whole = buffer_.size() >= length;
    reply.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
    return reply;
  }

  std::optional<Reply> call(std::string_view request, bool of_head_request = false) {
    if (!send(request)) return std::nullopt;
    return read(of_head_request);
  }

  /// Nothing more comes, and the connection ends (by whatever means).
  bool ended() {
    while (fill()) {
    }
    return buffer_.empty();
  }

 private:
  bool fill() {
    char bytes[16 * 1024];
    const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    buffer_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  int fd_;
  bool connected_ = false;
  std::string buffer_;
};

inline std::string get(std::string_view path, std::string_view headers = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" + std::string(headers) + "\r\n";
}

inline std::string post(std::string_view path, std::string_view body, std::string_view headers = "") {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(headers) + "\r\n" + std::string(body);
}

inline std::string chat(std::string_view content, std::string_view headers = "") {
  return post("/v1/chat/completions",
              R"({"model":"m-7","messages":[{"role":"user","content":")" + std::string(content) + R"("}]})", headers);
}

inline std::unique_ptr<Server> start(const Options& options = {}) {
  auto server = Server::start(options);
  EXPECT_TRUE(server) << server.error().context;
  return server ? std::move(*server) : nullptr;
}

/// The seed of a random test: PAWL_SEED, or one that changes; the test prints it.
inline std::uint64_t seed_of_test() {
  const char* given = std::getenv("PAWL_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : static_cast<std::uint64_t>(::getpid()) * 7919u;
}

}  // namespace pawl::mockapi::test

// HTTP/2 (RFC 9113) on the server's side of a scripted connection, with TLS or without: frames as a test wants them. It
// reads no header of a request, only that one has come whole.
//
// For tests of a client's behaviour. One thread a connection, as in scripted_server.h.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "scripted_server.h"

namespace pawl::test {

class Http2Session {
 public:
  explicit Http2Session(Connection& connection)
      : read_some_([&connection](char* bytes, std::size_t size) {
          const ssize_t got = ::recv(connection.fd(), bytes, size, 0);
          return got > 0 ? static_cast<std::size_t>(got) : 0;
        }),
        send_([&connection](std::string_view bytes) { return connection.send(bytes); }) {}
  /// Over TLS, for one: read(bytes, size) gives how many came, 0 at the end; send(bytes) whether they went out.
  template <class Transport>
  explicit Http2Session(Transport& transport)
      : read_some_([&transport](char* bytes, std::size_t size) { return transport.read(bytes, size); }),
        send_([&transport](std::string_view bytes) { return transport.send(bytes); }) {}

  /// Takes the client's preface and sends the own settings. False: it is no client of HTTP/2.
  [[nodiscard]] bool begin() {
    static constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    return read(kPreface.size()) == kPreface && send(kSettings, 0, 0, {});
  }

  /// Stream of the next request that is whole; 0: the client has gone.
  [[nodiscard]] std::uint32_t next_request() {
    while (true) {
      const std::string head = read(9);
      if (head.size() < 9) return 0;
      const std::size_t length = number(head.substr(0, 3));
      const auto type = static_cast<std::uint8_t>(head[3]);
      const auto flags = static_cast<std::uint8_t>(head[4]);
      const std::string payload = read(length);
      if (payload.size() < length) return 0;
      if (type == kSettings && (flags & kAck) == 0) send(kSettings, kAck, 0, {});
      if (type == kPing && (flags & kAck) == 0) send(kPing, kAck, 0, payload);
      if ((type == kHeaders || type == kData) && (flags & kEndStream) != 0) return number(head.substr(5, 4));
    }
  }

  /// ":status: 200", the end of which is still to come.
  bool send_headers(std::uint32_t stream) { return send(kHeaders, kEndHeaders, stream, "\x88"); }
  bool send_body(std::uint32_t stream, std::string_view body) { return send(kData, kEndStream, stream, body); }
  bool answer(std::uint32_t stream, std::string_view body) { return send_headers(stream) && send_body(stream, body); }
  /// RST_STREAM.
  bool reset(std::uint32_t stream, std::uint32_t error) { return send(kReset, 0, stream, bytes(error)); }
  /// GOAWAY: streams after `last` have not been looked at.
  bool go_away(std::uint32_t last, std::uint32_t error) { return send(kGoAway, 0, 0, bytes(last) + bytes(error)); }
  /// Any frame.
  bool send(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload) {
    std::string frame = bytes(static_cast<std::uint32_t>(payload.size())).substr(1);
    frame.push_back(static_cast<char>(type));
    frame.push_back(static_cast<char>(flags));
    return send_(frame + bytes(stream) + std::string(payload));
  }

  static constexpr std::uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoAway = 7;
  static constexpr std::uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4;

 private:
  static std::string bytes(std::uint32_t value) {
    std::string out;
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
    return out;
  }
  static std::uint32_t number(const std::string& bytes) {
    std::uint32_t value = 0;
    for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
    return value;
  }
  [[nodiscard]] std::string read(std::size_t size) const {
    std::string out(size, '\0');
    std::size_t have = 0;
    while (have < size) {
      const std::size_t got = read_some_(out.data() + have, size - have);
      if (got == 0) break;
      have += got;
    }
    out.resize(have);
    return out;
  }

  std::function<std::size_t(char*, std::size_t)> read_some_;
  std::function<bool(std::string_view)> send_;
};

}  // namespace pawl::test

#include "api_process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sstream>

namespace pawl::test {

ApiProcess::ApiProcess(std::uint64_t seed)
    : process_({PAWL_MOCKAPI,
                "--port",
                "0",
                "--port-file",
                (folder_ / "port").string(),
                "--latency",
                "lognormal:5ms,0.7",
                "--error-rate",
                "0.05",
                "--error-codes",
                "500,503,429",
                "--drop-rate",
                "0.02",
                "--truncate-rate",
                "0.02",
                "--slow-rate",
                "0.02",
                "--slow-time",
                "20ms",
                "--seed",
                std::to_string(seed)}) {
  EXPECT_TRUE(eventually([&] { return std::filesystem::exists(folder_ / "port") || process_.ended(); }));
  std::istringstream(read_file(folder_ / "port")) >> port_;
  EXPECT_FALSE(port_.empty()) << process_.err();
}

std::string ApiProcess::base_url() const { return "http://127.0.0.1:" + port_; }

std::string ApiProcess::ask(const std::string& request) const {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port_)));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string reply;
  const std::string whole = request + " HTTP/1.1\r\nHost: api\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      ::send(fd, whole.data(), whole.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(whole.size())) {
    char bytes[65536];
    for (ssize_t got = 0; (got = ::recv(fd, bytes, sizeof bytes, 0)) > 0;)
      reply.append(bytes, static_cast<std::size_t>(got));
  }
  ::close(fd);
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 200")) << request << "\n" << reply.substr(0, 200);
  const std::size_t head = reply.find("\r\n\r\n");
  return head == std::string::npos ? std::string() : reply.substr(head + 4);
}

CallCounts ApiProcess::counts() const {
  CallCounts counts;
  std::istringstream lines(ask("GET /stats/keys"));
  std::string key;
  CallCount count;
  while (lines >> key >> count.calls >> count.answered) counts[key] = count;
  return counts;
}

void ApiProcess::reset() const { static_cast<void>(ask("POST /stats/reset")); }

}  // namespace pawl::test

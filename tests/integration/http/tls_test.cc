// TLS against the openssl program: a certificate nobody vouches for, and one that the given file vouches for.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <fstream>

#include "harness.h"
#include "temp_dir.h"

extern char** environ;

namespace pawl::http {
namespace {

/// `openssl s_server -www` on a port of its choice.
class TlsServer {
 public:
  explicit TlsServer(const test::TempDir& dir) {
    const std::string key = (dir / "key.pem").string();
    const std::string config = (dir / "openssl.cnf").string();
    std::ofstream(config) << "[req]\ndistinguished_name=name\nprompt=no\nx509_extensions=ext\n[name]\nCN=127.0.0.1\n"
                             "[ext]\nsubjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:TRUE\n";
    certificate_ = (dir / "certificate.pem").string();
    const std::string make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -config '" + config + "' -keyout '" +
                             key + "' -out '" + certificate_ + "' 2>/dev/null";
    EXPECT_EQ(std::system(make.c_str()), 0) << make;
    int pipe[2];
    EXPECT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe[1], 1);
    std::vector<std::string> words = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-www",
                                      "-key",    key,        "-cert",   certificate_};
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    EXPECT_EQ(::posix_spawnp(&pid_, "openssl", &actions, nullptr, arguments.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(pipe[1]);
    std::string said;
    char byte = 0;
    // "ACCEPT 127.0.0.1:43210"
    while (::read(pipe[0], &byte, 1) == 1) {
      if (byte != '\n') {
        said.push_back(byte);
        continue;
      }
      if (said.starts_with("ACCEPT ")) break;
      said.clear();
    }
    EXPECT_TRUE(said.starts_with("ACCEPT ")) << said;
    port_ = said.substr(said.rfind(':') + 1);
    output_ = pipe[0];
  }
  ~TlsServer() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(output_);
  }
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  [[nodiscard]] std::string url(const std::string& host = "127.0.0.1") const {
    return "https://" + host + ":" + port_ + "/";
  }
  [[nodiscard]] const std::string& certificate() const { return certificate_; }

 private:
  std::string certificate_;
  std::string port_;
  pid_t pid_ = -1;
  int output_ = -1;  // kept open: the program must be able to write
};

TEST(CallStageTls, RefusesACertificateNobodyVouchesFor) {
  const test::TempDir dir;
  TlsServer server(dir);
  Caller caller;
  expect_failure(caller.call(server.url()), "certificate_invalid", 1);
}

TEST(CallStageTls, TrustsTheGivenFileForTheRightNameOnly) {
  const test::TempDir dir;
  TlsServer server(dir);
  Options options = quick();
  options.ca_file = server.certificate();
  Caller caller(options);
  const Task& task = caller.call(server.url());
  EXPECT_TRUE(task.outcome.success()) << task.outcome.error_message;
  EXPECT_NE(task.outcome.body.find("s_server"), std::string::npos);
  expect_failure(caller.call(server.url("localhost")), "certificate_invalid", 1);
}

TEST(CallStageTls, ReadsTheFileOfTrustedCertificatesOnce) {
  const test::TempDir dir;
  TlsServer server(dir);
  Options options = quick();
  options.ca_file = server.certificate();
  options.connect_timeout = std::chrono::seconds(60);  // the server takes one connection after the other
  Caller caller(options);
  EXPECT_TRUE(caller.call(server.url()).outcome.success());
  std::ofstream(options.ca_file) << "no certificate";
  // More than one shard's worth, so that libcurl would read it again.
  for (unsigned i = 0; i < 40; ++i) caller.take(caller.task(server.url()));
  caller.wait();
  for (const Task& task : caller.tasks()) EXPECT_TRUE(task.outcome.success()) << task.outcome.error_message;
}

TEST(CallStageTls, AFileThatHoldsNoCertificateIsAFaultOfTheSetUp) {
  const test::TempDir dir;
  TlsServer server(dir);
  Options options = quick();
  options.ca_file = (dir / "empty.pem").string();
  std::ofstream(options.ca_file) << "no certificate";
  Caller caller(options);
  expect_failure(caller.call(server.url()), "tls_setup_failed", 1);
}

TEST(CallStageTls, AServerWithoutTlsIsAFailedHandshake) {
  ScriptedServer server([](Connection& connection) { connection.send("HTTP/1.1 200 X\r\n\r\n"); });
  Options options = quick();
  options.retry_max = 1;
  Caller caller(options);
  expect_failure(caller.call("https://127.0.0.1:" + std::to_string(server.port())), "tls_failed", 2);
}

}  // namespace
}  // namespace pawl::http

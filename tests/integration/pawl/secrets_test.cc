// Secrets: planted where a user puts them, then looked for wherever they must not be: every object of the repository,
// every file of the work tree and of the private folder, what the tool prints, and what others see of the process.
#include "scripted_server.h"
#include "tool.h"

namespace pawl::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kBearer = "planted-bearer-4f1c9e";
constexpr const char* kHeader = "planted-header-83ab20";
constexpr const char* kProxy = "planted-proxy-77d0e5";
constexpr const char* kInUrl = "planted-url-19c6f2";
constexpr const char* kPlanted = "planted-";  // all of them begin so

class PawlSecrets : public PawlTool {
 protected:
  std::vector<std::string> with_header_file(std::vector<std::string> words) const {
    write_file(folder_ / "headers", fmt::format("# for the gateway\nX-Api-Key: {}\nX-Trace: yes\n", kHeader));
    words.insert(words.end(), {"--header-file", (folder_ / "headers").string()});
    return words;
  }
  static Process::Options environment(std::vector<std::string> more = {}) {
    Process::Options options;
    options.environment = {std::string("OPENAI_API_KEY=") + kBearer};
    options.environment.insert(options.environment.end(), more.begin(), more.end());
    return options;
  }
  /// Files with a planted secret in them, of the repository with its private folder.
  std::vector<std::string> leaks() const {
    std::vector<std::string> found;
    if (!std::filesystem::exists(repo())) return found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(repo()))
      if (entry.is_regular_file() && read_file(entry.path()).find(kPlanted) != std::string::npos)
        found.push_back(entry.path());
    if (git(repo(), {"cat-file", "--batch-all-objects", "--batch"}).find(kPlanted) != std::string::npos)
      found.push_back("an object");
    return found;
  }
  void expect_silence(const Process& process) const {
    EXPECT_THAT(process.out() + process.err(), Not(HasSubstr(kPlanted)));
    EXPECT_EQ(leaks(), std::vector<std::string>());
  }
  /// Waits for the end and expects that nothing was let out.
  void expect_silent_end(Process& process, int code) const {
    EXPECT_EQ(process.wait(), code) << process.err();
    expect_silence(process);
  }
  void expect_refused(std::vector<std::string> words, int code, const std::string& why,
                      std::vector<std::string> variables = {}) const {
    Process process(pawl(std::move(words)), environment(std::move(variables)));
    expect_silent_end(process, code);
    EXPECT_THAT(process.err(), HasSubstr(why));
  }
};

TEST_F(PawlSecrets, ThePlantWouldBeFound) {
  git(folder_.path(), {"init", "-q", repo().string()});
  write_file(repo() / "file", std::string("x ") + kBearer);
  EXPECT_EQ(leaks().size(), 1u);
  git(repo(), {"add", "file"});
  std::filesystem::remove(repo() / "file");
  EXPECT_EQ(leaks(), std::vector<std::string>{"an object"});
}

TEST_F(PawlSecrets, AreSentAndSeenNowhereWhileItRunsOrAfterwardsEvenIfTheServerRepeatsThem) {
  mockapi::Options options;
  options.latency = *mockapi::Latency::parse("100ms");
  server_ = serve(options);
  std::string lines = batch_line("chat", "s", "q");
  for (int i = 0; i < 6; ++i)  // /echo repeats the headers of a GET
    lines += fmt::format(R"({{"custom_id":"echo-{}","method":"GET","url":"{}/echo"}})"
                         "\n",
                         i, server_->base_url());
  const std::string file = input("in.jsonl", lines);
  Process run(with_header_file(run_words(file, {"--parallel-max", "2", "--progress", "json"})), environment());
  ASSERT_TRUE(eventually([&] { return server_->stats().answered >= 2; })) << run.err();
  EXPECT_THAT(read_file(fmt::format("/proc/{}/cmdline", run.pid())),
              AllOf(HasSubstr("--header-file"), Not(HasSubstr(kPlanted))));
  Process status(pawl({"status", repo().string(), "--json"}));
  EXPECT_EQ(status.wait(), 0);
  EXPECT_THAT(status.out(), AllOf(HasSubstr("committed"), Not(HasSubstr(kPlanted))));
  EXPECT_EQ(leaks(), std::vector<std::string>()) << "the journal has answers now";
  expect_silent_end(run, 0);
  const std::string record = read_file(repo() / "in.jsonl/00/00/echo-3.json");
  EXPECT_THAT(record, AllOf(HasSubstr("Bearer [secret]"), HasSubstr("X-Trace"), HasSubstr("yes"))) << record;
  Process exported(pawl({"export", repo().string()}));
  EXPECT_EQ(exported.wait(), 0);
  expect_silence(exported);
}

TEST_F(PawlSecrets, StayInsideWhenCallsFailAndTheProcessIsKilled) {
  ScriptedServer elsewhere(ScriptedServer::answering([](const SeenRequest& request) {
    EXPECT_FALSE(request.has("authorization")) << "another host gets no credentials";
    EXPECT_FALSE(request.has("x-api-key"));
    return response(404, "not here", std::string("X-Request-Id: ") + kBearer + "\r\n");
  }));
  std::mutex mutex;
  int calls = 0;
  ScriptedServer server([&](Connection& connection) {
    while (const auto request = connection.read_request()) {
      {
        const std::lock_guard lock(mutex);
        ++calls;
      }
      EXPECT_EQ(request->header("authorization"), std::string("Bearer ") + kBearer);
      EXPECT_EQ(request->header("x-api-key"), kHeader);
      std::string answer;
      if (request->target == "/401")
        answer = response(401, fmt::format(R"({{"error":{{"message":"wrong key {} or {}"}}}})", kBearer, kHeader));
      if (request->target == "/302")
        answer = response(302, "", fmt::format("Location: {}?key={}\r\n", elsewhere.url("/there"), "x"));
      if (request->target == "/in-url")
        answer = response(302, "", fmt::format("Location: http://u:{}@127.0.0.1:{}/\r\n", kInUrl, elsewhere.port()));
      if (request->target == "/500") answer = response(500, kBearer);
      if (request->target == "/garbage") answer = std::string("HTTP/9.9 ") + kBearer + "\r\n" + kHeader + "\r\n\r\n";
      if (request->target == "/hang") return connection.hang();
      if (!answer.empty() && !connection.send(answer)) return;
      if (answer.empty()) return connection.reset();
    }
  });
  std::string lines;
  for (const char* target : {"/401", "/302", "/in-url", "/500", "/garbage", "/reset", "/hang"})
    lines += fmt::format(R"({{"custom_id":"{0}","stream":"{0}","method":"GET","url":"{1}"}})"
                         "\n",
                         target, server.url(target));
  lines += fmt::format(R"({{"custom_id":"refused","method":"GET","url":"http://127.0.0.1:{}/"}})"
                       "\n",
                       ScriptedServer::closed_port());
  const std::string file = input("in.jsonl", lines);
  const std::vector<std::string> words =
      with_header_file(pawl({"run", file, "--repo", repo().string(), "--retry", "1", "--retry-delay", "5ms",
                             "--location", "--commit-every", "10ms"}));
  Process run(words, environment());
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return calls >= 9;
  })) << run.err();
  run.signal(SIGKILL);
  run.wait();
  expect_silence(run);
  Process status(pawl({"status", repo().string()}));
  EXPECT_EQ(status.wait(), 0);
  expect_silence(status);
  Process resume(with_header_file(pawl({"resume", repo().string(), "--max-time", "300ms", "--retry", "0"})),
                 environment());
  expect_silent_end(resume, 1);
  EXPECT_TRUE(std::filesystem::exists(repo() / "%2F401/00/00/%2F401.json"));
  Process failed(pawl({"export", repo().string(), "-o", "/dev/null", "--failures", "-"}));
  EXPECT_EQ(failed.wait(), 0);
  EXPECT_THAT(failed.out(), HasSubstr("wrong key [secret] or [secret]"));
  expect_silence(failed);
}

TEST_F(PawlSecrets, OfProxiesStayOutOfMessagesAndRecords) {
  ScriptedServer refusing(ScriptedServer::answering([](const SeenRequest&) { return response(407, "who are you?"); }));
  const std::string file = input("in.txt", "http://example.invalid/one\nhttps://example.invalid/two\n");
  int number = 0;
  for (const std::string& proxy :
       {fmt::format("http://user:{}@127.0.0.1:{}", kProxy, ScriptedServer::closed_port()),
        fmt::format("http://user:{}@127.0.0.1:{}", kProxy, refusing.port()), fmt::format("ftp://user:{}@host", kProxy),
        fmt::format("user:{}@host:no-port", kProxy), fmt::format("http://user:{}/x@host", kProxy),
        fmt::format("socks5h://user:{}@nowhere.invalid:1", kProxy)}) {
    const std::vector<std::string> variables = {"http_proxy=" + proxy, "https_proxy=" + proxy, "no_proxy="};
    Process run(pawl({"run", file, "--repo", repo().string(), "--format", "urls", "--retry", "1", "--retry-delay",
                      "5ms", "--branch", fmt::format("b{}", number++), "--progress", "json"}),
                environment(variables));
    EXPECT_EQ(run.wait(), 1) << proxy << "\n" << run.err();
    expect_silence(run);
  }
  expect_refused({"run", file, "--repo", repo().string(), "--proxy", fmt::format("http://u:{}@h", kProxy)}, 2,
                 "--proxy with a user name or password");
}

TEST_F(PawlSecrets, InUrlsAreRefusedWithoutBeingRepeated) {
  const std::string url = fmt::format("https://user:{}@127.0.0.1:1/x", kInUrl);
  const std::string batch =
      input("in.jsonl", fmt::format(R"({{"custom_id":"a","method":"GET","url":"{}"}})", url) + "\n");
  const std::string slash = input("slash.jsonl", fmt::format(R"({{"custom_id":"a","method":"GET","url":"{}"}})",
                                                             fmt::format("http://user:9/{}@host/", kInUrl)) +
                                                     "\n");
  const std::string path = input("path.jsonl", batch_line("a", "s", "q"));
  const std::string urls = input("urls.txt", url + "\n");
  const std::string lines = input("lines.txt", "one\n");
  const auto words = [&](const std::string& file, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"run", file, "--repo", repo().string()});
    return more;
  };
  expect_refused(words(batch), 4, "a URL without user name and password");
  expect_refused(words(urls, {"--format", "urls"}), 4, "a URL without user name and password");
  expect_refused(words(urls, {"--on-bad-line", "skip", "--format", "urls"}), 1, "(skipped)");
  expect_refused(words(path, {"--base-url", url}), 2, "--base-url");
  expect_refused(words(path), 2, "--base-url", {"OPENAI_BASE_URL=" + url});
  expect_refused(words(lines, {"--url", url, "--format", "lines"}), 2, "without user name");
}

TEST_F(PawlSecrets, GivenWhereTheyDoNotBelongAreRefusedWithoutBeingRepeated) {
  const std::string file = input("in.jsonl", batch_line("a", "s", "q"));
  const std::string own = input(
      "own.jsonl",
      fmt::format(R"({{"custom_id":"a","method":"GET","url":"http://h/","headers":{{"Authorization":"Bearer {}"}}}})",
                  kHeader) +
          "\n");
  write_file(folder_ / "broken", std::string(kHeader) + "\n");
  const auto refused = [&](std::vector<std::string> more, const std::string& why) {
    more.insert(more.begin(), {"run", file, "--repo", repo().string(), "--base-url", "http://127.0.0.1:1"});
    expect_refused(std::move(more), 2, why);
  };
  refused({"-H", std::string("Authorization: Bearer ") + kHeader}, "--header-file");
  refused({"-H", std::string("X-Goog-Api-Key: ") + kHeader}, "--header-file");
  refused({"-H", std::string("Bearer ") + kHeader}, "'Name: value'");
  refused({"--bearer-env", kHeader}, "name of an environment variable");
  refused({"--header-file", (folder_ / "broken").string()}, "broken:1");
  expect_refused({"run", own, "--repo", repo().string()}, 4, "headers.Authorization");
}

}  // namespace
}  // namespace pawl::test

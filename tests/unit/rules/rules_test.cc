// Each rule finds what it is for, and only that.
#include "rules.h"

#include <gtest/gtest.h>

namespace pawl::rules {
namespace {

const std::set<std::string> kHeaders = {"pawl/task.h", "pawl/engine.h", "http:pawl/http.h"};

TEST(IncludesOf, ReadsBothSpellings) {
  const auto found = includes_of({"a.cc", "// x\n#include <vector>\n  # include \"b.h\"\nint include;\n"});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].header, "vector");
  EXPECT_EQ(found[0].line, 2u);
  EXPECT_FALSE(found[0].quoted);
  EXPECT_EQ(found[1].header, "b.h");
  EXPECT_TRUE(found[1].quoted);
}

TEST(CodeOf, BlanksCommentsAndLiterals) {
  EXPECT_EQ(code_of("a // b\nc"), "a     \nc");
  EXPECT_EQ(code_of("a /* b\nc */ d"), "a     \n     d");
  EXPECT_EQ(code_of("f(\"x\\\"y\", 'z') + 1'000;"), "f(      ,    ) + 1'000;");
  EXPECT_EQ(code_of("R\"re(a\"b)re\" c"), "             c");
  EXPECT_EQ(code_of("a // b"), "a     ");
}

TEST(CheckThirdParties, KeepsEachInItsFolder) {
  EXPECT_TRUE(check_third_parties({"adapters/http/src/a.cc", "#include <curl/curl.h>\n"}).empty());
  EXPECT_TRUE(
      check_third_parties({"tools/pawl/main.cc", "#include <openssl/evp.h>\n#include <CLI/CLI.hpp>\n"}).empty());
  EXPECT_EQ(check_third_parties({"adapters/git/src/a.cc", "\n#include <curl/curl.h>\n"}),
            Violations{"adapters/git/src/a.cc:2: <curl/curl.h> belongs to another folder"});
  EXPECT_EQ(check_third_parties({"engine/src/flow/a.h", "#include <concurrentqueue/concurrentqueue.h>\n"}).size(), 1u);
  EXPECT_EQ(check_third_parties({"engine/src/queue/a.h", "#include <tbb/flow_graph.h>\n"}).size(), 1u);
}

TEST(CheckThirdParties, RefusesWhatItDoesNotKnow) {
  EXPECT_TRUE(check_third_parties({"adapters/git/src/a.cc", "#include <vector>\n#include <sys/stat.h>\n"}).empty());
  EXPECT_EQ(check_third_parties({"adapters/git/src/a.cc", "#include <boost/asio.hpp>\n"}).size(), 1u);
}

TEST(CheckArrows, AnAdapterKnowsTheEngineAndItself) {
  EXPECT_TRUE(
      check_arrows({"adapters/http/src/a.cc", "#include <pawl/task.h>\n#include <pawl/http.h>\n"}, kHeaders).empty());
  EXPECT_EQ(check_arrows({"adapters/git/src/a.cc", "#include <pawl/http.h>\n"}, kHeaders).size(), 1u);
  EXPECT_EQ(check_arrows({"adapters/git/src/a.cc", "#include \"adapters/http/src/url.h\"\n"}, kHeaders).size(), 1u);
}

TEST(CheckArrows, TheEngineKnowsNoAdapter) {
  EXPECT_EQ(check_arrows({"engine/src/engine.cc", "#include <pawl/http.h>\n"}, kHeaders).size(), 1u);
  EXPECT_EQ(check_arrows({"engine/include/pawl/task.h", "#include <tbb/tbb.h>\n"}, kHeaders).size(), 1u);
  EXPECT_EQ(check_arrows({"engine/include/pawl/task.h", "#include <unistd.h>\n"}, kHeaders).size(), 1u);
  EXPECT_TRUE(
      check_arrows({"engine/include/pawl/task.h", "#include <array>\n#include <pawl/engine.h>\n"}, kHeaders).empty());
}

TEST(CheckArrows, ToolsUseInstalledHeadersOnly) {
  EXPECT_TRUE(
      check_arrows({"tools/pawl/main.cc", "#include <pawl/http.h>\n#include \"feeder.h\"\n"}, kHeaders).empty());
  EXPECT_EQ(check_arrows({"tools/pawl/main.cc", "#include \"engine/src/core.h\"\n"}, kHeaders).size(), 1u);
}

TEST(CheckNoLocks, FindsLocksInCodeNotInProse) {
  EXPECT_EQ(check_no_locks({"engine/src/a.cc", "std::mutex m;\nstd::condition_variable_any c;\n"}).size(), 2u);
  EXPECT_EQ(check_no_locks({"engine/src/a.cc", "std::recursive_mutex m;\n#include <mutex>\n"}).size(), 2u);
  EXPECT_EQ(check_no_locks({"engine/src/a.cc", "const std::scoped_lock lock(x);\npthread_mutex_lock(&y);\n"}).size(),
            2u);
  EXPECT_TRUE(check_no_locks({"engine/src/a.cc", "// no std::mutex here\nauto s = \"std::mutex\";\n"}).empty());
  EXPECT_TRUE(check_no_locks({"adapters/observe/src/a.cc", "std::mutex m;\n"}).empty());
}

TEST(CheckSmells, FindsEach) {
  EXPECT_EQ(check_smells({"tests/a.cc", "std::this_thread::sleep_for(x);\n"}).size(), 1u);
  EXPECT_TRUE(check_smells({"tools/a.cc", "std::this_thread::sleep_for(x);\n"}).empty());
  EXPECT_EQ(check_smells({"engine/a.cc", "try {} catch ( ... ) {}\nusing namespace std;\n"}).size(), 2u);
  EXPECT_EQ(check_smells({"engine/a.cc", "#include \"../b.h\"\n"}).size(), 1u);
  EXPECT_TRUE(check_smells({"engine/a.cc", "using namespace std::chrono_literals;\n// sleep_for is bad\n"}).empty());
}

TEST(CheckHeaderShape, WantsACommentAndPragmaOnce) {
  EXPECT_TRUE(check_header_shape({"a.h", "// What it is.\n#pragma once\n"}).empty());
  EXPECT_EQ(check_header_shape({"a.h", "#include <vector>\n"}).size(), 2u);
  EXPECT_TRUE(check_header_shape({"a.cc", "int x;\n"}).empty());
}

TEST(CheckLength, CountsLines) {
  EXPECT_TRUE(check_length({"a.cc", "1\n2\n"}, 2).empty());
  EXPECT_EQ(check_length({"a.cc", "1\n2\n3\n"}, 2), Violations{"a.cc: 3 lines, more than 2"});
}

}  // namespace
}  // namespace pawl::rules

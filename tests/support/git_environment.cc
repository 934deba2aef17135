// The same identity and configuration everywhere, whatever the machine says.
#include <git2.h>
#include <stdlib.h>

#include <string>

#include <gtest/gtest.h>

// libgit2 1.5 forgets to free what pcre2 gave it when a pattern in a configuration look-up does not match.
extern "C" __attribute__((visibility("default"))) const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libpcre2-8"; }

namespace {

class GitEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    ::setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
    ::setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
    for (const char* role : {"AUTHOR", "COMMITTER"}) {
      ::setenv((std::string("GIT_") + role + "_NAME").c_str(), "Ada Tester", 1);
      ::setenv((std::string("GIT_") + role + "_EMAIL").c_str(), "ada@example.org", 1);
    }
    git_libgit2_init();
    for (const int level : {GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_GLOBAL, GIT_CONFIG_LEVEL_XDG}) {
      git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
    }
  }
  void TearDown() override { git_libgit2_shutdown(); }
};

const testing::Environment* const kEnvironment = testing::AddGlobalTestEnvironment(new GitEnvironment);

}  // namespace

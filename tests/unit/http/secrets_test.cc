#include "secrets.h"

#include <cstdlib>

#include <gtest/gtest.h>

namespace pawl::http {
namespace {

std::string message(const Secrets& secrets, std::string text) {
  secrets.hide_in_message(text);
  return text;
}

TEST(Secrets, AreHiddenWhereverAnAnswerHasThem) {
  Options options;
  options.bearer = "abcdefgh";
  options.secrets = {"abcdefghij", "short", ""};
  const Secrets secrets(options);
  Outcome outcome;
  outcome.body = "abcdefgh abcdefghij short abcdefgabcdefgh";
  outcome.request_id = "id-abcdefgh";
  outcome.content_type = "text/abcdefgh";
  secrets.hide_in_answer(outcome);
  EXPECT_EQ(outcome.body, "[secret] [secret] short abcdefg[secret]") << "the longer one as a whole, short ones stay";
  EXPECT_EQ(outcome.request_id, "id-[secret]");
  EXPECT_EQ(outcome.content_type, "text/[secret]");
  EXPECT_EQ(message(secrets, "short"), "[secret]");
  std::string many;
  for (int i = 0; i < 300'000; ++i) many += "abcdefgh";
  outcome.body = many;
  secrets.hide_in_answer(outcome);
  EXPECT_EQ(outcome.body.size(), many.size()) << "in one pass";
}

TEST(Secrets, OfProxiesAreHiddenInMessagesHoweverTheyAreWritten) {
  Options options;
  options.proxy = "user:pass/word@host:no-port";
  const Secrets secrets(options);
  EXPECT_EQ(message(secrets, "cannot use 'user:pass/word@host'"), "cannot use '[secret]@host'");
  EXPECT_EQ(message(secrets, "password pass/word refused"), "password [secret] refused");
  ::setenv("all_proxy", "ftp://other:planted@host", 1);
  const Secrets from_environment{Options()};
  ::unsetenv("all_proxy");
  EXPECT_EQ(message(from_environment, "scheme of 'ftp://other:planted@host'"), "scheme of 'ftp://[secret]@host'");
}

TEST(Secrets, InUrlsAreHiddenInMessages) {
  const Secrets none{Options()};
  EXPECT_EQ(message(none, "see http://u:p@h/x and https://h/@y, ://@"),
            "see http://[secret]@h/x and https://h/@y, ://@");
  EXPECT_EQ(message(none, "nothing here, a@b"), "nothing here, a@b");
}

}  // namespace
}  // namespace pawl::http

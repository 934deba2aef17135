#include <sys/stat.h>
#include <unistd.h>

#include "reading.h"
#include "temp_dir.h"

namespace pawl::input {
namespace {

namespace fs = std::filesystem;

class Folder : public testing::Test {
 protected:
  void put(const fs::path& name, std::string_view content) {
    fs::create_directories((root() / name).parent_path());
    write_file(root() / name, content);
  }
  ReadAll read() {
    auto reader = open_reader(root(), options_);
    return reader ? read_all(*reader) : ReadAll{};
  }
  /// Root may read everything: then read as somebody else.
  ReadAll read_without_privileges() {
    constexpr uid_t kNobody = 65534;
    const bool root_user = ::geteuid() == 0;
    if (root_user) {
      EXPECT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
      EXPECT_EQ(::seteuid(kNobody), 0);
    }
    ReadAll all = read();
    if (root_user) {
      EXPECT_EQ(::seteuid(0), 0);
    }
    return all;
  }
  static std::vector<std::string> ids(const ReadAll& all) {
    std::vector<std::string> out;
    for (const Request& task : all.tasks) out.push_back(task.id);
    return out;
  }
  [[nodiscard]] fs::path root() const { return dir_ / "docs"; }

  test::TempDir dir_;
  Options options_{.url = "http://h/p"};
};

TEST_F(Folder, EachFileIsATaskInBytewiseOrderOfItsPath) {
  put("b.txt", "B\n");
  put("a/z", "");
  put("a-b", std::string_view("\0\xff", 2));
  put("a/y/x", "X");
  put("a.txt", "A");
  put(".hidden", "H");
  put("\xc3\xa9", "e");
  put("\xff", "f");
  put(".git/config", "no");
  put("a/.git/config", "no");
  const ReadAll all = read();
  ASSERT_EQ(all.errors.size(), 0u);
  EXPECT_EQ(ids(all),
            (std::vector<std::string>{".hidden", "a-b", "a.txt", "a/y/x", "a/z", "b.txt", "\xc3\xa9", "\xff"}));
  EXPECT_EQ(all.tasks[1].body, std::string("\0\xff", 2));
  EXPECT_EQ(all.tasks[5].body, "B\n");
  EXPECT_EQ(all.tasks[0].stream, "docs");
  EXPECT_EQ(all.tasks[0].method, "POST");
  EXPECT_EQ(all.tasks[0].url, "http://h/p");
  EXPECT_EQ(all.tasks[0].content_type, "application/octet-stream");
}

TEST_F(Folder, FollowsLinksToFilesButNotToFolders) {
  put("real/file", "F");
  write_file(dir_ / "outside", "O");
  fs::create_symlink(dir_ / "outside", root() / "link");
  fs::create_directory_symlink(root(), root() / "loop");
  const ReadAll all = read();
  EXPECT_EQ(all.errors.size(), 0u);
  EXPECT_EQ(ids(all), (std::vector<std::string>{"link", "real/file"}));
  EXPECT_EQ(all.tasks.at(0).body, "O");
}

TEST_F(Folder, FilesThatCannotBeReadAreErrorsAndTheOthersAreRead) {
  put("a", "A");
  put("c", "12345678901");
  put("d", "1234567890");
  fs::create_symlink(root() / "nowhere", root() / "b");
  ASSERT_EQ(::mkfifo((root() / "e").c_str(), 0600), 0);
  options_.line_bytes_max = 10;
  const ReadAll all = read();
  EXPECT_EQ(ids(all), (std::vector<std::string>{"a", "d"}));
  ASSERT_EQ(all.errors.size(), 3u);
  for (const Error& error : all.errors) EXPECT_EQ(error.code, ErrorCode::input);
  const std::string start = root().string() + "/";
  EXPECT_EQ(all.errors[0].context, "cannot read " + start + "b: No such file or directory");
  EXPECT_EQ(all.errors[0].sys_errno, ENOENT);
  EXPECT_EQ(all.errors[1].context, start + "c: expected a file of at most 10 bytes, got a larger one");
  EXPECT_EQ(all.errors[2].context, start + "e: expected a regular file");
}

TEST_F(Folder, PermissionIsNeeded) {
  put("a", "A");
  put("sub/b", "B");
  ASSERT_EQ(::chmod((root() / "a").c_str(), 0), 0);
  ASSERT_EQ(::chmod((root() / "sub").c_str(), 0), 0);
  const ReadAll all = read_without_privileges();
  ASSERT_EQ(all.errors.size(), 2u);
  EXPECT_EQ(all.errors[0].context, "cannot read " + root().string() + "/a: Permission denied");
  EXPECT_EQ(all.errors[1].context, "cannot read " + root().string() + "/sub/: Permission denied");
  ASSERT_EQ(::chmod((root() / "sub").c_str(), 0700), 0);
}

TEST_F(Folder, AFileOrFolderThatVanishesIsAnError) {
  put("a", "A");
  put("b", "B");
  put("c/d", "D");
  auto reader = open_reader(root(), options_);
  Request request;
  ASSERT_TRUE(reader->next(request).value());
  fs::remove(root() / "b");
  fs::remove_all(root() / "c");
  const ReadAll all = read_all(*reader);
  EXPECT_EQ(all.tasks.size(), 0u);
  ASSERT_EQ(all.errors.size(), 2u);
  EXPECT_EQ(all.errors[0].context, "cannot read " + root().string() + "/b: No such file or directory");
  EXPECT_EQ(all.errors[1].context, "cannot read " + root().string() + "/c/: No such file or directory");
}

TEST_F(Folder, OneFileIsOneTask) {
  put("x.bin", "whole\nfile\n");
  options_.format = Format::files;
  auto reader = open_reader(root() / "x.bin", options_);
  EXPECT_EQ(reader->bytes_total(), 11u);
  const ReadAll all = read_all(*reader);
  ASSERT_EQ(all.tasks.size(), 1u);
  EXPECT_EQ(all.tasks[0].id, "x.bin");
  EXPECT_EQ(all.tasks[0].stream, "x.bin");
  EXPECT_EQ(all.tasks[0].body, "whole\nfile\n");
  EXPECT_EQ(reader->bytes_read(), 11u);
}

TEST_F(Folder, AnEmptyFolderHasNoTasks) {
  fs::create_directories(root() / "empty");
  auto reader = open_reader(root(), options_);
  EXPECT_EQ(reader->how_chosen(), "files: the input is a folder");
  EXPECT_EQ(reader->bytes_total(), std::nullopt);
  EXPECT_EQ(read_all(*reader).tasks.size(), 0u);
}

}  // namespace
}  // namespace pawl::input

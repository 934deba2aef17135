// libgit2 by itself, as its documentation shows: blobs, trees by git_tree_create_updated, commits.
//
// usage: commit_libgit2 loose|mempack REPOSITORY RECORDS     RECORDS as `commit_history dump … records` writes them
//
// With `loose` objects go where libgit2 puts them by default, a file each, not synced. With `mempack` they stay in
// memory; each publication of 1,024 results is dumped as a pack, synced, before the branch moves. commit.py runs it.
#include <git2.h>
#include <git2/sys/mempack.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace {

constexpr std::uint64_t kPublication = 1024;  // results
constexpr char kBranch[] = "refs/heads/main";

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "commit_libgit2: %s\n", why.c_str());
  std::exit(2);
}

void must(int code, const char* what) {
  if (code >= 0) return;
  const git_error* why = git_error_last();
  die(std::string(what) + ": " + (why != nullptr ? why->message : "unknown error"));
}

struct Free {
  void operator()(git_repository* it) const noexcept { git_repository_free(it); }
  void operator()(git_odb* it) const noexcept { git_odb_free(it); }
  void operator()(git_tree* it) const noexcept { git_tree_free(it); }
  void operator()(git_commit* it) const noexcept { git_commit_free(it); }
  void operator()(git_reference* it) const noexcept { git_reference_free(it); }
  void operator()(git_signature* it) const noexcept { git_signature_free(it); }
  void operator()(git_indexer* it) const noexcept { git_indexer_free(it); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

template <class T, class Make>
Owned<T> made(const char* what, Make&& make) {
  T* raw = nullptr;
  must(make(&raw), what);
  return Owned<T>(raw);
}

struct File {
  std::string path, content;
};

/// "commit BYTES RESULTS", the message, then for each result "PATH BYTES" and the content; false: the end.
bool read_commit(std::ifstream& in, std::string& message, std::vector<File>& files) {
  std::string word;
  std::size_t size = 0;
  std::size_t results = 0;
  if (!(in >> word >> size >> results)) return false;
  in.ignore(1);
  message.resize(size);
  in.read(message.data(), static_cast<std::streamsize>(size));
  files.resize(results);
  for (File& file : files) {
    in >> file.path >> size;
    in.ignore(1);
    file.content.resize(size);
    in.read(file.content.data(), static_cast<std::streamsize>(size));
  }
  return static_cast<bool>(in);
}

class History {
 public:
  History(const char* path, bool in_memory)
      : repository_(made<git_repository>("open", [&](auto** out) { return git_repository_open(out, path); })),
        odb_(made<git_odb>("objects", [&](auto** out) { return git_repository_odb(out, repository_.get()); })),
        who_(made<git_signature>(
            "signature",
            [&](auto** out) { return git_signature_new(out, "Ada Tester", "ada@example.org", 1'700'000'000, 0); })),
        packs_(std::string(git_repository_path(repository_.get())) + "objects/pack") {
    if (!in_memory) return;
    must(git_mempack_new(&mempack_), "mempack");
    must(git_odb_add_backend(odb_.get(), mempack_, 999), "add the mempack");
    must(git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1), "sync");
  }

  void add(const std::string& message, const std::vector<File>& files) {
    std::vector<git_tree_update> updates;
    for (const File& file : files) {
      git_tree_update update{GIT_TREE_UPDATE_UPSERT, {}, GIT_FILEMODE_BLOB, file.path.c_str()};
      must(git_blob_create_from_buffer(&update.id, repository_.get(), file.content.data(), file.content.size()),
           "blob");
      updates.push_back(update);
    }
    git_oid tree_id;
    must(git_tree_create_updated(&tree_id, repository_.get(), tree_.get(), updates.size(), updates.data()), "tree");
    tree_ = made<git_tree>("tree", [&](auto** out) { return git_tree_lookup(out, repository_.get(), &tree_id); });
    const git_commit* parent = head_.get();
    git_oid commit_id;
    must(git_commit_create(&commit_id, repository_.get(), nullptr, who_.get(), who_.get(), nullptr, message.c_str(),
                           tree_.get(), parent != nullptr ? 1 : 0, &parent),
         "commit");
    head_ =
        made<git_commit>("commit", [&](auto** out) { return git_commit_lookup(out, repository_.get(), &commit_id); });
    waiting_ += files.size();
    if (mempack_ == nullptr || waiting_ >= kPublication) publish();
  }

  void publish() {
    if (waiting_ == 0) return;
    waiting_ = 0;
    if (mempack_ != nullptr) dump();
    git_reference* raw = nullptr;
    must(git_reference_create(&raw, repository_.get(), kBranch, git_commit_id(head_.get()), 1, nullptr), "branch");
    const Owned<git_reference> branch(raw);
  }

 private:
  void dump() {
    git_buf pack{};
    must(git_mempack_dump(&pack, repository_.get(), mempack_), "dump");
    const auto indexer = made<git_indexer>(
        "indexer", [&](auto** out) { return git_indexer_new(out, packs_.c_str(), 0, odb_.get(), nullptr); });
    git_indexer_progress progress{};
    must(git_indexer_append(indexer.get(), pack.ptr, pack.size, &progress), "index");
    must(git_indexer_commit(indexer.get(), &progress), "index");
    git_buf_dispose(&pack);
    must(git_mempack_reset(mempack_), "reset");
    must(git_odb_refresh(odb_.get()), "refresh");
  }

  Owned<git_repository> repository_;
  Owned<git_odb> odb_;
  Owned<git_signature> who_;
  std::string packs_;
  git_odb_backend* mempack_ = nullptr;  // odb_'s
  Owned<git_tree> tree_;
  Owned<git_commit> head_;
  std::uint64_t waiting_ = 0;  // results that the branch does not have
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) die("see the comment at the top of commit_libgit2.cc");
  must(git_libgit2_init(), "libgit2");
  std::ifstream records(argv[3], std::ios::binary);
  History history(argv[2], std::string(argv[1]) == "mempack");
  std::string message;
  std::vector<File> files;
  while (read_commit(records, message, files)) history.add(message, files);
  history.publish();
  return 0;
}

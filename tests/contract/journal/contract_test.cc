// The journal under the contract of every stage, on a real folder. Whatever the contract does to it, a journal opened
// on the folder afterwards gives back exactly the tasks that were accepted.
#include <map>
#include <utility>

#include <pawl/journal.h>

#include "stage_contract.h"
#include "temp_dir.h"

namespace pawl::test {
namespace {

/// The folder of one journal; looks into it when the journal is gone.
class Folder {
 public:
  Folder() = default;
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::map<TaskId, const Task*> accepted;
    for (const Task* task : borrowed_tasks_)
      if (task->saved) accepted.emplace(task->request.task_id, task);
    const auto opened = journal::Journal::open({.folder = path()});
    if (!opened) {
      ADD_FAILURE() << opened.error().context;
      return;
    }
    EXPECT_EQ((*opened)->left().tasks, accepted.size());
    Recovered recovered;
    Result<bool> more = (*opened)->next(recovered);
    for (; more && *more; more = (*opened)->next(recovered)) {
      const auto found = accepted.find(recovered.request.task_id);
      if (found == accepted.end()) {
        ADD_FAILURE() << recovered.request.id << " is kept, but was not accepted or is kept twice";
        continue;
      }
      EXPECT_EQ(recovered.request.stream, found->second->request.stream);
      EXPECT_EQ(recovered.request.body, found->second->request.body);
      accepted.erase(found);
    }
    EXPECT_TRUE(more.has_value()) << more.error().context;
    EXPECT_TRUE(accepted.empty()) << accepted.size() << " accepted tasks are lost";
  }

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return dir_.path(); }
  /// The task outlives the folder.
  void watch(const Task& task) { borrowed_tasks_.push_back(&task); }

 private:
  TempDir dir_;
  std::vector<const Task*> borrowed_tasks_;
};

std::function<StageSetup()> journal_with(journal::Options options) {
  return [options]() mutable -> StageSetup {
    auto folder = std::make_shared<Folder>();
    options.folder = folder->path();
    auto opened = journal::Journal::open(options);
    if (!opened) {
      ADD_FAILURE() << opened.error().context;
      return {};
    }
    return {folder, std::move(*opened), [kept = folder.get()](Task& task, std::size_t) { kept->watch(task); }};
  };
}

INSTANTIATE_TEST_SUITE_P(Journal, StageContract,
                         testing::Values(StageCase{.name = "sync", .duty = StageDuty::save, .make = journal_with({})},
                                         StageCase{.name = "flush",
                                                   .duty = StageDuty::save,
                                                   .make = journal_with({.folder = {},
                                                                         .durability = journal::Durability::flush})},
                                         // A thousand tasks do not fit into one of these.
                                         StageCase{.name = "small_segments",
                                                   .duty = StageDuty::save,
                                                   .make = journal_with({.folder = {}, .segment_bytes = 64 * 1024})}),
                         stage_case_name);

}  // namespace
}  // namespace pawl::test

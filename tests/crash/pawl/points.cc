#include "points.h"

namespace pawl::test {
namespace {

constexpr Point kPoints[] = {
    {"the new repository is begun", "mkdir */.pawl-new"},
    {"a file of the new repository is written", "write */.pawl-new/.git/*"},
    {"the new repository is synced", "sync */.pawl-new/.git/*"},
    {"the new repository gets its place", "rename */repo/.git"},
    {"the private folder is made", "mkdir */.git/pawl"},
    {"the run lock is noted", "write */pawl/lock"},
    {"the index of keys is made", "rename */pawl/keys"},
    {"the index of keys is written", "write */pawl/keys"},
    {"the index of keys is synced", "sync */pawl/keys"},
    {"the settings are written", "write */pawl/settings.tmp"},
    {"the settings get their place", "rename */pawl/settings"},
    {"the journal's folder is made", "mkdir */pawl/journal"},
    {"a segment is made", "write */journal/new.spare"},
    {"a segment gets its name", "rename */journal/*.journal"},
    {"a segment's name is synced", "sync */pawl/journal"},
    {"tasks or answers are written", "write */journal/*.journal"},
    {"tasks or answers are synced", "sync */journal/*.journal"},
    {"a segment is removed or set aside", "unlink|rename */journal/*.spare"},
    {"the work tree's marker is written", "write */pawl/work-tree.new"},
    {"the work tree's marker gets its place", "rename */pawl/work-tree"},
    {"a pack is written", "write */tmp_pack_*"},
    {"a pack is synced", "sync */tmp_pack_*"},
    {"a pack's index is synced", "sync */tmp_idx_*"},
    {"a pack gets its name", "rename */objects/pack/*.pack"},
    {"a pack's index gets its name", "rename */objects/pack/*.idx"},
    {"the names of packs are synced", "sync */objects/pack"},
    {"packs are joined", "unlink */objects/pack/*.idx", Point::Needs::a_pack},
    {"a joined pack is removed", "unlink */objects/pack/*.pack", Point::Needs::a_pack},
    {"the branch's lock is noted", "open|write */pawl/branch-lock"},
    {"the branch is locked", "open */refs/heads/*.lock"},
    {"the branch's new tip is written", "write */refs/heads/*.lock"},
    {"the branch moves", "link|rename */refs/heads/main"},
    {"the branch's name is synced", "sync */refs/heads"},
    {"the branch's log is written", "write */logs/refs/heads/main"},
    {"a file of the work tree is made", "open */repo/stream-*.json"},
    {"a file of the work tree is written", "write */repo/stream-*.json"},
    {"git's index is written", "write */pawl/index.new"},
    {"git's index is locked", "open */.git/index.lock"},
    {"git's new index takes the lock", "rename */.git/index.lock"},
    {"git's index gets its place", "rename */.git/index"},
    {"the work tree's marker is removed", "unlink */pawl/work-tree"},
    {"a torn segment is cut", "truncate */journal/*.journal", Point::Needs::left_tasks},
    {"a segment of an earlier run is sealed", "write|sync */journal/*.journal", Point::Needs::left_tasks},
    {"a segment of an earlier run is removed", "unlink */journal/*.journal", Point::Needs::left_tasks},
};

}  // namespace

std::span<const Point> points() { return kPoints; }

const Point& point_that_leaves_tasks() {
  static constexpr Point kPoint = {"the first pack is synced", "sync */tmp_pack_*"};
  return kPoint;
}

std::string kill_rule(const Point& point, unsigned count, Moment moment) {
  return std::string(point.op_and_glob) + " " + std::to_string(count) +
         (moment == Moment::before ? " kill" : " kill-after");
}

}  // namespace pawl::test

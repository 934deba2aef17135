#include "tree.h"

#include <utility>
#include <vector>

#include "tree_folder.h"

namespace pawl::git {

Tree::Tree(ReadTree read, std::optional<ObjectId> root) : read_(std::move(read)), root_id_(root) {}
Tree::~Tree() = default;

void Tree::reset(std::optional<ObjectId> root) {
  root_.reset();
  root_id_ = root;
}

bool Tree::changed() const noexcept { return root_ != nullptr && root_->changed; }

Result<Tree::Folder*> Tree::root() {
  if (root_ == nullptr) {
    if (root_id_) {
      Result<std::string> content = read_(*root_id_);
      if (!content) return std::unexpected(std::move(content.error()));
      Result<std::unique_ptr<Folder>> parsed = Folder::parse(std::move(*content));
      if (!parsed) return std::unexpected(std::move(parsed.error()));
      root_ = std::move(*parsed);
    } else {
      root_ = std::make_unique<Folder>();
    }
  }
  root_->used = generation_;
  return root_.get();
}

/// The folder at an entry, read if it is not in memory.
Result<Tree::Folder*> Tree::enter(Folder& folder, std::size_t at) {
  std::unique_ptr<Folder>& child = folder.child(at);
  if (child == nullptr) {
    Result<std::string> content = read_(folder.id_of(at));
    if (!content) return std::unexpected(std::move(content.error()));
    Result<std::unique_ptr<Folder>> parsed = Folder::parse(std::move(*content));
    if (!parsed) return std::unexpected(std::move(parsed.error()));
    child = std::move(*parsed);
  }
  child->used = generation_;
  return child.get();
}

Result<Put> Tree::put(std::string_view path, const ObjectId& blob) {
  Result<Folder*> at_root = root();
  if (!at_root) return std::unexpected(std::move(at_root.error()));
  std::vector<Folder*> way{*at_root};
  const auto conflict = [](std::string_view where, const char* what) {
    return Put{Put::Kind::conflict, {}, std::string(where) + " is a " + what};
  };

  // Down as far as there are folders; nothing has changed yet if a file is in the way.
  std::size_t begin = 0;
  std::size_t slash = path.find('/');
  for (; slash != std::string_view::npos; slash = path.find('/', begin)) {
    const std::string_view name = path.substr(begin, slash - begin);
    const std::optional<std::size_t> at = way.back()->find(name, true);
    if (!at) {
      if (way.back()->find(name, false)) return conflict(path.substr(0, slash), "file");
      break;
    }
    Result<Folder*> entered = enter(*way.back(), *at);
    if (!entered) return std::unexpected(std::move(entered.error()));
    way.push_back(*entered);
    begin = slash + 1;
  }

  Put put;
  if (slash == std::string_view::npos) {
    const std::string_view name = path.substr(begin);
    Folder& folder = *way.back();
    if (folder.find(name, true)) return conflict(path, "folder");
    if (const std::optional<std::size_t> at = folder.find(name, false)) {
      if (folder.kind(*at) == Folder::Kind::submodule) return conflict(path, "submodule");
      put.previous = folder.id_of(*at);
      const bool same = put.previous == blob && folder.kind(*at) == Folder::Kind::file;
      put.kind = same ? Put::Kind::unchanged : Put::Kind::replaced;
      if (same) return put;
      folder.point(*at, blob, generation_);
    } else {
      folder.insert(name, Folder::Kind::file, blob, generation_);
    }
  } else {
    for (; slash != std::string_view::npos; slash = path.find('/', begin)) {
      Folder& folder = *way.back();
      const std::size_t at = folder.insert(path.substr(begin, slash - begin), Folder::Kind::folder, {}, generation_);
      folder.child(at) = std::make_unique<Folder>();
      folder.child(at)->used = generation_;
      way.push_back(folder.child(at).get());
      begin = slash + 1;
    }
    way.back()->insert(path.substr(begin), Folder::Kind::file, blob, generation_);
  }
  for (Folder* folder : way) folder->changed = true;
  return put;
}

ObjectId Tree::write(Pack& pack) {
  if (changed() || !root_id_) {
    if (root_ == nullptr) root_ = std::make_unique<Folder>();
    root_id_ = root_->write(pack);
  }
  return *root_id_;
}

void Tree::forget(std::uint64_t generation) {
  if (root_ != nullptr) root_->forget(generation);
}

std::uint64_t Tree::bytes() const { return root_ != nullptr ? root_->bytes() : 0; }

}  // namespace pawl::git

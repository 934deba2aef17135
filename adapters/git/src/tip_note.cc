// Notes at the tip of the branch (git-notes(1)), in refs/notes/pawl.
#include <git2.h>

#include <string>

#include <pawl/git.h>

#include "commit_text.h"
#include "object_id.h"
#include "repository.h"

namespace pawl::git {
namespace {

using NoteHandle = GitHandle<git_note, git_note_free>;

Result<std::string> note_at(git_repository* repository, const git_oid& commit) {
  git_note* raw = nullptr;
  const int code = git_note_read(&raw, repository, kNotesRef, &commit);
  if (code == GIT_ENOTFOUND) return std::string();
  if (code != 0) return std::unexpected(git_error(std::string("cannot read ") + kNotesRef));
  const NoteHandle note(raw);
  std::string text = git_note_message(note.get());
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  return text;
}

}  // namespace

Result<void> add_tip_note(Repository& repository, std::string_view line) {
  const auto tip = branch_tip(repository);
  if (!tip) return std::unexpected(tip.error());
  if (!*tip) return {};
  git_repository* const borrowed = handle(repository);
  const git_oid commit = to_oid(**tip);
  auto text = note_at(borrowed, commit);
  if (!text) return std::unexpected(text.error());
  text->append(line).append("\n");
  const auto identity = Identity::load(borrowed);
  if (!identity) return std::unexpected(identity.error());
  const Person& who = identity->committer;
  const Person::Moment when = who.fixed.value_or(local_moment(std::chrono::system_clock::now()));
  git_signature* raw = nullptr;
  if (git_signature_new(&raw, who.name.c_str(), who.email.c_str(), when.seconds, when.offset_minutes) != 0)
    return std::unexpected(git_error(std::string("cannot sign ") + kNotesRef));
  const SignatureHandle signature(raw);
  git_oid made;
  constexpr int kReplace = 1;
  if (git_note_create(&made, borrowed, kNotesRef, signature.get(), signature.get(), &commit, text->c_str(), kReplace) !=
      0)
    return std::unexpected(git_error(std::string("cannot write ") + kNotesRef));
  return {};
}

}  // namespace pawl::git

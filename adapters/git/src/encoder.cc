// The encode stage: an outcome becomes a file, its id in git and its entry in a pack.
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <pawl/git.h>

#include "blob_encoder.h"
#include "encoded.h"
#include "json_format.h"
#include "layout.h"
#include "object_id.h"
#include "record.h"
#include "subject.h"

namespace pawl::git {
namespace {

// Buffers are used again, but one huge body must not stay on every slot it ever passed through.
void clear_for_reuse(std::string& buffer) {
  constexpr std::size_t kKeep = 256 * 1024;
  if (buffer.capacity() > kKeep) {
    std::string().swap(buffer);
  } else {
    buffer.clear();
  }
}

Encoded& attachment_of(Task& task) {
  auto* encoded = dynamic_cast<Encoded*>(task.encoded.get());
  if (encoded == nullptr) {
    auto fresh = std::make_unique<Encoded>();
    encoded = fresh.get();
    task.encoded = std::move(fresh);
  }
  clear_for_reuse(encoded->content);
  clear_for_reuse(encoded->pack_entry);
  clear_for_reuse(encoded->delta);
  encoded->delta_size = 0;
  encoded->path.clear();
  encoded->subject.clear();
  encoded->blob_id = {};
  encoded->crc32 = 0;
  return *encoded;
}

// Content is there; the rest follows from it.
void pack(Task& task, Encoded& encoded) {
  auto blob_id = hash_blob(encoded.content);
  if (!blob_id) {
    task.give_up(std::move(blob_id.error()));
    encoded.path.clear();
    return;
  }
  encoded.blob_id = *blob_id;
  thread_local BlobEncoder encoder;
  encoder.encode(encoded);
}

class RecordEncoder final : public Encoder {
 public:
  void encode(Task& task) noexcept override {
    Encoded& encoded = attachment_of(task);
    if (task.outcome.kind == Outcome::Kind::none) {
      task.give_up({ErrorCode::call, "the call stage gave the task back without an outcome"});
      return;
    }
    encoded.path = record_path(task.request.stream, task.request.position, task.request.id);
    write_subject(task, encoded.subject);
    render_record(task.request, task.outcome, encoded.content);
    pack(task, encoded);
  }
};

class RawEncoder final : public Encoder {
 public:
  RawEncoder(PathTemplate path_template, CommitOptions::Normalise normalise)
      : path_template_(std::move(path_template)), normalise_(normalise) {}

  void encode(Task& task) noexcept override {
    Encoded& encoded = attachment_of(task);
    if (task.outcome.kind == Outcome::Kind::none) {
      task.give_up({ErrorCode::call, "the call stage gave the task back without an outcome"});
      return;
    }
    write_subject(task, encoded.subject);
    // An error page must not take the place of the last good answer.
    if (!task.outcome.success()) return;
    path_template_.fill(task.request, encoded.path);
    const std::string_view body = task.outcome.body;
    const bool normalised = normalise_ == CommitOptions::Normalise::json && format_json(body, encoded.content);
    if (!normalised) encoded.content.assign(body);
    pack(task, encoded);
  }

 private:
  const PathTemplate path_template_;
  const CommitOptions::Normalise normalise_;
};

}  // namespace

Result<std::unique_ptr<Encoder>> make_encoder(const CommitOptions& options) {
  if (options.layout == Layout::record) return std::make_unique<RecordEncoder>();
  auto path_template = PathTemplate::parse(options.path_template);
  if (!path_template) return std::unexpected(std::move(path_template.error()));
  return std::make_unique<RawEncoder>(std::move(*path_template), options.normalise);
}

}  // namespace pawl::git

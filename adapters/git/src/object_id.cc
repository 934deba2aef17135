#include "object_id.h"

#include <git2.h>
#include <openssl/sha.h>

#include <charconv>
#include <cstring>

#include "hex.h"

namespace pawl::git {
std::string_view type_name(ObjectType type) noexcept {
  switch (type) {
    case ObjectType::commit: return "commit";
    case ObjectType::tree: return "tree";
    case ObjectType::blob: return "blob";
    case ObjectType::tag: return "tag";
  }
  return "unknown";
}

ObjectId hash_object(ObjectType type, std::string_view content) noexcept {
  std::array<char, 32> header;  // "commit " + 20 digits + NUL at most
  const std::string_view name = type_name(type);
  char* end = header.data();
  std::memcpy(end, name.data(), name.size());
  end += name.size();
  *end++ = ' ';
  end = std::to_chars(end, header.data() + header.size(), content.size()).ptr;
  *end++ = '\0';
  SHA_CTX context;
  SHA1_Init(&context);
  SHA1_Update(&context, header.data(), static_cast<std::size_t>(end - header.data()));
  SHA1_Update(&context, content.data(), content.size());
  ObjectId id;
  SHA1_Final(id.data(), &context);
  return id;
}

Result<ObjectId> hash_blob(std::string_view content) noexcept {
  // libgit2 counts its users and hashes only while it has some; the encoder has no repository to keep it up. Never
  // given back, so that a worker may still hash while the process ends.
  static const int users = git_libgit2_init();
  static_cast<void>(users);
  git_oid oid;
  if (git_odb_hash(&oid, content.data(), content.size(), GIT_OBJECT_BLOB) != 0) {
    const ::git_error* why = git_error_last();
    return failure(ErrorCode::repository,
                   std::string("hashing the result for git: ") + (why != nullptr ? why->message : "unknown error"));
  }
  ObjectId id;
  std::memcpy(id.data(), oid.id, id.size());
  return id;
}

std::string to_hex(const ObjectId& id) {
  std::string hex;
  append_hex(hex, id);
  return hex;
}

Result<ObjectId> from_hex(std::string_view hex) {
  ObjectId id;
  if (!read_hex(hex, id)) {
    return failure(ErrorCode::repository, "not an object id of 40 hex digits: '" + std::string(hex) + "'");
  }
  return id;
}

}  // namespace pawl::git

// Object ids of git: what an object is called, and how that is computed and spelt.
//
// Two ways to hash, because they cost differently: hash_object() for what pawl writes itself (trees, commits), and
// hash_blob(), several times slower, for content that comes from strangers: it notices the known attacks on SHA-1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <pawl/error.h>

#include "encoded.h"

namespace pawl::git {

/// The object types of git's pack format; the values are those of gitformat-pack(5).
enum class ObjectType : std::uint8_t { commit = 1, tree = 2, blob = 3, tag = 4 };

/// Git's own word for a type ("blob", …).
[[nodiscard]] std::string_view type_name(ObjectType type) noexcept;

/// SHA-1 of "<type> <size>\0" + content. Any thread.
[[nodiscard]] ObjectId hash_object(ObjectType type, std::string_view content) noexcept;

/// As hash_object(ObjectType::blob, …), with collision detection. Any thread.
/// Errors: repository (the content is part of a SHA-1 collision attack).
[[nodiscard]] Result<ObjectId> hash_blob(std::string_view content) noexcept;

/// 40 lower-case hex digits.
[[nodiscard]] std::string to_hex(const ObjectId& id);

/// Takes 40 hex digits, either case. Errors: repository (anything else).
[[nodiscard]] Result<ObjectId> from_hex(std::string_view hex);

}  // namespace pawl::git

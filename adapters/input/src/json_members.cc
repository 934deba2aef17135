#include "json_members.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

#include "json_check.h"
#include "text.h"

namespace pawl::input {
namespace {

constexpr std::size_t kFirstCapacity = 4096;

std::string_view without_space_behind(std::string_view text) noexcept {
  return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
}

}  // namespace

std::string_view JsonMember::kind() const noexcept {
  switch (first()) {
    case '"': return "a string";
    case '{': return "an object";
    case '[': return "an array";
    case 't': return "true";
    case 'f': return "false";
    case 'n': return "null";
    default: return "a number";
  }
}

Parsed<void> JsonMembers::split(std::string_view text, Trust trust) {
  members_.clear();
  // Capacity in powers of two: else simdjson allocates anew for every line a byte longer than all before.
  const std::size_t capacity = std::max(kFirstCapacity, std::bit_ceil(text.size()));
  if (trust == Trust::unchecked) {
    if (checker_.capacity() < text.size() && checker_.allocate(capacity) != simdjson::SUCCESS) {
      return fault_at(Fault::kNowhere, "out of memory for a line of " + std::to_string(text.size()) + " bytes");
    }
    if (auto checked = check(text); !checked) return checked;
  }
  auto error = simdjson::SUCCESS;
  if (splitter_.capacity() < text.size()) error = splitter_.allocate(capacity);
  simdjson::ondemand::document document;
  if (!error) error = splitter_.iterate(text.data(), text.size(), text.size() + kJsonPadding).get(document);
  if (!error) error = text.front() == '{' ? split_object(document) : split_array(document);
  if (error) return fault_at(0, std::string("not usable JSON: ") + simdjson::error_message(error));
  return {};
}

Parsed<void> JsonMembers::check(std::string_view text) {
  simdjson::dom::element ignored;
  const auto error = checker_.parse(text.data(), text.size(), /*realloc_if_needed=*/false).get(ignored);
  if (!error) return {};
  if (auto fault = find_text_fault(text)) return std::unexpected(std::move(*fault));
  if (auto fault = find_json_fault(text)) return std::unexpected(std::move(*fault));
  return {};
}

simdjson::error_code JsonMembers::split_object(simdjson::ondemand::document& document) {
  simdjson::ondemand::object object;
  if (auto error = document.get_object().get(object)) return error;
  for (auto item : object) {
    simdjson::ondemand::field field;
    if (auto error = std::move(item).get(field)) return error;
    std::string_view name;
    if (auto error = field.unescaped_key().get(name)) return error;
    if (auto error = add(name, field.value())) return error;
  }
  return simdjson::SUCCESS;
}

simdjson::error_code JsonMembers::split_array(simdjson::ondemand::document& document) {
  simdjson::ondemand::array array;
  if (auto error = document.get_array().get(array)) return error;
  for (auto item : array) {
    simdjson::ondemand::value value;
    if (auto error = std::move(item).get(value)) return error;
    if (auto error = add({}, value)) return error;
  }
  return simdjson::SUCCESS;
}

simdjson::error_code JsonMembers::add(std::string_view name, simdjson::ondemand::value value) {
  JsonMember member;
  member.name = name;
  member.raw = value.raw_json_token();
  switch (member.first()) {
    case '{': {
      simdjson::ondemand::object object;
      if (auto error = value.get_object().get(object)) return error;
      if (auto error = object.raw_json().get(member.raw)) return error;
      break;
    }
    case '[': {
      simdjson::ondemand::array array;
      if (auto error = value.get_array().get(array)) return error;
      if (auto error = array.raw_json().get(member.raw)) return error;
      break;
    }
    case '"': member.has_text = value.get_string().get(member.text) == simdjson::SUCCESS; break;
    default: break;  // the next step of the iteration skips it
  }
  member.raw = without_space_behind(member.raw);
  members_.push_back(member);
  return simdjson::SUCCESS;
}

const JsonMember* JsonMembers::find(std::string_view name) const noexcept {
  const auto found = std::ranges::find(members_, name, &JsonMember::name);
  return found == members_.end() ? nullptr : &*found;
}

const JsonMember* JsonMembers::find_duplicate() {
  sorted_.clear();
  for (const JsonMember& member : members_) sorted_.push_back(&member);
  // By name, then by place: of two equal names the later one comes second.
  std::ranges::sort(sorted_, [](const JsonMember* a, const JsonMember* b) {
    const int order = a->name.compare(b->name);
    return order != 0 ? order < 0 : a < b;
  });
  const auto found = std::ranges::adjacent_find(sorted_, {}, &JsonMember::name);
  return found == sorted_.end() ? nullptr : *(found + 1);
}

}  // namespace pawl::input

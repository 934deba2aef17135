// JsonWriter: writes one JSON object, field by field, as text that is always valid JSON and valid UTF-8.
//
// For the few small objects of this folder. Not for bodies of tasks: it does not check that names are unique, and
// copies what it is given.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pawl::observe {

class JsonWriter {
 public:
  JsonWriter() { out_ = "{"; }

  void field(std::string_view name, std::uint64_t value);
  void field(std::string_view name, std::optional<std::uint64_t> value);  // null if there is none
  void field(std::string_view name, double value);                        // null if not finite
  void field(std::string_view name, std::string_view value);              // invalid UTF-8 becomes U+FFFD
  void flag(std::string_view name, bool value);
  void begin(std::string_view name);       // opens an object as a field
  void end();                              // closes it
  void begin_list(std::string_view name);  // opens an array of objects as a field
  void begin_item();                       // opens an object in it; end() closes it
  void end_list();                         // closes the array

  /// Closes the outermost object and gives the text away.
  [[nodiscard]] std::string take();

 private:
  void name(std::string_view name);
  void text(std::string_view value);

  std::string out_;
};

}  // namespace pawl::observe

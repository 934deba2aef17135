// Rates on the command line: "10/s", "500/m" or "90000/h", and how much of it may go at once after a comma: "500/m,50".
#pragma once

#include <string>

#include <pawl/http.h>

namespace pawl::tool {

struct RateText {
  http::Rate value;  // count 0: none
};

/// Called by CLI11 for options of this type. False: not a rate. "0" is none.
bool lexical_cast(const std::string& text, RateText& rate);

/// As lexical_cast() reads it.
[[nodiscard]] std::string to_text(const RateText& rate);

}  // namespace pawl::tool

// Which format does an input have, judged by its first line that is not blank?
#pragma once

#include <string>
#include <string_view>

#include <pawl/input.h>

namespace pawl::input {

struct Choice {
  Format format = Format::batch;
  std::string why;  // "it begins with a URL"
};

/// `line` is not blank and has kJsonPadding readable bytes behind it. A line that is meant as a batch line but is
/// broken must be taken for one, so that the error says what is wrong with it.
[[nodiscard]] Choice choose_format(std::string_view line);

}  // namespace pawl::input

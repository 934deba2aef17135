#include "layout.h"

#include <array>
#include <cstdint>
#include <utility>

#include <pawl/git.h>

#include "hex.h"

namespace pawl::git {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

// Collects components; a component goes out when the separator after it is seen.
class PathWriter {
 public:
  explicit PathWriter(std::string& path) : path_(path) { path_.clear(); }

  void add(char c) { component_ += c; }

  void separate() {
    // Slashes in front would be an absolute path, which only means "from the root of the repository" here.
    if (path_.empty() && component_.empty()) return;
    end_component();
  }

  void name_what_has_none() {
    if (component_.empty()) component_ = "index";
  }

  void finish() {
    name_what_has_none();
    end_component();
  }

 private:
  void end_component() {
    if (!path_.empty()) path_ += '/';
    path_ += safe_component(component_);
    component_.clear();
  }

  std::string& path_;
  std::string component_;
};

void add_splitting(PathWriter& writer, std::string_view text) {
  for (const char c : text) {
    if (c == '/') {
      writer.separate();
    } else {
      writer.add(c);
    }
  }
}

void add_url_path(PathWriter& writer, std::string_view path) {
  if (path.empty()) path = "/";
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '/') {
      writer.separate();
      continue;
    }
    const bool escape =
        path[i] == '%' && i + 2 < path.size() && hex_value(path[i + 1]) >= 0 && hex_value(path[i + 2]) >= 0;
    if (escape) {
      writer.add(static_cast<char>(hex_value(path[i + 1]) * 16 + hex_value(path[i + 2])));
      i += 2;
    } else {
      writer.add(path[i]);
    }
  }
}

}  // namespace

UrlParts split_url(std::string_view url) noexcept {
  const std::size_t scheme = url.find("://");
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find('#'));
  UrlParts parts;
  if (const std::size_t mark = url.find('?'); mark != std::string_view::npos) {
    parts.query = url.substr(mark + 1);
    url = url.substr(0, mark);
  }
  if (const std::size_t slash = url.find('/'); slash != std::string_view::npos) {
    parts.path = url.substr(slash);
    url = url.substr(0, slash);
  }
  const std::size_t user = url.rfind('@');
  parts.host = user == std::string_view::npos ? url : url.substr(user + 1);
  return parts;
}

Result<PathTemplate> PathTemplate::parse(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, Field>, 6> kFields = {{{"host", Field::host},
                                                                          {"path", Field::path},
                                                                          {"query", Field::query},
                                                                          {"?query", Field::query_if_any},
                                                                          {"stream", Field::stream},
                                                                          {"id", Field::id}}};
  auto pieces = parse_template("path", text, kFields);
  if (!pieces) return std::unexpected(pieces.error());
  PathTemplate parsed;
  parsed.pieces_ = std::move(*pieces);
  return parsed;
}

void PathTemplate::fill(const Request& request, std::string& path) const {
  const UrlParts url = split_url(request.url);
  PathWriter writer(path);
  for (const auto& piece : pieces_) {
    switch (piece.field) {
      case Field::literal: add_splitting(writer, piece.text); break;
      case Field::stream: add_splitting(writer, request.stream); break;
      case Field::id: add_splitting(writer, request.id); break;
      case Field::path: add_url_path(writer, url.path); break;
      case Field::host:
        for (const char c : url.host) writer.add(lower(c));  // hosts have no case (RFC 9110 section 4.2.3)
        break;
      case Field::query_if_any:
        if (url.query.empty()) break;
        writer.name_what_has_none();
        writer.add('?');
        [[fallthrough]];
      case Field::query:
        for (const char c : url.query) writer.add(c);
        break;
    }
  }
  writer.finish();
}

}  // namespace pawl::git

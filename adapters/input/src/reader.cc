#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <pawl/input.h>

#include "batch_line.h"
#include "body_template.h"
#include "detect.h"
#include "fault.h"
#include "folder.h"
#include "id_table.h"
#include "line_source.h"
#include "options.h"
#include "text.h"

namespace pawl::input {

struct Reader::Impl {
  Impl(Source from, Options chosen)
      : source(std::move(from)),
        options(std::move(chosen)),
        batch(options, source.name),
        body_template(options.body_template) {}

  [[nodiscard]] Result<void> open();
  [[nodiscard]] Result<void> open_files(bool folder);
  [[nodiscard]] Result<void> detect();
  [[nodiscard]] Result<void> settle(Format chosen, std::string why);
  [[nodiscard]] Result<bool> next_line(Request& request);
  [[nodiscard]] Result<bool> next_file(Request& request);
  [[nodiscard]] Parsed<void> parse(std::string_view line, Request& request);
  [[nodiscard]] Parsed<void> parse_line(std::string_view line, Request& request);
  [[nodiscard]] Parsed<void> parse_url(std::string_view line, Request& request);
  [[nodiscard]] Parsed<void> check_new(const Request& request);
  void put_headers(Request& request) const { request.headers = options.headers; }

  Source source;
  Options options;
  Format format = Format::automatic;
  std::string how_chosen;
  bool cancelled = false;

  std::optional<LineSource> lines;   // of all formats but files
  std::optional<FolderWalk> folder;  // of files, unless the source is one file
  BatchLine batch;
  BodyTemplate body_template;
  IdTable ids;
  std::string target;        // the URL of lines and files
  std::string content_type;  // of lines: empty until the first one is seen

  bool file_pending = false;  // files: the source is one file, not read yet
  std::uint64_t files_seen = 0;
  std::uint64_t file_bytes = 0;
  std::optional<std::uint64_t> file_bytes_total;
};

Result<void> Reader::Impl::open() {
  struct stat info{};
  const bool standard_input = source.path == "-";
  if (!standard_input && source.fd < 0 && ::stat(source.path.c_str(), &info) != 0) {
    const int error = errno;
    return failure(ErrorCode::input, "cannot open " + source.path + ": " + std::strerror(error), error);
  }
  const bool is_folder = S_ISDIR(info.st_mode);
  if (options.format == Format::files || (options.format == Format::automatic && is_folder)) {
    if (standard_input || source.fd >= 0)
      return failure(ErrorCode::usage, "format files needs a folder or a file, not standard input");
    if (!is_folder) file_bytes_total = static_cast<std::uint64_t>(info.st_size);
    return open_files(is_folder);
  }
  auto opened = source.fd >= 0 ? LineSource::open(source.fd, source.path, options.line_bytes_max, options.cancel_fd)
                               : LineSource::open(source.path, options.line_bytes_max, options.cancel_fd);
  if (!opened) return std::unexpected(std::move(opened.error()));
  lines.emplace(std::move(*opened));
  if (options.format == Format::automatic) return detect();
  return settle(options.format, "as asked");
}

Result<void> Reader::Impl::open_files(bool is_folder) {
  if (is_folder) {
    folder.emplace(source.path, options.passed_over);
  } else {
    file_pending = true;
  }
  const std::string_view why = is_folder ? "the input is a folder" : "as asked";
  return settle(Format::files, std::string(why));
}

Result<void> Reader::Impl::detect() {
  while (true) {
    auto got = lines->next();
    if (!got) return std::unexpected(std::move(got.error()));
    if (*got != LineSource::Got::line) return settle(Format::batch, "the input is empty");
    if (is_blank(lines->text())) continue;
    Choice choice = choose_format(lines->text());
    lines->unread();
    return settle(choice.format, "line " + std::to_string(lines->number()) + " " + choice.why);
  }
}

Result<void> Reader::Impl::settle(Format chosen, std::string why) {
  format = chosen;
  how_chosen = std::string(name_of(chosen)) + ": " + std::move(why);
  if (auto fits = check_fit(options, chosen); !fits) {
    fits.error().context += " (" + how_chosen + ")";
    return fits;
  }
  content_type = options.content_type;
  if (chosen == Format::files && content_type.empty()) content_type = "application/octet-stream";
  if (chosen == Format::lines || chosen == Format::files) {
    if (auto joined = batch.absolute_url(options.url, target); !joined) {
      return failure(ErrorCode::usage, "input option url: expected " + joined.error());
    }
  }
  return {};
}

Result<bool> Reader::Impl::next_line(Request& request) {
  while (true) {
    auto got = lines->next();
    if (!got) return std::unexpected(std::move(got.error()));
    cancelled = *got == LineSource::Got::cancelled;
    if (*got != LineSource::Got::line) return false;
    const std::string_view line = lines->text();
    if (is_blank(line) || (format == Format::urls && trimmed(line).starts_with('#'))) continue;
    auto parsed = parse(line, request);
    if (parsed && format != Format::lines) parsed = check_new(request);
    if (!parsed) return bad_line(lines->shown_path(), lines->number(), parsed.error());
    return true;
  }
}

Parsed<void> Reader::Impl::parse(std::string_view line, Request& request) {
  if (format == Format::batch) return batch.parse(line, request);
  if (auto fault = find_text_fault(line)) return std::unexpected(std::move(*fault));
  return format == Format::urls ? parse_url(line, request) : parse_line(line, request);
}

Parsed<void> Reader::Impl::parse_line(std::string_view line, Request& request) {
  if (content_type.empty()) {
    const char first = trimmed(line).front();
    const bool json = !options.body_template.empty() || first == '{' || first == '[';
    content_type = json ? "application/json" : "text/plain; charset=utf-8";
  }
  if (auto read = batch.read_stream(line, request.stream); !read) return read;
  request.id.assign(source.name).append(":").append(std::to_string(lines->number()));
  request.method.assign(options.method.empty() ? "POST" : options.method);
  request.url.assign(target);
  request.content_type.assign(content_type);
  body_template.render(line, request.body);
  put_headers(request);
  return {};
}

Parsed<void> Reader::Impl::parse_url(std::string_view line, Request& request) {
  const std::string_view url = trimmed(line);
  if (auto fault = find_url_fault(url)) {
    return fault_at(offset_in(line, url), "expected " + *fault + ", got " + shown_url(url));
  }
  request.stream.assign(source.name);
  request.id.assign(url);
  request.method.assign(options.method.empty() ? "GET" : options.method);
  request.url.assign(url);
  request.content_type.assign(content_type);
  request.body.clear();
  put_headers(request);
  return {};
}

Parsed<void> Reader::Impl::check_new(const Request& request) {
  const auto earlier = ids.insert(request.id, lines->number());
  if (!earlier) return {};
  const std::string got = in_quotes(request.id) + ", which line " + std::to_string(*earlier) + " has";
  if (format == Format::urls) return fault_at(Fault::kNowhere, "expected a new URL, got " + got);
  return fault_in_field(Fault::kNowhere, "custom_id", "an id that no earlier line has", got);
}

Result<bool> Reader::Impl::next_file(Request& request) {
  std::string path = source.path;
  if (folder) {
    auto found = folder->next(request.id);
    if (!found || !*found) return found;
    path = folder->full_path(request.id);
  } else {
    if (!std::exchange(file_pending, false)) return false;
    request.id.assign(source_name(source.path));
  }
  ++files_seen;
  const auto read = read_file(path, options.line_bytes_max, request.body);
  if (!read) return std::unexpected(read.error());
  file_bytes += *read;
  request.stream.assign(source.name);
  request.method.assign(options.method.empty() ? "POST" : options.method);
  request.url.assign(target);
  request.content_type.assign(content_type);
  put_headers(request);
  return true;
}

Result<std::unique_ptr<Reader>> Reader::open(Source source, Options options) {
  if (auto valid = options.validate(); !valid) return std::unexpected(std::move(valid.error()));
  if (source.name.empty()) source.name = source_name(source.path);
  auto impl = std::make_unique<Impl>(std::move(source), std::move(options));
  if (auto opened = impl->open(); !opened) return std::unexpected(std::move(opened.error()));
  return std::unique_ptr<Reader>(new Reader(std::move(impl)));
}

Reader::Reader(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Reader::~Reader() = default;

Result<bool> Reader::next(Request& request) noexcept {
  return impl_->format == Format::files ? impl_->next_file(request) : impl_->next_line(request);
}

Format Reader::format() const noexcept { return impl_->format; }
const std::string& Reader::how_chosen() const noexcept { return impl_->how_chosen; }
bool Reader::cancelled() const noexcept { return impl_->cancelled; }

std::uint64_t Reader::line() const noexcept { return impl_->lines ? impl_->lines->number() : impl_->files_seen; }

std::uint64_t Reader::bytes_read() const noexcept {
  return impl_->lines ? impl_->lines->bytes_read() : impl_->file_bytes;
}

std::optional<std::uint64_t> Reader::bytes_total() const noexcept {
  return impl_->lines ? impl_->lines->bytes_total() : impl_->file_bytes_total;
}

}  // namespace pawl::input

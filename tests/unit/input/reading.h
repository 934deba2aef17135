// What the input tests share: write an input to a real file, read all of it, keep tasks and errors.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <pawl/input.h>

namespace pawl::input {

inline void write_file(const std::filesystem::path& path, std::string_view content) {
  std::ofstream out(path, std::ios::binary);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  ASSERT_TRUE(out.good()) << path;
}

inline const Options kBatch{.format = Format::batch, .base_url = "https://api.test"};

struct ReadAll {
  std::vector<Request> tasks;
  std::vector<Error> errors;
};

/// Reads to the end; gives up after a million steps, so that a reader that does not move on fails the test.
inline ReadAll read_all(Reader& reader) {
  ReadAll all;
  Request request;  // one for all: the reader must set every field each time
  for (int step = 0; step < 1'000'000; ++step) {
    auto got = reader.next(request);
    if (!got) {
      all.errors.push_back(got.error());
    } else if (*got) {
      all.tasks.push_back(request);
    } else {
      return all;
    }
  }
  ADD_FAILURE() << "the reader does not come to an end";
  return all;
}

inline std::unique_ptr<Reader> open_reader(const std::filesystem::path& path, Options options) {
  auto opened = Reader::open({path.string(), ""}, std::move(options));
  if (!opened) {
    ADD_FAILURE() << opened.error().context;
    return nullptr;
  }
  return std::move(*opened);
}

/// The error of opening; empty context if it opened.
inline Error open_error(const Source& source, Options options) {
  auto opened = Reader::open(source, std::move(options));
  return opened ? Error{ErrorCode::unsupported, "", 0} : opened.error();
}

inline bool same_task(const Request& a, const Request& b) {
  return a.stream == b.stream && a.id == b.id && a.method == b.method && a.url == b.url &&
         a.content_type == b.content_type && a.headers == b.headers && a.body == b.body;
}

/// From PAWL_SEED, or fresh; printed, so that a failure can be run again.
inline std::uint64_t random_seed() {
  const char* given = std::getenv("PAWL_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "PAWL_SEED=" << seed << '\n';
  return seed;
}

}  // namespace pawl::input

#include "task_lines.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace pawl::load {
namespace {

constexpr std::size_t kWordsBytes = 1 << 20;
constexpr std::string_view kBodyEnd = R"("}]})";
constexpr std::array<std::string_view, 48> kWords = {
    "amber",  "answer",   "autumn",  "basin",   "because", "bridge", "candle", "carry",  "cloud",  "cotton",
    "delta",  "early",    "ember",   "fable",   "field",   "forest", "garden", "glass",  "harbor", "hollow",
    "island", "journey",  "kernel",  "lantern", "ledger",  "margin", "meadow", "minute", "mirror", "mortar",
    "needle", "northern", "orchard", "paper",   "quiet",   "ribbon", "river",  "salt",   "seven",  "shadow",
    "signal", "slowly",   "stone",   "thread",  "timber",  "under",  "velvet", "winter"};

std::size_t digits_of(std::uint64_t number) { return std::to_string(number).size(); }

void append_padded(std::string& out, std::uint64_t number, std::size_t width) {
  std::array<char, 20> digits;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  const auto size = static_cast<std::size_t>(end - digits.data());
  if (size < width) out.append(width - size, '0');
  out.append(digits.data(), size);
}

}  // namespace

Result<void> TaskOptions::validate() const {
  if (count < 1 || count > 1'000'000'000'000)
    return failure(ErrorCode::usage, "count must be 1 to 1000000000000, not " + std::to_string(count));
  if (streams < 1 || streams > 1'000'000'000)
    return failure(ErrorCode::usage, "streams must be 1 to 1000000000, not " + std::to_string(streams));
  if (body_bytes > 64u << 20) return failure(ErrorCode::usage, "body bytes must be at most 67108864");
  const bool plain = std::ranges::all_of(model, [](char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; });
  if (!plain || model.empty()) return failure(ErrorCode::usage, "the model must be plain text without quotes");
  return {};
}

TaskLines::TaskLines(const TaskOptions& options)
    : options_(options),
      random_state_(options.seed),
      task_digits_(std::max<std::size_t>(6, digits_of(options.count))),
      stream_digits_(std::max<std::size_t>(2, digits_of(options.streams))) {
  const std::string body_begin = R"({"model":")" + options_.model + R"(","messages":[{"role":"user","content":")";
  before_content_ = R"(","method":"POST","url":"/v1/chat/completions","body":)" + body_begin;
  content_bytes_ = options_.body_bytes - std::min(options_.body_bytes, body_begin.size() + kBodyEnd.size());
  while (words_.size() < kWordsBytes) words_.append(kWords[draw() % kWords.size()]).append(1, ' ');
}

bool TaskLines::append_next(std::string& out) {
  if (made_ == options_.count) return false;
  const std::uint64_t stream = next_stream();
  ++made_;
  out += R"({"custom_id":"task-)";
  append_padded(out, made_, task_digits_);
  out += R"(","stream":"stream-)";
  append_padded(out, stream + 1, stream_digits_);
  out += before_content_;
  append_content(out);
  out += kBodyEnd;
  out += "}\n";
  return true;
}

// Begins with the task's number, so that no two bodies are alike where there is room for it.
void TaskLines::append_content(std::string& out) {
  const std::size_t begin = out.size();
  append_padded(out, made_, task_digits_);
  out += ' ';
  out.resize(begin + std::min<std::uint64_t>(out.size() - begin, content_bytes_));
  std::uint64_t left = content_bytes_ - (out.size() - begin);
  std::size_t from = draw() % words_.size();
  while (left > 0) {
    const std::size_t piece = static_cast<std::size_t>(std::min<std::uint64_t>(left, words_.size() - from));
    out.append(words_, from, piece);
    left -= piece;
    from = 0;
  }
}

std::uint64_t TaskLines::next_stream() noexcept {
  switch (options_.interleave) {
    case Interleave::round_robin: return made_ % options_.streams;
    case Interleave::random: return draw() % options_.streams;
    case Interleave::blocks: {
      const std::uint64_t block = (options_.count + options_.streams - 1) / options_.streams;
      return made_ / block;
    }
  }
  return 0;
}

// Steele, Lea and Flood's SplitMix64.
std::uint64_t TaskLines::draw() noexcept {
  random_state_ += 0x9e3779b97f4a7c15u;
  std::uint64_t mixed = random_state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}

}  // namespace pawl::load

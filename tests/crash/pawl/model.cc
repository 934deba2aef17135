#include "model.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "repository_check.h"

namespace pawl::test {

Model::Model(std::string name, unsigned tasks, unsigned streams, std::uint64_t seed)
    : name_(std::move(name)), tasks_(tasks) {
  std::mt19937_64 random(seed);
  for (unsigned i = 0; i < tasks; ++i) {
    const std::string stream = fmt::format("stream-{}", random() % streams);
    const std::string id = fmt::format("task-{}", i);
    const std::string padding(random() % 16 == 0 ? 9000 : random() % 300, 'x');
    const std::string body =
        fmt::format(R"({{"model":"m","messages":[{{"role":"user","content":"question {} {}"}}]}})", i, padding);
    input_ += fmt::format(
        R"({{"custom_id":"{}","stream":"{}","method":"POST","url":"/v1/chat/completions","headers":{{"Idempotency-Key":"{}"}},"body":{}}})"
        "\n",
        id, stream, key_of(stream, id), body);
    asked_[stream].push_back(id);
    requests_[{stream, id}] = body;
  }
}

std::string Model::key_of(const std::string& stream, const std::string& id) const {
  return name_ + "/" + stream + "/" + id;
}

Model::Difference Model::compare(const std::filesystem::path& repo, Expect expect,
                                 const std::set<std::string>& keys) const {
  Difference difference;
  const auto note = [&](std::uint64_t& count, std::string text) {
    ++count;
    if (difference.notes.size() < 20) difference.notes.push_back(std::move(text));
  };
  std::map<std::pair<std::string, std::string>, int> times;
  std::map<std::string, std::vector<std::string>> found;
  std::map<std::string, std::uint64_t> last_seq;
  for (const auto& commit : committed_records(repo)) {
    for (const auto& record : commit) {
      const std::string shown = record.stream + " " + record.id;
      if (++times[{record.stream, record.id}] > 1) {
        note(difference.twice, "committed twice: " + shown);
        continue;
      }
      const auto request = requests_.find({record.stream, record.id});
      if (request == requests_.end() || record.request_body != request->second)
        note(difference.wrong, "not what was asked: " + shown);
      const auto [last, first] = last_seq.try_emplace(record.stream, record.seq);
      if (!first && record.seq <= last->second) note(difference.out_of_order, "committed out of order: " + shown);
      last->second = record.seq;
      found[record.stream].push_back(record.id);
    }
  }
  for (const auto& [stream, ids] : asked_) {
    for (const auto& id : ids) {
      if (times.contains({stream, id})) continue;
      if (expect == Expect::all || keys.contains(key_of(stream, id)))
        note(difference.lost, "not there: " + stream + " " + id);
    }
    // Those that are there must stand in the order of the input.
    std::size_t at = 0;
    for (const auto& id : found[stream]) {
      const auto place = std::find(ids.begin() + static_cast<std::ptrdiff_t>(at), ids.end(), id);
      if (place == ids.end())
        note(difference.out_of_order, "in another order than asked for: " + stream + " " + id);
      else
        at = static_cast<std::size_t>(place - ids.begin()) + 1;
    }
  }
  return difference;
}

}  // namespace pawl::test

#include "counts.h"

#include <algorithm>

#include "api.h"

namespace pawl::mockapi {

KeyCount& Counts::call_of(std::string_view key) {
  auto found = keys_.find(key);
  if (found == keys_.end()) {
    found = keys_.emplace(std::string(key), KeyCount{}).first;
    ++totals.keys;
  }
  KeyCount& count = found->second;
  ++count.calls;
  totals.key_calls_max = std::max(totals.key_calls_max, count.calls);
  return count;
}

void Counts::answered(int status, KeyCount* key) {
  ++totals.answered;
  ++totals.by_status[status];
  if (key == nullptr || status < 200 || status > 299) return;
  if (++key->answered_2xx == 2) ++totals.keys_answered_2xx_more_than_once;
}

void Counts::entered() noexcept {
  ++totals.calls;
  ++totals.in_flight;
  totals.in_flight_peak = std::max(totals.in_flight_peak, totals.in_flight);
}

void Counts::forget() {
  Stats fresh;
  fresh.connections_open = totals.connections_open;
  fresh.connections_total = totals.connections_open;
  fresh.in_flight = totals.in_flight;
  fresh.in_flight_peak = totals.in_flight;
  totals = fresh;
  keys_.clear();
}

std::vector<KeyStats> Counts::keys() const {
  std::vector<KeyStats> all;
  all.reserve(keys_.size());
  for (const auto& [key, count] : keys_) all.push_back({key, count.calls, count.answered_2xx});
  return all;
}

void Counts::append_json(std::string& out) const {
  const std::pair<std::string_view, std::uint64_t> figures[] = {
      {"calls", totals.calls},
      {"answered", totals.answered},
      {"errors_injected", totals.errors_injected},
      {"rate_limited", totals.rate_limited},
      {"dropped", totals.dropped},
      {"truncated", totals.truncated},
      {"slowed", totals.slowed},
      {"abandoned", totals.abandoned},
      {"malformed", totals.malformed},
      {"connections_open", totals.connections_open},
      {"connections_total", totals.connections_total},
      {"in_flight", totals.in_flight},
      {"in_flight_peak", totals.in_flight_peak},
      {"queued", totals.queued},
      {"delayed", totals.delayed},
      {"keys", totals.keys},
      {"key_calls_max", totals.key_calls_max},
      {"keys_answered_2xx_more_than_once", totals.keys_answered_2xx_more_than_once},
  };
  out += '{';
  for (const auto& [name, figure] : figures) {
    out.append(1, '"').append(name).append("\":");
    append_number(out, figure);
    out += ',';
  }
  out += R"("delay_ms_sum":)" + std::to_string(totals.delay_ms_sum);
  out += R"(,"delay_ms_max":)" + std::to_string(totals.delay_ms_max);
  out += R"(,"cpu_ms":)" + std::to_string(totals.cpu_ms);
  out += R"(,"by_status":{)";
  bool first = true;
  for (const auto& [status, count] : totals.by_status) {
    out += first ? "\"" : ",\"";
    first = false;
    append_number(out, static_cast<std::uint64_t>(status));
    out += "\":";
    append_number(out, count);
  }
  out += "}}\n";
}

void Counts::append_key_lines(std::string& out) const {
  for (const auto& [key, count] : keys_) {
    out.append(key).append(1, ' ');
    append_number(out, count.calls);
    out += ' ';
    append_number(out, count.answered_2xx);
    out += '\n';
  }
}

}  // namespace pawl::mockapi

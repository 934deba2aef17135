// A run as Prometheus' metric families. They are made from a RunView when somebody asks, so counting costs what it
// costs without them. Names and units follow https://prometheus.io/docs/practices/naming/.
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <initializer_list>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <pawl/web.h>

#include "text.h"

namespace pawl::observe {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

class Families {
 public:
  void begin(MetricType type, std::string name, std::string help) {
    all_.push_back({std::move(name), std::move(help), type, {}});
  }
  void value(double number, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (all_.back().type == MetricType::Counter)
      metric.counter.value = number;
    else
      metric.gauge.value = number;
    all_.back().metric.push_back(std::move(metric));
  }
  void value(std::uint64_t number, Labels labels = {}) { value(static_cast<double>(number), std::move(labels)); }

  template <class Number>
  void counter(std::string name, std::string help, Number number) {
    begin(MetricType::Counter, std::move(name), std::move(help));
    value(number);
  }
  template <class Number>
  void gauge(std::string name, std::string help, Number number) {
    begin(MetricType::Gauge, std::move(name), std::move(help));
    value(number);
  }
  /// One of `states` is so, and has the value 1.
  void state(std::initializer_list<std::string_view> states, std::string_view now, const Labels& labels = {}) {
    for (const auto one : states) {
      Labels with = labels;
      with.push_back({"state", std::string(one)});
      value(one == now ? 1.0 : 0.0, std::move(with));
    }
  }
  void value(const HistogramView& view, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.histogram.sample_count = view.count;
    metric.histogram.sample_sum = view.sum_s;
    for (const auto& bucket : view.buckets) metric.histogram.bucket.push_back({bucket.count, bucket.at_most_s});
    metric.histogram.bucket.push_back({view.count, std::numeric_limits<double>::infinity()});
    all_.back().metric.push_back(std::move(metric));
  }
  [[nodiscard]] const std::vector<MetricFamily>& all() const { return all_; }

 private:
  std::vector<MetricFamily> all_;
};

double seconds(std::chrono::milliseconds time) { return std::chrono::duration<double>(time).count(); }

void add_tasks(Families& out, const RunView& view) {
  const Status& status = view.status;
  out.begin(MetricType::Counter, "pawl_tasks_total", "Tasks that have passed a stage.");
  out.value(status.admitted, {{"stage", "admit"}});
  out.value(status.saved, {{"stage", "save"}});
  out.value(status.called, {{"stage", "call"}});
  out.value(status.ordered, {{"stage", "order"}});
  out.value(status.retired, {{"stage", "retire"}});
  out.begin(MetricType::Counter, "pawl_tasks_retired_total", "Tasks that have left, by what became of them.");
  out.value(status.committed - status.failed, {{"result", "succeeded"}});
  out.value(status.failed, {{"result", "failed"}});
  out.value(status.unfinished, {{"result", "unfinished"}});
  out.counter("pawl_tasks_unchanged_total", "Tasks whose content the branch held already.", status.unchanged);
  out.counter("pawl_tasks_skipped_total", "Tasks of inputs that were committed before.", view.skipped);
  out.counter("pawl_tasks_recovered_total", "Tasks that an earlier run had accepted.", view.recovered);
  out.counter("pawl_tasks_read_total", "Tasks read from inputs, the skipped ones included.", view.inputs_read);
  out.counter("pawl_input_lines_bad_total", "Lines of inputs that were left out.", view.bad_lines);
  out.counter("pawl_input_bytes_total", "Bytes of inputs that were read.", view.bytes_read);
  if (const auto total = view.total())
    out.gauge("pawl_tasks_expected", "Tasks there will be: known, or estimated from the bytes read.", *total);
}

void add_stages(Families& out, const RunView& view) {
  struct Named {
    const char* name;
    const StageView& stage;
  };
  const std::array stages = {Named{"save", view.save}, Named{"call", view.call}, Named{"commit", view.commit}};
  out.begin(MetricType::Gauge, "pawl_stage_tasks", "Tasks in a stage.");
  for (const auto& [name, stage] : stages) out.value(stage.depth, {{"stage", name}});
  out.begin(MetricType::Gauge, "pawl_stage_latency_seconds",
            "Time that tasks were in a stage (call: that attempts took), since the start; no value: none yet.");
  for (const auto& [name, stage] : stages) {
    if (stage.latency.max_ms <= 0) continue;
    out.value(stage.latency.p50_ms / 1000, {{"stage", name}, {"percentile", "50"}});
    out.value(stage.latency.p90_ms / 1000, {{"stage", name}, {"percentile", "90"}});
    out.value(stage.latency.p99_ms / 1000, {{"stage", name}, {"percentile", "99"}});
    out.value(stage.latency.p999_ms / 1000, {{"stage", name}, {"percentile", "99.9"}});
    out.value(stage.latency.max_ms / 1000, {{"stage", name}, {"percentile", "100"}});
  }
  out.begin(MetricType::Histogram, "pawl_stage_duration_seconds",
            "Time that tasks were in a stage (of calls: pawl_call_duration_seconds); bounds to within 4 %.");
  out.value(view.save.times, {{"stage", "save"}});
  out.value(view.commit.times, {{"stage", "commit"}});
  out.gauge("pawl_tasks_in_flight", "Tasks admitted and not retired.", view.status.in_flight());
  out.gauge("pawl_in_flight_bytes", "Bytes of requests and responses that are held.", view.status.bytes_in_flight);
  out.gauge("pawl_calls_in_flight", "Calls on the wire.", view.calling());
}

void add_calls(Families& out, const RunView& view) {
  out.begin(MetricType::Histogram, "pawl_call_duration_seconds",
            "Time of one attempt of a call; bounds to within 4 %.");
  out.value(view.call.times);
  out.counter("pawl_call_retries_total", "Calls made again.", view.retried);
  const BudgetView& budget = view.budget;
  out.counter("pawl_budget_calls_total", "Calls that left this machine and have ended.", budget.calls);
  out.counter("pawl_budget_tokens_total", "Tokens that answers told of, counted only with a bound.", budget.tokens);
  if (budget.calls_max != 0) out.gauge("pawl_budget_calls_limit", "Calls that may leave.", budget.calls_max);
  if (budget.tokens_max != 0) out.gauge("pawl_budget_tokens_limit", "Tokens that may be spent.", budget.tokens_max);
}

void add_lanes(Families& out, const RunView& view) {
  struct Of {
    const LaneView& lane;
    Labels labels;
  };
  std::vector<Of> lanes;
  for (const LaneView& lane : view.lanes) {
    if (lanes.size() == kLanesShown) break;
    // Labels are UTF-8, and a model is whatever a body said.
    lanes.push_back({lane,
                     {{"origin", clean_line(lane.origin, Charset::utf8)},
                      {"model", clean_line(lane.model.substr(0, 200), Charset::utf8)}}});
  }
  if (lanes.empty()) return;
  out.begin(MetricType::Gauge, "pawl_lane_calls_in_flight", "Calls of a lane on the wire.");
  for (const auto& [lane, labels] : lanes) out.value(lane.in_flight, labels);
  out.begin(MetricType::Gauge, "pawl_lane_tasks_waiting", "Tasks that wait for their turn in a lane.");
  for (const auto& [lane, labels] : lanes) out.value(lane.waiting, labels);
  out.begin(MetricType::Gauge, "pawl_lane_calls_limit", "Calls at once that a lane may have; 0: no bound of its own.");
  for (const auto& [lane, labels] : lanes) out.value(lane.limit, labels);
  out.begin(MetricType::Gauge, "pawl_lane_paused_seconds", "For so long nothing leaves in a lane.");
  for (const auto& [lane, labels] : lanes) out.value(seconds(lane.paused), labels);
  out.begin(MetricType::Gauge, "pawl_lane_breaker", "1: the breaker of the lane's host is in this state.");
  for (const auto& [lane, labels] : lanes) out.state({"closed", "open", "half_open"}, lane.breaker, labels);
}

void add_run(Families& out, const RunView& view) {
  out.gauge("pawl_run_elapsed_seconds", "Time since the run began.", seconds(view.elapsed));
  out.begin(MetricType::Gauge, "pawl_run_phase", "1: the run is in this phase.");
  out.state({"running", "draining", "stopping", "done"}, name_of(view.phase));
  out.gauge("pawl_run_paused", "1: paused by a person, no new call leaves.", view.paused ? 1.0 : 0.0);
  if (view.eta)
    out.gauge("pawl_run_eta_seconds", "Time left at the rate of late.", static_cast<double>(view.eta->count()));
}

}  // namespace

std::string to_prometheus(const RunView& view) {
  Families out;
  add_tasks(out, view);
  add_stages(out, view);
  add_calls(out, view);
  add_lanes(out, view);
  add_run(out, view);
  return prometheus::TextSerializer().Serialize(out.all());
}

}  // namespace pawl::observe

// What a person, a script or systemd sees of a run: the live line, the summary, JSON, the status socket.
//
// Everything starts from one RunView, a snapshot that the embedder fills; the text functions are pure, so what is
// shown can be tested without a terminal. Progress and StatusSocket each own one thread and ask for a new RunView
// when they need it. Nothing here is on the way of a task: a slow terminal or reader never slows the pipeline.
//
// When not to use it: for measuring single tasks, or for numbers that must be exact at an instant (use
// Engine::status()).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <pawl/error.h>
#include <pawl/export.h>
#include <pawl/status.h>

namespace pawl::observe {

inline constexpr std::size_t kLanesShown = 64;
inline constexpr std::size_t kErrorsShown = 16;
inline constexpr std::size_t kStreamsShown = 10;

enum class Phase : std::uint8_t {
  running,   // takes tasks
  draining,  // takes no more, finishes what is called
  stopping,  // gives up what can be given up
  done,
};

/// Short, stable name of a phase ("running", …) for JSON.
[[nodiscard]] PAWL_API std::string_view name_of(Phase phase) noexcept;

/// How long something took.
struct LatencyView {
  double p50_ms = 0;
  double p90_ms = 0;
  double p99_ms = 0;
  double p999_ms = 0;  // 99.9 %
  double max_ms = 0;
};

/// How many durations were at most so long.
struct HistogramView {
  struct Bucket {
    double at_most_s = 0;
    std::uint64_t count = 0;  // those of the shorter buckets included
  };
  std::vector<Bucket> buckets;  // ascending
  std::uint64_t count = 0;      // of all
  double sum_s = 0;
};

/// One of the three stages in which tasks wait: what is in it, how quickly it gives tasks on.
struct StageView {
  std::uint64_t depth = 0;  // tasks in it: the three depths are what is in flight
  double rate_per_s = 0;    // tasks that left it lately, see Pace
  LatencyView latency;      // how long tasks were in it (call: how long attempts took); all 0: none yet
  HistogramView times{};    // of the same; for metrics and history, not in to_json()
};

/// Calls go in lanes: a server and the model its requests name, with what holds them back.
struct LaneView {
  std::string origin;                   // "https://api.example.com:443"
  std::string model;                    // empty: requests name none
  std::uint64_t in_flight = 0;          // calls on the wire
  std::uint64_t waiting = 0;            // for their turn, a time or another attempt
  std::uint64_t limit = 0;              // calls at once; 0: no bound of its own
  std::string breaker = "closed";       // "closed" (calls leave), "open" (none does), "half_open" (one asks)
  std::chrono::milliseconds paused{0};  // for so long nothing leaves
};

/// Something that went wrong, perhaps many times.
struct ErrorView {
  std::string text;  // one line
  std::uint64_t count = 0;
  std::chrono::milliseconds last_ago{0};
  std::string record{};  // path of the last one's record in the repository; empty: it has none
};

/// A stream whose oldest task has been in one place for long.
struct StreamView {
  std::string stream, id;  // of the task
  std::string waits_for;   // "saving", "calling", … (name_of(Place))
  std::chrono::milliseconds waiting{0};
};

/// What is spent, and of how much. A bound of 0: there is none.
struct BudgetView {
  std::uint64_t calls = 0, calls_max = 0;    // that left this machine
  std::uint64_t tokens = 0, tokens_max = 0;  // counted only with a bound
  std::chrono::milliseconds time_max{0};
  std::chrono::milliseconds time{0};  // spent of it: without pauses, so not always RunView::elapsed
};

/// A run at one instant.
struct PAWL_API RunView {
  Status status;
  Phase phase = Phase::running;
  std::uint64_t inputs_read = 0;             // tasks parsed from inputs, the skipped ones included
  std::uint64_t recovered = 0;               // tasks an earlier run had accepted and this one goes on with
  std::uint64_t in_doubt = 0;                // of them: perhaps called by that run, no answer known
  std::uint64_t held = 0;                    // of the unfinished: kept back on purpose, for a person to decide
  std::uint64_t skipped = 0;                 // of inputs_read: committed before, not submitted
  std::uint64_t skipped_failed = 0;          // of the skipped: what is committed is a failure
  std::uint64_t bad_lines = 0;               // input lines left out; not in inputs_read
  std::uint64_t retried = 0;                 // calls made again
  std::optional<std::uint64_t> tasks_total;  // tasks there will be, recovered ones included, if known
  std::uint64_t bytes_read = 0;              // of inputs; with bytes_total the total is estimated
  std::optional<std::uint64_t> bytes_total;  // of inputs, if known
  LatencyView latency;
  std::string note;  // what a person should know now ("host refuses connections, retrying"); one line, may be empty
  std::chrono::milliseconds elapsed{0};                   // since the run began
  double rate_per_s = 0;                                  // tasks done lately, see Pace
  std::optional<std::chrono::seconds> eta;                // time left, see Pace
  std::optional<std::chrono::seconds> eta_low, eta_high;  // between these it most likely is, see Pace
  bool paused = false;                                    // by a person: no new call leaves
  StageView save, call, commit;                           // commit: with what waits for its turn
  std::vector<LaneView> lanes;                            // at most kLanesShown
  std::vector<ErrorView> errors;                          // at most kErrorsShown distinct ones, the latest first
  std::vector<StreamView> streams;                        // at most kStreamsShown, the longest wait first
  BudgetView budget;

  /// Tasks this run is finished with: retired or skipped.
  [[nodiscard]] std::uint64_t finished() const noexcept { return status.retired + skipped; }
  [[nodiscard]] std::uint64_t calling() const noexcept;   // on the wire
  [[nodiscard]] std::uint64_t waiting() const noexcept;   // in flight, not on the wire, no outcome yet
  [[nodiscard]] std::uint64_t ordering() const noexcept;  // has an outcome, not committed yet
  /// Tasks there will be: known, else estimated from the bytes read, else none.
  [[nodiscard]] std::optional<std::uint64_t> total() const noexcept;
  /// Finished share of total(), 0 … 1.
  [[nodiscard]] std::optional<double> fraction() const noexcept;
};

/// Rates over a sliding window, and the time left by them. How much the rate swings within the window says how sure
/// that time is: the bounds are two standard errors of the rate away. Not thread-safe.
class PAWL_API Pace {
 public:
  explicit Pace(std::chrono::milliseconds window = std::chrono::seconds{10}) : window_(window) {}

  /// Takes the view into account and writes its rates (also those of its stages), `eta`, `eta_low` and `eta_high`.
  /// `view.elapsed` must not go back.
  void update(RunView& view);

 private:
  struct Sample {
    std::chrono::milliseconds at{0};
    std::uint64_t finished = 0, saved = 0, called = 0, retired = 0;
  };
  [[nodiscard]] std::optional<double> rate_error(const Sample& from, const Sample& to) const;

  std::chrono::milliseconds window_;
  std::deque<Sample> samples_;  // oldest first; the first one is at the window's edge or just before it
};

/// How text may look.
struct PAWL_API Style {
  bool utf8 = false;
  bool colour = false;

  /// What the environment asks for: UTF-8 from LC_ALL, LC_CTYPE, LANG (the first that is set), colour if `fd` is a
  /// terminal, TERM is not "dumb" and NO_COLOR is unset or empty. Reads the environment.
  [[nodiscard]] static Style of_environment(int fd);
};

inline constexpr std::size_t kNoWidthLimit = static_cast<std::size_t>(-1);

/// The live line: bar, counts, rate, time left; leaves out the less important where `columns` are too few.
/// Without the note, without a line feed. Pure.
[[nodiscard]] PAWL_API std::string render_line(const RunView& view, std::size_t columns, Style style);

/// The note as a line that fits `columns`: control characters and invalid UTF-8 replaced. Empty if there is none. Pure.
[[nodiscard]] PAWL_API std::string render_note(const RunView& view, std::size_t columns, Style style);

/// One line for logs: as the live line without a bar, with the note at its end. Pure.
[[nodiscard]] PAWL_API std::string render_plain(const RunView& view, Style style);

struct SummaryOptions {
  std::string result;        // where the results are, e.g. "results, branch main"; may be empty
  std::string next_command;  // what to type next; may be empty
  Style style;
};

/// The text at the end of a run, several lines, each with a line feed. Pure.
[[nodiscard]] PAWL_API std::string render_summary(const RunView& view, const SummaryOptions& options);

/// One JSON object on one line, no line feed, valid UTF-8; fields in adapters/observe/format.md. Pure.
[[nodiscard]] PAWL_API std::string to_json(const RunView& view);

/// A message in the same stream as to_json(): {"version":1,"message":"…"}. Pure.
[[nodiscard]] PAWL_API std::string message_to_json(std::string_view message);

enum class ProgressMode : std::uint8_t {
  automatic,  // a live line on a terminal, else a plain line now and then
  quiet,      // messages only
  json,       // one object a line
};

struct ProgressOptions {
  int fd = 2;  // borrowed; must stay open until stop()
  ProgressMode mode = ProgressMode::automatic;
  std::optional<Style> style;                     // none: Style::of_environment(fd)
  std::chrono::milliseconds redraw_every{100};    // 10 ms …: of the live line
  std::chrono::milliseconds plain_every{10'000};  // 10 ms …: of plain lines
  std::chrono::milliseconds json_every{1'000};    // 10 ms …: of JSON objects
};

/// Shows a run while it runs. Text that the file descriptor cannot take at once is left out (live line) or waited
/// for (the rest), but never longer than 200 ms once stop() is called: a stopped terminal cannot hold a run up.
class PAWL_API Progress {
 public:
  /// `sample` is called by the thread of Progress only, between start() and the return of stop().
  Progress(ProgressOptions options, std::function<RunView()> sample);
  ~Progress();  // stop()
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Starts the thread. Once.
  void start();

  /// Clears the live line, writes what is left to write (in JSON mode a last object) and joins. Idempotent; one
  /// thread.
  void stop();

  /// Writes a line above the live line. Any thread, does not wait for the file descriptor while the thread runs. Keeps
  /// at most 256 unwritten messages; then says how many it left out.
  void message(std::string text);

 private:
  struct PAWL_LOCAL Impl;
  std::unique_ptr<Impl> impl_;
};

/// Serves the state of a live run at `<folder>/status.sock`, mode 0600: who connects gets to_json() and a line feed,
/// then end of file. Folders of any path length.
class PAWL_API StatusSocket {
 public:
  /// Starts serving. `sample` is called by the socket's thread only: per connection, and once a second for the rate.
  /// A socket that nobody serves any more is replaced. Errors: io (folder missing, not writable, the name is taken by
  /// something that is no socket), locked (another process serves it).
  [[nodiscard]] static Result<std::unique_ptr<StatusSocket>> open(const std::filesystem::path& folder,
                                                                  std::function<RunView()> sample);
  /// Stops the thread and removes the socket.
  ~StatusSocket();
  StatusSocket(const StatusSocket&) = delete;
  StatusSocket& operator=(const StatusSocket&) = delete;

 private:
  struct PAWL_LOCAL Impl;
  explicit StatusSocket(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

/// Asks the live run of `folder` for its state: the JSON object, without the line feed. Blocks up to `timeout`.
/// Errors: io; with sys_errno ENOENT or ECONNREFUSED nobody serves the folder.
[[nodiscard]] PAWL_API Result<std::string> read_status(const std::filesystem::path& folder,
                                                       std::chrono::milliseconds timeout = std::chrono::seconds{2});

/// What to_json() wrote, read again. Unknown fields are passed over, missing ones keep their defaults. Errors: input
/// (not one JSON object, or of another version).
[[nodiscard]] PAWL_API Result<RunView> parse_status(std::string_view json);

/// A status for a person, from what read_status() gave; lines without a last line feed. Errors: as parse_status().
[[nodiscard]] PAWL_API Result<std::string> render_status(std::string_view json, Style style = Style::of_environment(1));

/// Tell the service manager (sd_notify(3) protocol, $NOTIFY_SOCKET). The value says whether there was one to tell.
/// Any thread. Errors: io, unsupported (an address that is neither a path nor abstract).
[[nodiscard]] PAWL_API Result<bool> notify_ready();
[[nodiscard]] PAWL_API Result<bool> notify_stopping();
[[nodiscard]] PAWL_API Result<bool> notify_status(std::string_view text);  // shown by `systemctl status`; one line

}  // namespace pawl::observe

#!/usr/bin/env python3
"""Runs the benchmarks of engine and journal beside their peers and prints one table with ratios and targets.

usage: python3 bench/compare.py --build build/release [--rounds 5] [--json out.json] [--filter REGEX]

Every benchmark runs in a process of its own, once a round, those of one row next to each other. A ratio is taken within
a round, and its median and spread over the rounds are shown: what disturbs a round disturbs both sides of it. Times are
wall-clock. "cpu" is the same ratio in processor time of all threads, which moves less when the machine has other work.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass

# ---------------------------------------------------------------------------------------------------------------------
# What is compared. A measurement is (program, benchmark, counter).


def pipeline(who, producers=1, streams=64, in_flight=1024):
    return ("pipeline_bench", f"bm_pipeline/{who}/producers:{producers}/streams:{streams}/in_flight:{in_flight}",
            "per_task")


def queue(who, producers=1, lot=1):
    return ("queue_bench", f"bm_queue/{who}/producers:{producers}/lot:{lot}", "per_item")


def admission(who, in_flight=1024):
    return ("admission_bench", f"bm_admission/{who}/in_flight:{in_flight}", "per_task")


def submit(who, state, counter):
    return ("submit_bench", f"bm_submit/{who}/{state}", counter)


def flush(who, state, counter="p50"):
    return ("flush_bench", f"bm_flush/{who}/{state}", counter)


def wakeup(who, counter="p50"):
    return ("wakeup_bench", f"bm_wakeup/{who}", counter)


def status(who, loaded, counter="p50"):
    return ("status_bench", f"bm_status/{who}/loaded:{loaded}", counter)


def turns(who, streams, shuffled):
    return ("turns_bench", f"bm_{who}/streams:{streams}/shuffled:{shuffled}", "per_task")


def journal(who, group):
    return ("journal_bench", f"bm_{who}/group:{group}", "per_record")


FASTER = "peer/pawl"  # how many times the peer's cost is ours: more is better
COST = "pawl/other"  # our cost in terms of the other's: less is better
ORDER_STREAMS = (1, 64, 10_000, 100_000)
VALUE = "value"  # one figure, in seconds


@dataclass
class Row:
    title: str
    measured: tuple
    against: tuple | None = None
    kind: str = FASTER
    target: float | None = None


def pipeline_rows():
    rows = [
        Row("submit, against tbb::parallel_pipeline", pipeline("pawl"), pipeline("parallel_pipeline"), FASTER, 2),
        Row("submit, against mutex + condition variable", pipeline("pawl"), pipeline("textbook"), FASTER, 10),
        Row("submit, against a flow graph, one message a task", pipeline("pawl"), pipeline("message_graph"), FASTER, 5),
        Row("submit, in raw moodycamel hops", pipeline("pawl"), queue("moodycamel"), COST, 4),
        Row("submit_bulk, against tbb::parallel_pipeline", pipeline("pawl_bulk"), pipeline("parallel_pipeline")),
        Row("submit_bulk, against mutex + condition variable", pipeline("pawl_bulk"), pipeline("textbook")),
        Row("submit_bulk, against a flow graph", pipeline("pawl_bulk"), pipeline("message_graph")),
        Row("submit_bulk, in raw moodycamel hops", pipeline("pawl_bulk"), queue("moodycamel"), COST),
        Row("filling and checking alone (in every figure above)", pipeline("fill_only"), None, VALUE),
    ]
    return rows


def scaling_rows():
    rows = []
    for who in ("pawl", "pawl_bulk", "textbook", "message_graph"):
        ours = who.startswith("pawl")
        rows += [
            Row(f"{who}: 10,000 streams, against 1", pipeline(who, streams=10000), pipeline(who, streams=1), COST,
                1.5 if ours else None),
            Row(f"{who}: 16,384 in flight, against 1,024", pipeline(who, in_flight=16384), pipeline(who), COST),
            Row(f"{who}: 256 in flight, against 1,024", pipeline(who, in_flight=256), pipeline(who), COST),
            Row(f"{who}: 2 producers, against 1", pipeline(who, producers=2), pipeline(who), COST),
            Row(f"{who}: 4 producers, against 1", pipeline(who, producers=4), pipeline(who), COST),
        ]
    rows += [
        Row("filling alone: 10,000 streams, against 1", pipeline("fill_only", streams=10000),
            pipeline("fill_only", streams=1), COST),
        Row("parallel_pipeline: 10,000 streams, against 1", pipeline("parallel_pipeline", streams=10000),
            pipeline("parallel_pipeline", streams=1), COST),
    ]
    return rows


def queue_rows():
    rows = []
    for producers in (1, 2):
        for lot in (1, 64):
            for peer in ("moodycamel", "boost_lockfree", "mutex"):
                who = "1 producer" if producers == 1 else f"{producers} producers"
                rows.append(Row(f"{who}, {lot} at a time, against {peer}", queue("pawl", producers, lot),
                                queue(peer, producers, lot)))
    return rows


def admission_rows():
    return [
        Row("try_submit, against mutex + condition variable", admission("pawl"), admission("textbook")),
        Row("try_submit, against a flow graph", admission("pawl"), admission("message_graph")),
        Row("submit_bulk, against mutex + condition variable", admission("pawl_bulk"), admission("textbook")),
        Row("try_submit, 16,384 in flight", admission("pawl", 16384), admission("textbook", 16384)),
    ]


def submit_rows():
    rows = []
    for state, tail in (("saturated", "p999"), ("idle", "p99")):  # of 300 idle calls there is no 99.9th percentile
        for counter in ("p50", "p99", "p999")[:3 if tail == "p999" else 2]:
            target = 2e-6 if (state, counter) == ("saturated", "p999") else None
            rows.append(Row(f"try_submit, {state}, {counter}", submit("pawl", state, counter), None, VALUE, target))
        for peer in ("textbook", "message_graph"):
            for counter in ("p50", tail):
                rows.append(Row(f"try_submit, {state}, {counter}, against {peer}", submit("pawl", state, counter),
                                submit(peer, state, counter)))
    rows.append(Row("two readings of the clock (in every figure above)", submit("pawl", "saturated", "clock"), None,
                    VALUE))
    return rows


def latency_rows():
    rows = []
    for loaded, word in ((0, "idle"), (1, "loaded")):
        rows.append(Row(f"status snapshot, {word}, p50", status("pawl", loaded), None, VALUE, 1e-6))
        rows.append(Row(f"status snapshot, {word}, p99", status("pawl", loaded, "p99"), None, VALUE, 1e-6))
        rows.append(Row(f"status snapshot, {word}, p50, against textbook", status("pawl", loaded),
                        status("textbook", loaded)))
    for state in ("idle", "one_task", "loaded"):
        rows.append(Row(f"flush, {state}, p50, against textbook", flush("pawl", state), flush("textbook", state)))
        rows.append(Row(f"flush, {state}, p99, against textbook", flush("pawl", state, "p99"),
                        flush("textbook", state, "p99")))
    for peer in ("textbook", "message_graph"):
        rows.append(Row(f"wake-up, p50, against {peer}", wakeup("pawl"), wakeup(peer)))
        rows.append(Row(f"wake-up, p99, against {peer}", wakeup("pawl", "p99"), wakeup(peer, "p99")))
    return rows


def order_rows():
    rows = []
    for streams in ORDER_STREAMS:
        for shuffled, word in ((0, "in order"), (1, "shuffled")):
            rows.append(Row(f"{streams:,} {'streams' if streams > 1 else 'stream'}, {word}, against maps and mutexes",
                            turns("streams", streams, shuffled), turns("streams_mutex_map", streams, shuffled)))
    return rows


def save_rows():
    return [Row(f"groups of {group:,}, against append and fdatasync", journal("journal_save", group),
                journal("append_fdatasync", group), FASTER, 0.8) for group in (1, 64, 1024)]


# What a row is about; the targets stand in the rows.
GROUPS = [
    ("No-op pipeline, a task from submit to retire: 1 producer, 64 streams, 1,024 in flight", pipeline_rows()),
    ("How its cost a task moves", scaling_rows()),
    ("Queue hop", queue_rows()),
    ("Order alone, stream found by name", order_rows()),
    ("Admission alone", admission_rows()),
    ("Submit latency", submit_rows()),
    ("Snapshot, flush, wake-up", latency_rows()),
    ("Durable saves of 1 KB, in TMPDIR", save_rows()),
]

# ---------------------------------------------------------------------------------------------------------------------


class Failed(Exception):
    """A benchmark did not run, or found its result wrong."""


def run_once(folder, program, benchmark, min_time):
    """Runs one benchmark in a process of its own; returns its entry in Google Benchmark's JSON."""
    path = os.path.join(folder, program)
    if not os.access(path, os.X_OK):
        raise Failed(f"{path} is not built")
    pattern = f"^{benchmark}(/iterations:[0-9]+)?(/process_time)?(/(real|manual)_time)?$"
    done = subprocess.run([path, f"--benchmark_filter={pattern}", "--benchmark_format=json",
                           f"--benchmark_min_time={min_time}"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{program} {benchmark}: exit status {done.returncode}: {done.stderr.strip()[-200:]}")
    entries = json.loads(done.stdout)["benchmarks"] if done.stdout.strip() else []
    if len(entries) != 1:
        raise Failed(f"{program} has no benchmark {benchmark}" if not entries else f"{benchmark} names several")
    if entries[0].get("error_occurred"):
        raise Failed(f"{benchmark}: {entries[0]['error_message']}")
    return entries[0]


def sample_of(entry, counter):
    """(wall, cpu) in seconds; cpu is None unless the processor time of all threads was measured."""
    if counter not in entry:
        raise Failed(f"{entry['name']} has no counter {counter}")
    wall = entry[counter]
    if "/process_time" not in entry["name"] or entry["real_time"] == 0:
        return wall, None
    return wall, wall * entry["cpu_time"] / entry["real_time"]


def measure(folder, rows, rounds, min_time):
    """{measurement: [(wall, cpu), …]} by round, and {measurement: reason} for what could not be measured."""
    wanted = []  # in the order of the rows, each once
    for row in rows:
        wanted += [m for m in (row.measured, row.against) if m is not None and m not in wanted]
    runs = []  # benchmarks; several counters come from one run
    for program, benchmark, _ in wanted:
        if (program, benchmark) not in runs:
            runs.append((program, benchmark))
    samples, failed = {m: [] for m in wanted}, {}

    def show(text):
        if sys.stderr.isatty():
            print(f"\r{text:110.110s}", end="\r", file=sys.stderr, flush=True)

    for number in range(rounds):
        for program, benchmark in runs:
            mine = [m for m in wanted if m[:2] == (program, benchmark) and m not in failed]
            if not mine:
                continue
            show(f"round {number + 1} of {rounds}: {benchmark}")
            try:
                entry = run_once(folder, program, benchmark, min_time)
                for m in mine:
                    samples[m].append(sample_of(entry, m[2]))
            except Failed as reason:
                for m in mine:
                    failed[m] = str(reason)
    show("")
    return samples, failed


def in_words(seconds):
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def spread(values, words):
    return f"{words(statistics.median(values))} ({words(min(values))}-{words(max(values))})"


def evaluate(row, samples):
    """The row's figures: both sides in seconds, ratios by round, and whether the target is met."""
    wall = [s[0] for s in samples[row.measured]]
    result = {"measured": wall, "against": None, "ratio": None, "cpu_ratio": None, "met": None}
    if row.kind == VALUE:
        if row.target is not None:
            result["met"] = statistics.median(wall) <= row.target
        return result

    def ratios(part):
        pairs = zip([s[part] for s in samples[row.measured]], [s[part] for s in samples[row.against]])
        pairs = [(p, o) for p, o in pairs if p and o]
        return [o / p if row.kind == FASTER else p / o for p, o in pairs]

    result["against"] = [s[0] for s in samples[row.against]]
    result["ratio"] = ratios(0) or None
    result["cpu_ratio"] = ratios(1) or None
    if row.target is not None and result["ratio"]:
        median = statistics.median(result["ratio"])
        result["met"] = median >= row.target if row.kind == FASTER else median <= row.target
    return result


def target_in_words(row):
    if row.target is None:
        return ""
    if row.kind == VALUE:
        return "<= " + in_words(row.target)
    return (">= " if row.kind == FASTER else "<= ") + f"{row.target:g}"


def cells(row, result):
    def ratio(value):
        return f"{value:.2f}"

    return (row.title, spread(result["measured"], in_words),
            spread(result["against"], in_words) if result["against"] else "",
            spread(result["ratio"], ratio) if result["ratio"] else "",
            ratio(statistics.median(result["cpu_ratio"])) if result["cpu_ratio"] else "", target_in_words(row),
            {True: "met", False: "NOT MET", None: ""}[result["met"]])


def print_table(groups, samples, failed):
    """Prints the one table; returns its rows for the JSON."""
    lines, report = [("", "measured: median (spread)", "against: median (spread)", "ratio", "cpu", "target", "")], []
    for title, rows in groups:
        lines.append((title,))
        for row in rows:
            reasons = [failed[m] for m in (row.measured, row.against) if m in failed]
            entry = {"group": title, "row": row.title, "kind": row.kind, "target": row.target,
                     "measured_is": row.measured, "against_is": row.against}
            if reasons:
                lines.append(("  " + row.title, "not measured: " + reasons[0]))
                entry["not_measured"] = reasons
            else:
                result = evaluate(row, samples)
                first, *rest = cells(row, result)
                lines.append(("  " + first, *rest))
                entry.update(result)
            report.append(entry)
    widths = [max(len(line[i]) for line in lines if len(line) == 7) for i in range(7)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() if len(line) == 7
              else "  ".join(line) if line[0].startswith("  ") else "\n" + line[0])
    return report


def first_line_of(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def machine_and_build(build):
    """What the figures depend on."""
    cache = {}
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as file:
        for line in file:
            if match := re.match(r"([A-Za-z_0-9]+):[A-Z]+=(.*)", line):
                cache[match[1]] = match[2]
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    flags = "unknown"
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        for entry in json.load(file):
            if entry["file"].endswith("pipeline_bench.cc"):
                flags = " ".join(word for word in entry["command"].split() if re.match(r"-(O|f|m|std=|DNDEBUG)", word))
    source = cache.get("CMAKE_HOME_DIRECTORY", ".")
    return {
        "processor": model,
        "processors": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "load_average_before": os.getloadavg()[0],
        "compiler": first_line_of([cache.get("CMAKE_CXX_COMPILER", "c++"), "--version"]),
        "build_type": cache.get("CMAKE_BUILD_TYPE", "unknown"),
        "flags": flags,
        "onetbb": first_line_of(["pkg-config", "--modversion", "tbb"]),
        "revision": first_line_of(["git", "-C", source, "describe", "--always", "--dirty"]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="build folder (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each benchmark runs (default: %(default)s)")
    parser.add_argument("--min-time", type=float, default=0.3, help="seconds a benchmark runs (default: %(default)s)")
    parser.add_argument("--filter", default="", help="only rows whose group and title match this regular expression")
    parser.add_argument("--json", help="write machine, compiler, rows and all samples to this file")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")

    wanted = re.compile(arguments.filter, re.IGNORECASE)
    groups = [(title, [row for row in rows if wanted.search(f"{title}: {row.title}")]) for title, rows in GROUPS]
    groups = [(title, rows) for title, rows in groups if rows]
    if not groups:
        parser.error(f"no row matches {arguments.filter!r}")
    try:
        about = machine_and_build(arguments.build)
    except OSError as reason:
        parser.error(f"{arguments.build} is no build folder: {reason}")
    samples, failed = measure(os.path.join(arguments.build, "bench"), [row for _, rows in groups for row in rows],
                              arguments.rounds, arguments.min_time)
    about["load_average_after"] = os.getloadavg()[0]

    print(f"{about['processor']}, {about['processors']} processors; {about['compiler']}; {about['build_type']} "
          f"({about['flags']}); revision {about['revision']}")
    print(f"{arguments.rounds} rounds of {arguments.min_time:g} s; medians, in brackets least-most; "
          f"load average before {about['load_average_before']:.1f}")
    if about["load_average_before"] > 0.5:
        print("NOTE: the machine has other work; trust ratios more than figures, and cpu more than wall-clock")
    report = print_table(groups, samples, failed)
    targets = [entry for entry in report if entry["target"] is not None]
    print(f"\n{sum(entry.get('met') is True for entry in targets)} of {len(targets)} targets met")

    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"about": about, "rounds": arguments.rounds, "min_time_s": arguments.min_time, "rows": report,
                       "samples": [{"program": m[0], "benchmark": m[1], "counter": m[2],
                                    "wall_s": [s[0] for s in taken], "cpu_s": [s[1] for s in taken]}
                                   for m, taken in samples.items()]}, file, indent=1)
            file.write("\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

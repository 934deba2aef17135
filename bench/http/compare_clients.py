#!/usr/bin/env python3
"""The call stage beside other HTTP clients, in one run: requests a second, processor time a request, memory, latency.

usage: python3 bench/http/compare_clients.py --build build/release [--tables load,tls,http2,makespan]
         [--parallel 1,16,64,256,1024,4096] [--clients pawl,wrk,…] [--rounds 3] [--seconds 2] [--minutes 10]
         [--json out.jsonl] [--libcurl DIR]

Every client sends the same POST with a body of 1 KB and gets 1 KB back from one nginx worker. Servers have one
processor, the client has the other. In each round each client runs once at each concurrency; ratios are taken within a
round. Each run is shown as it ends, and is a line of the JSON file; tables of medians with spreads, and targets, follow
at the end. A run lasts about --seconds: how many requests that takes is known from the round before.

Needs: nginx-light, wrk, nghttp2-client, curl, python3-aiohttp, python3-requests, openssl. What is missing is left out,
and so is what a client cannot do; the tables say why.
"""

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from servers import MockApi, Nginx, pinned

HERE = os.path.dirname(os.path.abspath(__file__))
BODY = '"' + "x" * 1022 + '"'
CURL_PARALLEL_MAX = 300  # the tool's own bound
LATENCY_S = 0.05
LONGEST_S = 60  # a run that takes longer is ended
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable  # the one the packages are for

# Requests a second, to begin with.
RATE = {"pawl": 25_000, "pawl, libcurl 8": 25_000, "wrk": 60_000, "h2load": 50_000, "curl": 8_000, "aiohttp": 2_000,
        "requests": 700}
CURL_TLS = {"https": 400, "https_once": 40}  # it reads the trusted certificates for each connection

# (client, what, concurrency) → target; `of` compares by rate and by processor time, both must hold.
TARGETS = {"wrk": {16: 0.45, 64: 0.45, 256: 0.45, 1024: 0.40},
           "curl": {16: 2.1, 64: 2.1, 256: 2.1, 1024: 2.1, 4096: 2.1},
           "aiohttp": {16: 9, 64: 9, 256: 9, 1024: 9, 4096: 9}}
TARGET_MAKESPAN = {256: 0.98, 1024: 0.95}
TARGET_GROWTH = 1.6    # processor time a request at 4,096 against that at 64
TARGET_TLS_MS = 1.3    # processor time of a request on a TLS connection of its own


class Failed(Exception):
    """A client did not run, or not every request was answered."""


def peak_kib(pid):
    """The peak resident set of a process that is alive (VmHWM of proc(5)); ru_maxrss would be inherited from us."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])
    except (OSError, TypeError):
        return 0


def measure(words, processor, environment=None):
    """Runs a client pinned; returns (stdout, wall, cpu, peak resident KiB as last seen)."""
    ended, resident = threading.Event(), [0]

    def watch(process, until):
        while not ended.wait(0.05):
            resident[0] = max(resident[0], peak_kib(process.pid))
            if time.monotonic() > until:
                process.kill()
                return

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        began = time.monotonic()
        process = subprocess.Popen(pinned(processor, words), stdout=out, stderr=errors, env=environment)
        watcher = threading.Thread(target=watch, args=(process, began + LONGEST_S))
        watcher.start()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        watcher.join()
        out.seek(0)
        errors.seek(0)
        text, trouble = out.read().decode(), errors.read().decode()
    if wall > LONGEST_S:
        raise Failed(f"took longer than {LONGEST_S} s")
    if process.returncode != 0:
        last = (trouble.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
        raise Failed(last.removeprefix("call_load: "))
    return text, wall, used.ru_utime + used.ru_stime, resident[0]


def from_json(line, wall, cpu, rss):
    """A client that tells of itself; what it leaves out was measured around it."""
    sample = json.loads(line)
    if sample["failed"] != 0:
        raise Failed(f"{sample['failed']} of {sample['requests']} requests failed")
    for name, value in (("wall_s", wall), ("cpu_s", cpu), ("rss_kib", rss)):
        sample.setdefault(name, value)
    return sample


def percentiles(seconds):
    """Of latencies in seconds, as the clients that know their own give them."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    return {name: 1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]
            for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999))}


class Clients:
    """Each method runs one client once and returns its figures, or raises Failed.

    curl and h2load write a line a request to tell of latencies; they do in a short run of their own after the first
    that is measured.
    """

    def __init__(self, build, folder, processor, ca_file, libcurl, seconds):
        self.call_load = os.path.join(build, "bench", "call_load")
        self.processor, self.ca_file, self.libcurl, self.seconds = processor, ca_file, libcurl, seconds
        self.latencies = {}
        self.request_log = os.path.join(folder, "requests.log")
        self.body_file = os.path.join(folder, "request.json")
        with open(self.body_file, "w", encoding="utf-8") as file:
            file.write(BODY)

    def run(self, client, url, parallel, count, *more):
        if client == "pawl, libcurl 8":
            return self.pawl(url, parallel, count, *more, environment={**os.environ, "LD_LIBRARY_PATH": self.libcurl})
        if client in ("aiohttp", "requests"):
            return self.python(client, url, parallel, count)
        return getattr(self, client)(url, parallel, count, *more)

    def pawl(self, url, parallel, count, *more, environment=None):
        trust = ["--cacert", self.ca_file] if url.startswith("https") else []
        words = [self.call_load, "--url", url, "--parallel-max", str(parallel), "--count", str(count), *trust, *more]
        return from_json(*measure(words, self.processor, environment))

    def wrk(self, url, parallel, _count):
        words = ["wrk", "-t1", f"-c{parallel}", f"-d{max(1, round(self.seconds))}s", "--timeout", "30s", "-s",
                 os.path.join(HERE, "wrk_post.lua"), url]
        text, wall, cpu, rss = measure(words, self.processor)
        return from_json(re.search(r"JSON (.*)", text)[1], wall, cpu, rss)

    def h2load(self, url, parallel, count, *more):
        words = ["h2load", "-t1", "-d", self.body_file, *(more or ("--h1", f"-c{parallel}")), url]
        text, wall, cpu, rss = measure([*words, f"-n{count}"], self.processor)
        done = re.search(r"requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded", text)
        took = re.search(r"finished in ([0-9.]+)(ms|s|us)", text)
        wall = float(took[1]) * {"s": 1, "ms": 1e-3, "us": 1e-6}[took[2]]
        if ("h2load", url, parallel) not in self.latencies:
            if os.path.exists(self.request_log):
                os.remove(self.request_log)  # h2load appends
            measure([*words, f"-n{max(count // 5, 4 * parallel)}", "--log-file", self.request_log], self.processor)
            with open(self.request_log, encoding="utf-8") as file:
                took_s = [float(line.split("\t")[2]) / 1e6 for line in file]
            self.latencies["h2load", url, parallel] = percentiles(took_s)
        sample = {"requests": int(done[1]), "failed": int(done[1]) - int(done[2]), "wall_s": wall,
                  **self.latencies["h2load", url, parallel]}
        return from_json(json.dumps(sample), wall, cpu, rss)

    def curl(self, url, parallel, count):
        if parallel > CURL_PARALLEL_MAX:
            raise Failed(f"curl takes at most {CURL_PARALLEL_MAX} at once")
        trust = ["--cacert", self.ca_file] if url.startswith("https") else []
        words = ["curl", "-q", "-sS", "--no-progress-meter", "--parallel", "--parallel-max", str(parallel), "--fail",
                 "--http1.1", *trust, "-H", "Content-Type: application/json", "--data-binary", "@" + self.body_file,
                 "-o", "/dev/null"]
        _, wall, cpu, rss = measure([*words, f"{url}?[1-{count}]"], self.processor)
        if ("curl", url, parallel) not in self.latencies:
            text, *_ = measure([*words, "-w", "%{time_total}\\n", f"{url}?[1-{max(count // 5, 4 * parallel)}]"],
                               self.processor)
            self.latencies["curl", url, parallel] = percentiles([float(line) for line in text.split()])
        return {"requests": count, "failed": 0, "wall_s": wall, "cpu_s": cpu, "rss_kib": rss,
                **self.latencies["curl", url, parallel]}

    def python(self, library, url, parallel, count):
        if library == "requests" and parallel > 1024:
            raise Failed("that many threads are not tried")
        trust = [self.ca_file] if url.startswith("https") else []
        words = [PYTHON, os.path.join(HERE, "python_client.py"), library, url, str(count), str(parallel), *trust]
        return from_json(*measure(words, self.processor))


class Samples:
    """What was measured: {row: {round: sample}}, and {row: reason} where something was not; rows keep their order."""

    def __init__(self, path):
        self.taken, self.failed = {}, {}
        self.began = time.monotonic()
        self.file = open(path, "w", encoding="utf-8") if path else None  # pylint: disable=consider-using-with

    def write(self, line):
        if self.file is not None:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()

    def take(self, plan, number, seconds):
        """Runs one row once, and says what came of it. `number`: which round."""
        row, rounds = plan.row, self.taken.setdefault(plan.row, {})
        if row in self.failed and not rounds:
            return
        known = [s["requests"] / s["wall_s"] for s in rounds.values()]
        count = plan.count or int(max((known[-1] if known else plan.rate) * seconds, plan.least))
        line = {"row": list(row), "round": number}
        try:
            rounds[number] = sample = plan.call(count)
            line["sample"] = sample
            text = (f"{rate(sample):8.0f}/s  {cpu_us(sample):7.1f} µs  {sample['rss_kib'] / 1024:4.0f} MiB  "
                    f"{latencies([sample])} ms" + (f"  share {sample['share']:.3f}" if "share" in sample else ""))
        except Failed as reason:
            line["not_measured"] = self.failed[row] = text = str(reason)
        self.write(line)
        table, client, parallel = row
        passed = time.monotonic() - self.began
        print(f"{passed:5.0f} s  round {number}  {table:24s} C = {parallel:<5d} {client:16s} {text}", flush=True)

    def why_not(self, row):
        return "not measured: " + self.failed.get(row, "no time was left")

    def all(self, row):
        return list(self.taken.get(row, {}).values())

    def values(self, row, of):
        return [of(sample) for sample in self.all(row)]

    def ratios(self, row, other, of):
        own, others = self.taken.get(row, {}), self.taken.get(other, {})
        return [of(own[i]) / of(others[i]) for i in own if i in others and of(others[i])]


class Plan:
    """A row, and how it is run. `count`: exactly so many requests; else `rate`, a guess, and `least` say how many."""

    def __init__(self, row, call, guess=0, least=0, count=0):
        self.row, self.call, self.rate, self.least, self.count = row, call, guess, least, count


def rate(sample):
    return sample["requests"] / sample["wall_s"]


def cpu_us(sample):
    return 1e6 * sample["cpu_s"] / sample["requests"]


def spread(values, form="{:.0f}"):
    if not values:
        return ""
    middle = form.format(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({form.format(min(values))}-{form.format(max(values))})"


def latencies(taken):
    if not taken or "p50_ms" not in taken[0]:
        return ""
    return " / ".join(f"{statistics.median(s[name] for s in taken):.2f}" for name in ("p50_ms", "p99_ms", "p999_ms"))


class Report:
    """Prints tables, and remembers targets."""

    def __init__(self):
        self.targets = []

    def target(self, what, values, wanted, at_most=False):
        if not values:
            self.targets.append({"target": what, "wanted": wanted, "at_most": at_most, "met": None})
            return
        value = statistics.median(values)
        met = value <= wanted if at_most else value >= wanted
        self.targets.append({"target": what, "value": value, "spread": [min(values), max(values)], "wanted": wanted,
                             "at_most": at_most, "met": met})

    def table(self, title, heads, lines):
        print(f"\n{title}")
        widths = [max(len(line[i]) for line in [heads, *lines] if len(line) == len(heads)) for i in range(len(heads))]
        for line in [heads, *lines]:  # a shorter one ends with a text, that may be longer than its column
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())

    def summary(self):
        print("\nTargets")
        for one in self.targets:
            sign = "<=" if one["at_most"] else ">="
            word = {None: "no figure", True: "met", False: "NOT MET"}[one["met"]]
            value = "" if one["met"] is None else f"{one['value']:.2f} ({one['spread'][0]:.2f}-{one['spread'][1]:.2f}) "
            print(f"  {word:9s}  {one['target']}: {value}{sign} {one['wanted']:g}")


def print_load(report, samples, title, rows):
    """One line a row; pawl's ratio to each other client stands in that client's line."""
    lines = []
    for row in rows:
        table, client, parallel = row
        taken = samples.all(row)
        if not taken:
            lines.append((f"{parallel}", client, samples.why_not(row)))
            continue
        own = (table, "pawl", parallel)
        by_rate, by_cpu = (samples.ratios(own, row, rate), samples.ratios(row, own, cpu_us)) if row != own else ([], [])
        lines.append((f"{parallel}", client, spread(samples.values(row, rate)),
                      spread(samples.values(row, cpu_us), "{:.1f}"), spread(by_rate, "{:.2f}"),
                      spread(by_cpu, "{:.2f}"), f"{statistics.median(s['rss_kib'] for s in taken) / 1024:.0f}",
                      latencies(taken)))
    report.table(title, ("C", "client", "requests/s", "µs CPU a request", "pawl by rate", "pawl by CPU", "MiB",
                         "p50 / p99 / p99.9 ms"), lines)


def plan_load(clients, nginx, arguments):
    plans = []
    for parallel in arguments.parallel:
        for client in arguments.clients:
            plans.append(Plan(("load", client, parallel),
                              lambda count, c=client, p=parallel: clients.run(c, nginx.url["http"], p, count),
                              RATE[client] / (3 if parallel == 1 else 1), 3 * parallel))
    return plans


def plan_tls(clients, nginx, arguments):
    wanted = [c for c in ("pawl", "wrk", "h2load", "curl", "aiohttp") if c in arguments.clients]
    plans = []
    for table, server, share, concurrencies in (("tls", "https", 0.7, (64, 256)),
                                                ("tls, a connection each", "https_once", 0.03, (64,)),
                                                ("clear, a connection each", "http_once", 0.2, (64,))):
        for parallel in concurrencies:
            for client in wanted:
                if client == "h2load" and server != "https":
                    continue  # it counts a connection that the server ends as a failure
                guess = RATE[client] * share
                if client == "curl":
                    guess = CURL_TLS.get(server, guess)
                plans.append(Plan((table, client, parallel),
                                  lambda count, c=client, p=parallel, s=server: clients.run(c, nginx.url[s], p, count),
                                  guess, (4 if server == "https" else 1) * parallel))
    return plans


def plan_http2(clients, nginx, arguments):
    plans = []
    wanted = ("pawl", *(("pawl, libcurl 8",) if arguments.libcurl else ()), "h2load")
    for table, server, option in (("h2c", "http2", "--http2-prior-knowledge"), ("h2 over TLS", "https", "--http2")):
        for client in wanted:
            more = ("-c1", "-m64") if client == "h2load" else (option,)
            plans.append(Plan((table, client, 64),
                              lambda count, c=client, s=server, m=more: clients.run(c, nginx.url[s], 64, count, *m),
                              RATE[client], 256))
    return plans


def plan_makespan(clients, program, processor, arguments):
    def call(client, parallel, count):
        server = MockApi(program, processor, f"{LATENCY_S * 1000:g}ms")
        try:
            sample = clients.run(client, server.url, parallel, count)
        finally:
            said = server.stop()
        sample["share"] = sample["requests"] * LATENCY_S / parallel / sample["wall_s"]
        sample["server"] = said
        for name in [name for name in sample if name.endswith("_ms")]:
            sample[name] -= 1000 * LATENCY_S
        return sample

    plans = []
    for parallel in (256, 1024):
        for client in [c for c in ("pawl", "wrk", "aiohttp") if c in arguments.clients]:
            plans.append(Plan(("makespan", client, parallel), lambda count, c=client, p=parallel: call(c, p, count),
                              count=arguments.makespan_count if client == "pawl" else 10 * parallel))
    return plans


def print_tables(report, samples, rows):
    tables = {}
    for row in rows:
        tables.setdefault(row[0], []).append(row)
    titles = {"load": "HTTP/1.1, keep-alive, POST of 1 KB, 1 KB back, nginx",
              "tls": "TLS, keep-alive, a file of trusted certificates of the system's size (wrk and h2load check none)",
              "tls, a connection each": "TLS, a connection for each request",
              "clear, a connection each": "In clear, a connection for each request",
              "h2c": "HTTP/2 in clear, one connection", "h2 over TLS": "HTTP/2 over TLS, one connection"}
    for name, title in titles.items():
        if name in tables:
            print_load(report, samples, title, tables[name])
    if "load" in tables:
        for _, client, parallel in tables["load"]:
            wanted = TARGETS.get(client, {}).get(parallel)
            if wanted is not None:
                own, other = ("load", "pawl", parallel), ("load", client, parallel)
                report.target(f"pawl of {client} at C = {parallel}, by rate", samples.ratios(own, other, rate), wanted)
                report.target(f"pawl of {client} at C = {parallel}, by CPU", samples.ratios(other, own, cpu_us), wanted)
        report.target("pawl's CPU a request at C = 4096 against 64",
                      samples.ratios(("load", "pawl", 4096), ("load", "pawl", 64), cpu_us), TARGET_GROWTH, at_most=True)
    if "tls" in tables:
        each_ms = [us / 1000 for us in samples.values(("tls, a connection each", "pawl", 64), cpu_us)]
        report.target("pawl's CPU for a request on a TLS connection of its own, ms", each_ms, TARGET_TLS_MS,
                      at_most=True)
    if "makespan" in tables:
        print_makespan(report, samples, tables["makespan"])


def print_makespan(report, samples, rows):
    lines, said = [], ""
    for row in rows:
        _, client, parallel = row
        taken = samples.all(row)
        share = samples.values(row, lambda s: s["share"])
        if client == "pawl":
            report.target(f"share of the ideal makespan at C = {parallel}", share, TARGET_MAKESPAN[parallel])
        if not taken:
            lines.append((f"{parallel}", client, samples.why_not(row)))
            continue
        lines.append((f"{parallel}", client, f"{taken[0]['requests']:,}", spread(share, "{:.3f}"),
                      spread(samples.values(row, cpu_us), "{:.1f}"),
                      f"{statistics.median(s['rss_kib'] for s in taken) / 1024:.0f}", latencies(taken)))
        said = taken[-1]["server"]
    report.table(f"pawl-mockapi that answers after {LATENCY_S * 1000:g} ms: share of the ideal N·L/C",
                 ("C", "client", "requests", "share", "µs CPU a request", "MiB", "added p50 / p99 / p99.9 ms"), lines)
    print("  " + said)


def first_line_of(words):
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip().splitlines()[0]
    except (OSError, IndexError):
        return "missing"


def about_machine(build):
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    programs = {"curl": ["curl", "-V"], "nginx": ["/usr/sbin/nginx", "-v"], "wrk": ["wrk", "-v"],
                "h2load": ["h2load", "--version"]}
    return {"processor": model, "processors": len(os.sched_getaffinity(0)), "system": platform.platform(),
            "load_average": os.getloadavg()[0], "build": build,
            "programs": {name: first_line_of(words) for name, words in programs.items()}}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="build folder (default: %(default)s)")
    parser.add_argument("--tables", default="load,tls,http2,makespan", help="which (default: %(default)s)")
    parser.add_argument("--parallel", default="1,16,64,256,1024,4096", help="concurrencies of the first table")
    parser.add_argument("--clients", default="pawl,wrk,h2load,curl,aiohttp,requests", help="which (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each runs (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="about how long each runs (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=10, help="begin nothing after that (default: %(default)s)")
    parser.add_argument("--makespan-count", type=int, default=200_000, help="pawl's requests (default: %(default)s)")
    parser.add_argument("--makespan-rounds", type=int, default=1, help="how often those run (default: %(default)s)")
    parser.add_argument("--libcurl", metavar="DIR", help="where a libcurl of 8 or later lies, for HTTP/2")
    parser.add_argument("--json", help="write each run to this file as it ends, a line of JSON each, and the targets")
    arguments = parser.parse_args()
    arguments.tables = arguments.tables.split(",")
    arguments.parallel = [int(text) for text in arguments.parallel.split(",")]
    arguments.clients = arguments.clients.split(",")
    unknown = [name for name in arguments.clients if name not in RATE]
    if unknown or arguments.rounds < 1:
        parser.error(f"unknown client {unknown[0]}" if unknown else "--rounds must be at least 1")
    return arguments


def main():
    arguments = parse_arguments()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    processors = sorted(os.sched_getaffinity(0))
    client_on, server_on = (processors[0], processors[1]) if len(processors) > 1 else (None, None)
    about = about_machine(arguments.build)
    print(f"{about['processor']}, {about['processors']} processors; {'; '.join(about['programs'].values())}")
    print(f"{arguments.rounds} round(s), load average before {about['load_average']:.1f}")
    if about["load_average"] > 0.5:
        print("NOTE: the machine has other work; trust ratios more than figures, and CPU more than rate")
    samples, report = Samples(arguments.json), Report()
    samples.write({"about": about})
    with tempfile.TemporaryDirectory(prefix="pawl-clients-") as folder:
        os.chmod(folder, 0o755)
        nginx = Nginx(folder, server_on, most)
        try:
            clients = Clients(arguments.build, folder, client_on, nginx.ca_file, arguments.libcurl, arguments.seconds)
            mockapi = os.path.join(arguments.build, "tools", "mockapi", "pawl-mockapi")
            planners = {"load": lambda: plan_load(clients, nginx, arguments),
                        "tls": lambda: plan_tls(clients, nginx, arguments),
                        "http2": lambda: plan_http2(clients, nginx, arguments),
                        "makespan": lambda: plan_makespan(clients, mockapi, server_on, arguments)}
            plans = [plan for name in planners if name in arguments.tables for plan in planners[name]()]
            until = samples.began + 60 * arguments.minutes
            steps = [(number, plan) for number in range(1, 1 + max(arguments.rounds, arguments.makespan_rounds))
                     for plan in plans
                     if number <= (arguments.makespan_rounds if plan.row[0] == "makespan" else arguments.rounds)]
            for done, (number, plan) in enumerate(steps):
                if time.monotonic() > until:
                    print(f"{arguments.minutes:g} minutes are over: {len(steps) - done} of {len(steps)} runs left out")
                    break
                samples.take(plan, number, arguments.seconds)
        finally:
            nginx.stop()
    print_tables(report, samples, [plan.row for plan in plans])
    report.summary()
    samples.write({"targets": report.targets})
    return 0


if __name__ == "__main__":
    sys.exit(main())

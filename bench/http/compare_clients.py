#!/usr/bin/env python3
"""The call stage beside other HTTP clients, in one run: requests a second, processor time a request, memory, latency.

usage: python3 bench/http/compare_clients.py --build build/release [--tables load,tls,http2,makespan]
         [--parallel 1,16,64,256,1024,4096] [--clients pawl,wrk,…] [--rounds 5] [--quick] [--json out.json]

Every client sends the same POST with a body of 1 KB and gets 1 KB back from one nginx worker. Servers have one
processor, the client has the other. In each round each client runs once at each concurrency; ratios are taken within a
round. Shown are medians, spreads in brackets. Processor time is user and system time of the client alone.

Needs: nginx-light, wrk, nghttp2-client, curl, python3-aiohttp, python3-requests, openssl. What is missing is left out.
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
import time

from servers import MockApi, Nginx, pinned

HERE = os.path.dirname(os.path.abspath(__file__))
BODY = '"' + "x" * 1022 + '"'
CURL_PARALLEL_MAX = 300  # the tool's own bound
LATENCY_S = 0.05
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable  # the one the packages are for

# Requests of one run: about a second of work, and enough that connecting does not weigh.
RATE = {"pawl": 30_000, "wrk": 80_000, "h2load": 60_000, "curl": 12_000, "aiohttp": 2_500, "requests": 800}

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


def measure(words, processor):
    """Runs a client pinned; returns (stdout, wall, cpu, peak resident KiB as last seen)."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        began, resident = time.monotonic(), 0
        process = subprocess.Popen(pinned(processor, words), stdout=out, stderr=errors)
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid != 0:
                break
            resident = max(resident, peak_kib(process.pid))
            time.sleep(0.05)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        text, trouble = out.read().decode(), errors.read().decode()
    if process.returncode != 0:
        raise Failed(trouble.strip().splitlines()[-1] if trouble.strip() else f"exit status {process.returncode}")
    return text, wall, used.ru_utime + used.ru_stime, resident


def from_json(line, wall, cpu, rss):
    """A client that tells of itself; what it leaves out was measured around it."""
    sample = json.loads(line)
    if sample["failed"] != 0:
        raise Failed(f"{sample['failed']} of {sample['requests']} requests failed")
    for name, value in (("wall_s", wall), ("cpu_s", cpu), ("rss_kib", rss)):
        sample.setdefault(name, value)
    return sample


class Clients:
    def __init__(self, build, folder, processor, ca_file):
        self.call_load = os.path.join(build, "bench", "call_load")
        self.processor, self.ca_file = processor, ca_file
        self.body_file = os.path.join(folder, "request.json")
        with open(self.body_file, "w", encoding="utf-8") as file:
            file.write(BODY)

    def pawl(self, url, parallel, count, *more):
        trust = ["--cacert", self.ca_file] if url.startswith("https") else []
        words = [self.call_load, "--url", url, "--parallel-max", str(parallel), "--count", str(count), *trust, *more]
        return from_json(*measure(words, self.processor))

    def wrk(self, url, parallel, count):
        duration = max(1, round(count / RATE["wrk"]))
        words = ["wrk", "-t1", f"-c{parallel}", f"-d{duration}s", "--timeout", "30s", "-s",
                 os.path.join(HERE, "wrk_post.lua"), url]
        text, wall, cpu, rss = measure(words, self.processor)
        return from_json(re.search(r"JSON (.*)", text)[1], wall, cpu, rss)

    def h2load(self, url, parallel, count, *more):
        words = ["h2load", "-t1", f"-n{count}", "-d", self.body_file, *(more or ("--h1", f"-c{parallel}")), url]
        text, wall, cpu, rss = measure(words, self.processor)
        done = re.search(r"requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded", text)
        took = re.search(r"finished in ([0-9.]+)(ms|s|us)", text)
        wall = float(took[1]) * {"s": 1, "ms": 1e-3, "us": 1e-6}[took[2]]
        sample = {"requests": int(done[1]), "failed": int(done[1]) - int(done[2]), "wall_s": wall}
        return from_json(json.dumps(sample), wall, cpu, rss)

    def curl(self, url, parallel, count):
        if parallel > CURL_PARALLEL_MAX:
            raise Failed(f"curl takes at most {CURL_PARALLEL_MAX} at once")
        trust = ["--cacert", self.ca_file] if url.startswith("https") else []
        words = ["curl", "-q", "-sS", "--no-progress-meter", "--parallel", "--parallel-max", str(parallel), "--fail",
                 "--http1.1", *trust, "-H", "Content-Type: application/json", "--data-binary", "@" + self.body_file,
                 "-o", "/dev/null", f"{url}?[1-{count}]"]
        _, wall, cpu, rss = measure(words, self.processor)
        return {"requests": count, "failed": 0, "wall_s": wall, "cpu_s": cpu, "rss_kib": rss}

    def python(self, library, url, parallel, count):
        trust = [self.ca_file] if url.startswith("https") else []
        words = [PYTHON, os.path.join(HERE, "python_client.py"), library, url, str(count), str(parallel), *trust]
        return from_json(*measure(words, self.processor))

    def aiohttp(self, url, parallel, count):
        return self.python("aiohttp", url, parallel, count)

    def requests(self, url, parallel, count):
        if parallel > 1024:
            raise Failed("that many threads are not tried")
        return self.python("requests", url, parallel, count)


class Samples:
    """{row: [sample or None by round]} and {row: reason}; rows keep their order."""

    def __init__(self):
        self.taken, self.failed = {}, {}

    def take(self, row, call):
        rounds = self.taken.setdefault(row, [])
        if row in self.failed:
            return
        if sys.stderr.isatty():
            print(f"\r{str(row):100.100s}", end="\r", file=sys.stderr, flush=True)
        try:
            rounds.append(call())
        except Failed as reason:
            self.failed[row] = str(reason)

    def values(self, row, of):
        return [of(sample) for sample in self.taken.get(row, [])]

    def ratios(self, row, other, of):
        return [a / b for a, b in zip(self.values(row, of), self.values(other, of)) if a and b]


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

    def target(self, what, value, wanted, at_most=False):
        met = value <= wanted if at_most else value >= wanted
        self.targets.append({"target": what, "value": value, "wanted": wanted, "at_most": at_most, "met": met})

    def table(self, title, heads, lines):
        print(f"\n{title}")
        widths = [max(len(line[i]) for line in [heads, *lines]) for i in range(len(heads))]
        for line in [heads, *lines]:
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())

    def summary(self):
        print("\nTargets")
        for one in self.targets:
            sign = "<=" if one["at_most"] else ">="
            print(f"  {'met    ' if one['met'] else 'NOT MET'}  {one['target']}: {one['value']:.2f} {sign} {one['wanted']:g}")


def print_load(report, samples, title, rows, clients):
    """One line a row; pawl's ratio to each other client stands in that client's line."""
    lines = []
    for row in rows:
        client, parallel = row[-2], row[-1]
        if row in samples.failed:
            lines.append((f"{parallel}", client, "not measured: " + samples.failed[row], "", "", "", "", ""))
            continue
        own = row[:-2] + ("pawl", parallel)
        by_rate = by_cpu = []
        if client != "pawl" and own in samples.taken and own not in samples.failed:
            by_rate = samples.ratios(own, row, rate)
            by_cpu = samples.ratios(row, own, cpu_us)
        taken = samples.taken[row]
        lines.append((f"{parallel}", client, spread(samples.values(row, rate)), spread(samples.values(row, cpu_us), "{:.1f}"),
                      spread(by_rate, "{:.2f}"), spread(by_cpu, "{:.2f}"),
                      f"{statistics.median(s['rss_kib'] for s in taken) / 1024:.0f}", latencies(taken)))
    report.table(title, ("C", "client", "requests/s", "µs CPU a request", "pawl by rate", "pawl by CPU", "MiB",
                         "p50 / p99 / p99.9 ms"), lines)
    for row in rows:
        client, parallel = row[-2], row[-1]
        own = row[:-2] + ("pawl", parallel)
        wanted = TARGETS.get(client, {}).get(parallel)
        if row[0] != "load" or wanted is None or row in samples.failed or own in samples.failed or own not in samples.taken:
            continue
        report.target(f"pawl of {client} at C = {parallel}, by rate", statistics.median(samples.ratios(own, row, rate)), wanted)
        report.target(f"pawl of {client} at C = {parallel}, by CPU", statistics.median(samples.ratios(row, own, cpu_us)), wanted)


def run_load(report, samples, clients, nginx, arguments):
    rows = [("load", client, parallel) for parallel in arguments.parallel for client in arguments.clients]
    for _ in range(arguments.rounds):
        for row in rows:
            _, client, parallel = row
            count = max(RATE[client] * arguments.share, parallel * (4 if client in ("aiohttp", "requests") else 20))
            if parallel == 1:
                count /= 3
            samples.take(row, lambda: getattr(clients, client)(nginx.url["http"], parallel, int(count)))
    print_load(report, samples, "HTTP/1.1, keep-alive, POST of 1 KB, 1 KB back, nginx", rows, arguments.clients)
    small, large = ("load", "pawl", 64), ("load", "pawl", 4096)
    growth = samples.ratios(large, small, cpu_us)
    if growth:
        report.target("pawl's CPU a request at C = 4096 against 64", statistics.median(growth), TARGET_GROWTH, at_most=True)


def run_tls(report, samples, clients, nginx, arguments):
    wanted = [c for c in ("pawl", "wrk", "curl", "aiohttp") if c in arguments.clients]
    kept = [("tls", client, parallel) for parallel in (64, 256) for client in wanted]
    once = [("tls, a connection each", client, 64) for client in wanted]
    clear = [("clear, a connection each", client, 64) for client in wanted]
    for _ in range(arguments.rounds):
        for rows, name, share in ((kept, "https", 0.7), (once, "https_once", 0.05), (clear, "http_once", 0.2)):
            for row in rows:
                _, client, parallel = row
                count = max(RATE[client] * arguments.share * share, 10 * parallel)
                samples.take(row, lambda: getattr(clients, client)(nginx.url[name], parallel, int(count)))
    print_load(report, samples, "TLS, keep-alive, a file of trusted certificates of the system's size (wrk checks none)",
               kept, wanted)
    print_load(report, samples, "TLS, a connection for each request", once, wanted)
    print_load(report, samples, "In clear, a connection for each request", clear, wanted)
    if once and once[0] not in samples.failed and "pawl" in wanted:
        report.target("pawl's CPU for a request on a TLS connection of its own, ms",
                      statistics.median(samples.values(("tls, a connection each", "pawl", 64), cpu_us)) / 1000, TARGET_TLS_MS,
                      at_most=True)


def run_http2(report, samples, clients, nginx, arguments):
    rows = []
    for name, tls, option in (("h2c", "http2", "--http2-prior-knowledge"), ("h2 over TLS", "https", "--http2")):
        for client in ("pawl", "h2load"):
            rows.append((name, client, 64, tls, option))
    shown = []
    for _ in range(arguments.rounds):
        for name, client, parallel, server, option in rows:
            row = (name, client, parallel)
            if row not in shown:
                shown.append(row)
            count = int(RATE[client] * arguments.share)
            more = (option,) if client == "pawl" else ("-c1", f"-m{parallel}")
            samples.take(row, lambda: getattr(clients, client)(nginx.url[server], parallel, count, *more))
    for name in ("h2c", "h2 over TLS"):
        print_load(report, samples, f"HTTP/2, {name}", [row for row in shown if row[0] == name], ("pawl", "h2load"))


def run_makespan(report, samples, clients, mockapi, processor, arguments):
    wanted = [c for c in ("pawl", "wrk", "aiohttp") if c in arguments.clients]
    rows = [("makespan", client, parallel) for parallel in (256, 1024) for client in wanted]
    said = ""
    for _ in range(arguments.rounds if arguments.quick else max(1, arguments.rounds // 2)):
        for row in rows:
            _, client, parallel = row
            count = 20_000 if arguments.quick else 200_000
            if client == "aiohttp":
                count = 20 * parallel
            server = MockApi(mockapi, processor, f"{LATENCY_S * 1000:g}ms")
            samples.take(row, lambda: getattr(clients, client)(server.url, parallel, count))
            said = server.stop()
    lines = []
    for row in rows:
        _, client, parallel = row
        if row in samples.failed:
            lines.append((f"{parallel}", client, "not measured: " + samples.failed[row], "", "", "", ""))
            continue
        share = samples.values(row, lambda s, c=parallel: s["requests"] * LATENCY_S / c / s["wall_s"])
        taken = samples.taken[row]
        added = [{name: s[name] - 1000 * LATENCY_S for name in s if name.endswith("_ms")} for s in taken]
        lines.append((f"{parallel}", client, f"{taken[0]['requests']:,}", spread(share, "{:.3f}"),
                      spread(samples.values(row, cpu_us), "{:.1f}"),
                      f"{statistics.median(s['rss_kib'] for s in taken) / 1024:.0f}", latencies(added)))
        if client == "pawl":
            report.target(f"share of the ideal makespan at C = {parallel}", statistics.median(share), TARGET_MAKESPAN[parallel])
    report.table(f"Against a server that answers after {LATENCY_S * 1000:g} ms (pawl-mockapi): share of the ideal N·L/C",
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
    parser.add_argument("--rounds", type=int, default=5, help="how often each runs (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    parser.add_argument("--json", help="write machine, targets and all samples to this file")
    arguments = parser.parse_args()
    arguments.tables = arguments.tables.split(",")
    arguments.parallel = [int(text) for text in arguments.parallel.split(",")]
    arguments.clients = arguments.clients.split(",")
    arguments.share = 0.1 if arguments.quick else 1
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
    samples, report = Samples(), Report()
    with tempfile.TemporaryDirectory(prefix="pawl-clients-") as folder:
        os.chmod(folder, 0o755)
        nginx = Nginx(folder, server_on, most)
        try:
            clients = Clients(arguments.build, folder, client_on, nginx.ca_file)
            if "load" in arguments.tables:
                run_load(report, samples, clients, nginx, arguments)
            if "tls" in arguments.tables:
                run_tls(report, samples, clients, nginx, arguments)
            if "http2" in arguments.tables:
                run_http2(report, samples, clients, nginx, arguments)
            if "makespan" in arguments.tables:
                mockapi = os.path.join(arguments.build, "tools", "mockapi", "pawl-mockapi")
                run_makespan(report, samples, clients, mockapi, server_on, arguments)
        finally:
            nginx.stop()
    report.summary()
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"about": about, "targets": report.targets,
                       "rows": [{"row": list(row), "not_measured": samples.failed.get(row), "samples": taken}
                                for row, taken in samples.taken.items()]}, file, indent=1)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

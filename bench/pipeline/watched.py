#!/usr/bin/env python3
"""Measures what being looked at costs a run: its rate with everything on against its rate with everything off.

usage: python3 bench/pipeline/watched.py --build build/release [--rounds 6] [--tasks 60000] [--json out.json]

A round is one `pawl run` of the same tasks without anybody looking and one with --metrics, scraped once a second as by
Prometheus, its page open (what the page asks for, as often as it asks), and `pawl status --watch` beside it; which comes
first alternates. The server answers without delay, so that pawl is as busy as it can be, and the watchers take their
processor time from the same cores. Prints the ratio of the rates of each round, with median and spread.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

TARGET = 0.97


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


class Watchers:
    """Everything that looks at a run, from when its page is there until leave()."""

    def __init__(self, pawl, repo, log):
        self.ended = threading.Event()
        self.log = log
        self.looks = {"scrape": 0, "status": 0, "history": 0}
        self.pawl, self.repo, self.watch = pawl, repo, None
        self.thread = threading.Thread(target=self.look)
        self.thread.start()

    def look(self):
        while not (found := re.search(r'metrics and page: (http://[^\s"]+)', self.log.read_text())):
            if self.ended.wait(0.01):
                return
        url = found[1]
        self.watch = subprocess.Popen([self.pawl, "status", self.repo, "--watch"], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
        second = 0
        try:
            fetch(url)
            while not self.ended.wait(1):
                fetch(url + "metrics")
                fetch(url + "status.json")
                self.looks["scrape"] += 1
                self.looks["status"] += 1
                second += 1
                if second % 2 == 0:
                    fetch(url + "history.json")
                    self.looks["history"] += 1
        except OSError:
            pass  # the run has ended

    def leave(self):
        self.ended.set()
        self.thread.join()
        if self.watch:
            self.watch.kill()
            self.watch.wait()


def rate(tools, url, lines, tasks, watched):
    with tempfile.TemporaryDirectory(prefix="pawl-watched-") as folder:
        repo, log = os.path.join(folder, "repo"), pathlib.Path(folder, "log")
        words = [tools["pawl"], "run", lines, "--repo", repo, "--base-url", url, "--progress", "json"]
        watchers = None
        began = time.monotonic()
        with open(log, "w", encoding="utf-8") as out:
            run = subprocess.Popen(words + (["--metrics", "127.0.0.1:0"] if watched else []), stderr=out)
            if watched:
                watchers = Watchers(tools["pawl"], repo, log)
            code = run.wait()
            took = time.monotonic() - began
        if watchers:
            watchers.leave()
            if watchers.looks["scrape"] < int(took) - 2:
                sys.exit(f"watched: {watchers.looks['scrape']} scrapes in {took:.1f} s")
        if code != 0:
            sys.exit(f"watched: exit status {code}\n{log.read_text()[-2000:]}")
        names = subprocess.run(["git", "-C", repo, "ls-tree", "-r", "--name-only", "HEAD"], capture_output=True, text=True,
                               check=True).stdout
        if names.count("\n") != tasks:
            sys.exit(f"watched: {names.count(chr(10))} of {tasks} results")
        return tasks / took


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release", help="build folder, release")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--tasks", type=int, default=60_000)
    parser.add_argument("--json", help="file for all samples")
    options = parser.parse_args()
    tools = {name: os.path.join(options.build, "tools", *place) for name, place in
             {"pawl": ("pawl", "pawl"), "load": ("load", "pawl-load"), "mockapi": ("mockapi", "pawl-mockapi")}.items()}
    samples = {"off": [], "on": [], "on / off": []}
    with tempfile.TemporaryDirectory(prefix="pawl-watched-") as folder:
        lines, port = os.path.join(folder, "tasks.jsonl"), pathlib.Path(folder, "port")
        subprocess.run([tools["load"], "tasks", "--count", str(options.tasks), "--streams", "64", "-o", lines], check=True,
                       capture_output=True)
        server = subprocess.Popen([tools["mockapi"], "--port", "0", "--port-file", port, "--latency", "0ms", "--no-key-stats"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not port.exists() or not port.read_text():
                time.sleep(0.01)
            url = f"http://127.0.0.1:{int(port.read_text())}"
            for number in range(options.rounds):
                rates = {}
                for watched in ((False, True) if number % 2 == 0 else (True, False)):
                    os.sync()
                    rates["on" if watched else "off"] = rate(tools, url, lines, options.tasks, watched)
                rates["on / off"] = rates["on"] / rates["off"]
                for name, value in rates.items():
                    samples[name].append(value)
                print(f"round {number + 1}: off {rates['off']:,.0f}, on {rates['on']:,.0f} tasks/s, ratio {rates['on / off']:.3f}",
                      flush=True)
        finally:
            server.kill()
            server.wait()
    ratios = samples["on / off"]
    print(f"on / off: median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}), target {TARGET}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            json.dump(samples, out)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measures what being looked at costs a run: its rate with everything on against its rate with everything off.

usage: python3 bench/pipeline/watched.py --build build/release [--rounds 6] [--tasks 60000] [--json out.json]

A round is one `pawl run` of the same tasks without anybody looking and one with --metrics, scraped once a second as by
Prometheus, its page open (what the page asks for, as often as it asks), `pawl top` on a terminal of its own and
`pawl status --watch` beside it; which comes first alternates. The server answers without delay, so that pawl is as busy as it can be, and the watchers take their
processor time from the same cores. Prints the ratio of the rates of each round, with median and spread.
"""

import argparse
import fcntl
import json
import os
import pathlib
import pty
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import urllib.request

TARGET = 0.97


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


class Top:
    """`pawl top` on a terminal of 120 columns and 40 rows, of which everything is read."""

    def __init__(self, pawl, repo):
        self.bytes = 0
        self.terminal, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen([pawl, "top", repo], stdin=inside, stdout=inside, stderr=inside,
                                        env={**os.environ, "TERM": "xterm-256color"}, start_new_session=True)
        os.close(inside)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        try:
            while drawn := os.read(self.terminal, 65536):
                self.bytes += len(drawn)
        except OSError:
            pass  # it has left the terminal

    def leave(self):
        self.process.kill()
        self.process.wait()
        self.thread.join()
        os.close(self.terminal)


class Watchers:
    """Everything that looks at a run, from when its page is there until leave()."""

    def __init__(self, pawl, repo, log):
        self.ended = threading.Event()
        self.log = log
        self.looks = {"scrape": 0, "status": 0, "history": 0}
        self.pawl, self.repo, self.watch, self.top = pawl, repo, None, None
        self.thread = threading.Thread(target=self.look)
        self.thread.start()

    def look(self):
        while not (found := re.search(r'metrics and page: (http://[^\s"]+)', self.log.read_text())):
            if self.ended.wait(0.01):
                return
        url = found[1]
        self.watch = subprocess.Popen([self.pawl, "status", self.repo, "--watch"], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
        self.top = Top(self.pawl, self.repo)
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
        if self.top:
            self.top.leave()


def rate(tools, url, lines, tasks, watched, within):
    # Left until the end: ext4 makes files slowly for a minute after many were deleted.
    folder = tempfile.mkdtemp(dir=within)
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
        if not watchers.top or watchers.top.bytes < 1000:
            sys.exit("watched: pawl top has drawn nothing")
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
                    rates["on" if watched else "off"] = rate(tools, url, lines, options.tasks, watched, folder)
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

#!/usr/bin/env python3
"""Measures what being durable costs the whole pipeline, and how fast a resume passes over what git holds already.

usage: python3 bench/pipeline/durability.py --build build/release [--rounds 5] [--tasks 20000] [--json out.json]

Three tables, each of ratios taken within a round, with median and spread:
- `pawl run` with --durability sync and flush against none, on the same tasks against a server without delay;
- a second `pawl run` on the same input, and `pawl resume` on a journal whose tasks are all committed: tasks skipped a
  second, the time of an empty resume taken off;
- the index of keys built anew from the branch: keys a second.

Files lie in TMPDIR; use a file system on a disk.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

SYNC_TARGET = 0.85  # of the rate without any sync
SKIP_TARGET = 300_000  # tasks a second
REBUILD_TARGET = 100_000  # keys a second: 1,000,000 in 10 s


def run(*words, check=True):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        sys.exit(f"{' '.join(words[:3])}…: exit status {done.returncode}\n{done.stderr[-2000:]}")
    return done


def seconds_of(*words):
    began = time.monotonic()
    run(*words)
    return time.monotonic() - began


def pipeline_rate(load, durability, tasks, folder):
    shutil.rmtree(folder, ignore_errors=True)
    done = run(load, "run", "--count", str(tasks), "--streams", "64", "--durability", durability, "--folder", folder)
    return float(re.search(r"rate +([0-9.]+) tasks/s", done.stdout)[1])


def start_server(mockapi):
    """An API server of its own; returns the process and its base URL."""
    process = subprocess.Popen([mockapi, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        if match := re.search(r"http://[0-9.]+:[0-9]+", line):
            return process, match[0] + "/v1"
    sys.exit("pawl-mockapi did not start")


def wait_until_saved(pawl, repo, tasks, process):
    """Until the journal holds every task."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        done = run(pawl, "status", repo, "--json", check=False)
        # Before the run listens, the status is that of a run that is over, which counts other things.
        if done.returncode == 0 and json.loads(done.stdout).get("tasks", {}).get("saved", 0) >= tasks:
            return
        time.sleep(0.05)
    raise RuntimeError("the tasks were not all saved while the server kept silent")


class Committed:
    """A repository that holds `tasks` records, beside a copy of the journal from when none was committed."""

    def __init__(self, tools, folder, tasks):
        self.pawl = tools["pawl"]
        self.repo = os.path.join(folder, "repo")
        self.private = os.path.join(self.repo, ".git", "pawl")
        self.kept = os.path.join(folder, "journal")
        lines = os.path.join(folder, "tasks.jsonl")
        run(tools["load"], "tasks", "--count", str(tasks), "--streams", "64", "-o", lines)
        server, url = start_server(tools["mockapi"])
        self.again = [self.pawl, "run", lines, "--repo", self.repo, "--base-url", url, "--no-worktree", "--quiet",
                      "--tasks-in-flight", str(tasks + 1000), "--bytes-in-flight", str(tasks * 8192)]
        server.send_signal(signal.SIGSTOP)  # calls are taken and not answered
        with subprocess.Popen(self.again, stderr=subprocess.DEVNULL) as process:
            try:
                wait_until_saved(self.pawl, self.repo, tasks, process)
            finally:
                process.kill()
        server.send_signal(signal.SIGCONT)
        shutil.copytree(os.path.join(self.private, "journal"), self.kept)
        run(self.pawl, "resume", self.repo, "--quiet")
        server.kill()
        server.wait()

    def resume(self, journal):
        if journal:
            shutil.rmtree(os.path.join(self.private, "journal"), ignore_errors=True)
            shutil.copytree(self.kept, os.path.join(self.private, "journal"))
        os.sync()  # what was copied is not to be waited for
        return seconds_of(self.pawl, "resume", self.repo, "--quiet")

    def rebuild(self):
        os.remove(os.path.join(self.private, "keys"))
        os.sync()  # what was copied is not to be waited for
        return seconds_of(self.pawl, "resume", self.repo, "--quiet")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release", help="build folder, release")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=20_000, help="of each pipeline run; ten times as many are skipped")
    parser.add_argument("--json", help="file for all samples")
    options = parser.parse_args()
    tools = {name: os.path.join(options.build, "tools", *place) for name, place in
             {"pawl": ("pawl", "pawl"), "load": ("load", "pawl-load"), "mockapi": ("mockapi", "pawl-mockapi")}.items()}
    samples = {}

    def note(name, value):
        samples.setdefault(name, []).append(value)

    with tempfile.TemporaryDirectory(prefix="pawl-durability-") as folder:
        for _ in range(options.rounds):
            rates = {kind: pipeline_rate(tools["load"], kind, options.tasks, os.path.join(folder, "run"))
                     for kind in ("none", "flush", "sync")}
            for kind, rate in rates.items():
                note(f"{kind}, tasks/s", rate)
            note("flush / none", rates["flush"] / rates["none"])
            note("sync / none", rates["sync"] / rates["none"])
        held = 10 * options.tasks
        committed = Committed(tools, folder, held)
        for _ in range(options.rounds):
            empty = committed.resume(journal=False)
            note("resume skips, tasks/s", held / max(committed.resume(journal=True) - empty, 1e-3))
            note("second run skips, tasks/s", held / max(seconds_of(*committed.again) - empty, 1e-3))
            note("index built anew, keys/s", held / max(committed.rebuild() - empty, 1e-3))
    targets = {"sync / none": SYNC_TARGET, "resume skips, tasks/s": SKIP_TARGET,
               "index built anew, keys/s": REBUILD_TARGET}
    for name, values in samples.items():
        median = statistics.median(values)
        digits = 0 if median > 100 else 2
        words = [f"{value:,.{digits}f}" for value in (median, min(values), max(values))]
        target = targets.get(name)
        verdict = "" if target is None else f"  target >= {target:g}: {'met' if median >= target else 'NOT MET'}"
        print(f"{name:28s} {words[0]} ({words[1]} to {words[2]}){verdict}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"tasks": options.tasks, "rounds": options.rounds, "samples": samples}, file, indent=1)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Records one history with pawl's commit stage and with what one would pick instead, in one run, and prints ratios.

usage: python3 bench/peers/commit.py --build build/release [--tasks 1000,10000,100000] [--per-commit 1,100]
           [--peers fast-import,fast-import-depth0,pawl,mempack,loose,pygit2-trees,pygit2,gitpython,git] [--rounds 1]
           [--streams 64] [--dir DIR] [--work-tree] [--json out.json]
       python3 bench/peers/commit.py --draw out.json,more.json --growth growth.svg

All contenders make the same commits, and each must end at the same commit id. The repository is bare; pawl syncs each
publication, the others sync what git does by default. Wall-clock and processor time are those of the whole process, so
pawl's include rendering and encoding each record. The slow ones are given fewer tasks (--cap): their time a task grows
with the number of files, so the figure flatters them. A row appears when its rounds are done. Needs git; python3-pygit2 and python3-git for those peers.
"""

import argparse
import functools
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

WHO = {"GIT_AUTHOR_NAME": "Ada Tester", "GIT_AUTHOR_EMAIL": "ada@example.org",
       "GIT_COMMITTER_NAME": "Ada Tester", "GIT_COMMITTER_EMAIL": "ada@example.org",
       "GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000",
       "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
# Most tasks given to a slow peer, with one task a commit and with many.
CAPS = {"mempack": (10000, 20000), "loose": (5000, 20000), "pygit2": (2000, 10000), "pygit2-trees": (5000, 20000), "gitpython": (300, 2000), "git": (300, 3000)}
DEFAULT = "fast-import,fast-import-depth0,pawl,mempack,loose,pygit2-trees,pygit2,gitpython,git"


# ---------------------------------------------------------------------------------------------------------------------
# Peers in Python: run in a process of their own, `commit.py --as PEER REPOSITORY RECORDS`.

def read_records(path):
    """Yields (message, [(path, content)])."""
    with open(path, "rb") as records:
        while head := records.readline():
            _, size, results = head.split()
            message = records.read(int(size))
            files = []
            for _ in range(int(results)):
                name, size = records.readline().rsplit(b" ", 1)
                files.append((name.decode(), records.read(int(size))))
            yield message.decode(), files


def as_pygit2(repository, records):
    """An index in memory, as its documentation shows."""
    import pygit2
    repo = pygit2.Repository(repository)
    who = pygit2.Signature("Ada Tester", "ada@example.org", 1700000000, 0)
    index = pygit2.Index()
    parents = []
    for message, files in read_records(records):
        for name, content in files:
            index.add(pygit2.IndexEntry(name, repo.create_blob(content), pygit2.GIT_FILEMODE_BLOB))
        parents = [repo.create_commit("refs/heads/main", who, who, message, index.write_tree(repo), parents)]


def as_pygit2_trees(repository, records):
    """Only the trees on the way to a file, by tree builders."""
    import pygit2
    repo = pygit2.Repository(repository)
    who = pygit2.Signature("Ada Tester", "ada@example.org", 1700000000, 0)
    blob, folder = pygit2.GIT_FILEMODE_BLOB, pygit2.GIT_FILEMODE_TREE

    def with_files(tree, files):
        builder = repo.TreeBuilder(tree) if tree else repo.TreeBuilder()
        below = {}
        for name, oid in files:
            first, _, rest = name.partition("/")
            if rest:
                below.setdefault(first, []).append((rest, oid))
            else:
                builder.insert(first, oid, blob)
        for name, inner in below.items():
            builder.insert(name, with_files(tree[name] if tree and name in tree else None, inner), folder)
        return builder.write()

    parents, root = [], None
    for message, files in read_records(records):
        written = with_files(root, [(name, repo.create_blob(content)) for name, content in files])
        root = repo[written]
        parents = [repo.create_commit("refs/heads/main", who, who, message, written, parents)]


def as_gitpython(repository, records):
    """Files in a work tree, then index and commit."""
    import git
    repo = git.Repo(repository)
    root = pathlib.Path(repository)
    for message, files in read_records(records):
        for name, content in files:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        repo.index.add([name for name, _ in files])
        repo.index.commit(message)


def as_git(repository, records):
    """Files in a work tree, then git add and git commit."""
    root = pathlib.Path(repository)
    for message, files in read_records(records):
        for name, content in files:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        names = [name for name, _ in files]
        subprocess.run(["git", "-C", repository, "add", "--"] + names, check=True)
        subprocess.run(["git", "-C", repository, "-c", "gc.auto=0", "commit", "-q", "--cleanup=verbatim", "-F", "-"],
                       input=message.encode(), check=True)


MODULES = {"pygit2": "pygit2", "pygit2-trees": "pygit2", "gitpython": "git", "git": "sys"}


@functools.cache
def python_with(module):
    """This Python or the system's, whichever has the module."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0:
            return python
    return None


PYTHON = {"pygit2": as_pygit2, "pygit2-trees": as_pygit2_trees, "gitpython": as_gitpython, "git": as_git}


# ---------------------------------------------------------------------------------------------------------------------

def run(words, stdin=None, out=None):
    """Runs a program; its wall-clock and processor seconds and greatest memory in MiB, and what it printed."""
    # A child's own usage is known only from wait4(), so the process is not Popen's to wait for.
    start = time.perf_counter()
    with open(out or os.devnull, "wb") as to:
        process = subprocess.Popen(words, stdin=stdin, stdout=to, env=os.environ | WHO)
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(words)}: exit code {process.returncode}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss / 1024}


def git(repository, *words):
    return subprocess.run(["git", "-C", repository, *words], check=True, capture_output=True, text=True,
                          env=os.environ | WHO).stdout.strip()


def size_of(folder):
    return sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())


class Bench:
    def __init__(self, options):
        self.options = options
        self.program = os.path.join(options.build, "bench", "commit_history")
        self.folder = tempfile.mkdtemp(prefix="pawl-commit-", dir=options.dir)
        self.dumped = {}
        self.made = 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def dump(self, form, tasks, per_commit):
        """The history in a file: a `stream` for git fast-import, `records` for the others."""
        file = self.path(form)
        if self.dumped.get(form) != (tasks, per_commit):
            run([self.program, form, file, str(tasks), str(per_commit), str(self.options.streams)])
            self.dumped[form] = (tasks, per_commit)
        return file

    def fresh(self, work_tree):
        # ext4 passes by inodes that were deleted within the last minute, one by one, for each new file (14 s
        # of system time instead of 2 for 50,000): so what has many files stays until the end.
        self.made += 1
        repository = self.path(f"work-tree-{self.made}" if work_tree else "repository")
        shutil.rmtree(repository, ignore_errors=True)
        subprocess.run(["git", "init", "-q", "-b", "main"] + ([] if work_tree else ["--bare"]) + [repository],
                       check=True, env=os.environ | WHO)
        return repository

    def measure(self, peer, tasks, per_commit):
        repository = self.fresh(peer in ("gitpython", "git", "pawl-work-tree"))
        os.sync()  # what the one before left to be written is not this one's
        if peer.startswith("pawl"):
            figures = run([self.program, "pawl", repository, str(tasks), str(per_commit), str(self.options.streams)])
        elif peer.startswith("fast-import"):
            file = self.dump("stream", tasks, per_commit)
            words = ["git", "-C", repository, "fast-import", "--quiet"]
            if peer.endswith("depth0"):
                words.append("--depth=0")
            with open(file, "rb") as stream:
                figures = run(words, stdin=stream)
        elif peer in ("mempack", "loose"):
            file = self.dump("records", tasks, per_commit)
            figures = run([os.path.join(self.options.build, "bench", "commit_libgit2"), peer, repository, file])
        else:
            file = self.dump("records", tasks, per_commit)
            figures = run([python_with(MODULES[peer]), os.path.abspath(__file__), "--as", peer, repository, file])
        objects = os.path.join(git(repository, "rev-parse", "--absolute-git-dir"), "objects")
        return figures | {"size": size_of(objects), "head": git(repository, "rev-parse", "main"),
                          "packs": len(list(pathlib.Path(objects, "pack").glob("*.pack")))}

    def files(self, tasks):
        self.made += 1
        target = self.path(f"files-{self.made}")
        os.mkdir(target)
        os.sync()
        run([self.program, "files", target, str(tasks), str(self.options.streams)], out=self.path("said"))
        return json.loads(pathlib.Path(self.path("said")).read_text())["seconds"]

    def costs(self):
        run([self.program, "costs", "20000"], out=self.path("said"))
        return json.loads(pathlib.Path(self.path("said")).read_text())

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def median_of(rounds):
    middle = {key: statistics.median(one[key] for one in rounds) for key in ("wall", "cpu", "rss", "size", "packs")}
    return middle | {"spread": (min(one["wall"] for one in rounds), max(one["wall"] for one in rounds))}


def heads_agree(rounds_of):
    """Those with the same tasks must have the same commit id."""
    known = {}
    for (tasks, per_commit, peer), rounds in rounds_of.items():
        for one in rounds:
            head = known.setdefault((tasks, per_commit), one["head"])
            if head != one["head"]:
                sys.exit(f"{peer}, {tasks} tasks, {per_commit} a commit: ends at {one['head']}, another at {head}")


def print_head(per_commit):
    print(f"\n{per_commit} task{'s' if per_commit > 1 else ''} a commit\n\n"
          "| contender | tasks | µs a task (spread) | CPU µs | RSS MiB | bytes a task | packs | fast-import's time / its |\n"
          "|---|---|---|---|---|---|---|---|", flush=True)


def print_row(results, tasks, per_commit, peer):
    one = results[tasks, per_commit, peer]
    low, high = (f"{1e6 * seconds / tasks:.1f}" for seconds in one["spread"])
    base = results.get((tasks, per_commit, "fast-import"))
    ratio = f"{base['wall'] / one['wall']:.2f}" if base else "-"
    print(f"| {peer} | {tasks:,} | {1e6 * one['wall'] / tasks:.1f} ({low}–{high}) | {1e6 * one['cpu'] / tasks:.1f} | "
          f"{one['rss']:.0f} | {one['size'] / tasks:.0f} | {one['packs']:.0f} | {ratio} |", flush=True)


def print_ratios(results, per_commits, counts):
    """What a slow peer takes is compared at its own largest number of tasks, which flatters it."""
    print()
    for per in per_commits:
        largest = max((tasks for tasks, p, name in results if p == per and name == "pawl"), default=None)
        if largest is None:
            continue
        pawl = results[largest, per, "pawl"]["wall"] / largest
        for peer in dict.fromkeys(name for _, p, name in results if p == per and name != "pawl"):
            most = max(tasks for tasks, p, name in results if p == per and name == peer)
            theirs = results[most, per, peer]["wall"] / most
            print(f"{per} a commit: pawl at {largest:,} is {theirs / pawl:.1f} times as fast as {peer} at {most:,}")
        if (counts[0], per, "pawl") in results and counts[0] != largest:
            for tasks in counts[:-1]:
                small = results[tasks, per, "pawl"]["wall"] / tasks
                print(f"{per} a commit: time a task at {largest:,} is {pawl / small:.2f} times that at {tasks:,}")


def draw_growth(results, per_commit, file):
    """µs a task over the number of tasks, both axes logarithmic, as a picture."""
    import math
    lines = {}
    for (tasks, per, peer), one in sorted(results.items()):
        if per == per_commit:
            lines.setdefault(peer, []).append((tasks, 1e6 * one["wall"] / tasks))
    width, height, left, bottom = 640, 360, 60, 40
    xs = [x for line in lines.values() for x, _ in line]
    ys = [y for line in lines.values() for _, y in line]
    lx, hx, ly, hy = math.log10(min(xs)), math.log10(max(xs)) + 0.01, math.floor(math.log10(min(ys))), math.ceil(
        math.log10(max(ys)))
    at_x = lambda x: left + (math.log10(x) - lx) / (hx - lx) * (width - left - 150)
    at_y = lambda y: height - bottom - (math.log10(y) - ly) / (hy - ly) * (height - bottom - 20)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
           'font-size="12"><rect width="100%" height="100%" fill="white"/>']
    for power in range(ly, hy + 1):
        y = at_y(10**power)
        out.append(f'<line x1="{left}" x2="{width - 150}" y1="{y:.0f}" y2="{y:.0f}" stroke="#ddd"/>'
                   f'<text x="{left - 8}" y="{y + 4:.0f}" text-anchor="end">{10**power:,}</text>')
    for x in (10**power for power in range(math.ceil(lx), math.floor(hx) + 1)):
        out.append(f'<text x="{at_x(x):.0f}" y="{height - 20}" text-anchor="middle">{x:,}</text>')
    out.append(f'<text x="{left}" y="14">µs a task, {per_commit} a commit, over the number of tasks</text>')
    colours = ["#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#ff7f0e"]
    row = 0
    # Names in a column, as high as their line ends if there is room.
    for colour, (peer, line) in zip(colours, sorted(lines.items(), key=lambda item: -item[1][-1][1])):
        colour, thick = ("#000", 3) if peer == "pawl" else (colour, 1.5)
        points = " ".join(f"{at_x(x):.0f},{at_y(y):.0f}" for x, y in line)
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{thick}"/>')
        for x, y in line:
            out.append(f'<circle cx="{at_x(x):.0f}" cy="{at_y(y):.0f}" r="3" fill="{colour}"/>')
        x, y = line[-1]
        row = max(row + 15, at_y(y))
        out.append(f'<path d="M{at_x(x) + 5:.0f},{at_y(y):.0f}L{width - 146},{row:.0f}" stroke="{colour}" stroke-width="0.5"/>'
                   f'<text x="{width - 142}" y="{row + 4:.0f}" fill="{colour}">{peer}</text>')
    pathlib.Path(file).write_text("\n".join(out) + "\n</svg>\n")


def parse():
    if sys.argv[1:2] == ["--as"]:
        PYTHON[sys.argv[2]](*sys.argv[3:5])
        sys.exit(0)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build")
    parser.add_argument("--draw", metavar="JSON,JSON", help="measure nothing: a picture of what --json has kept")
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--tasks", default="1000,10000,100000")
    parser.add_argument("--per-commit", default="1,100")
    parser.add_argument("--peers", default=DEFAULT)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--dir", help="where repositories are made; a file system of the kind you use")
    parser.add_argument("--work-tree", action="store_true", help="pawl with files, beside writing the files alone")
    parser.add_argument("--json")
    parser.add_argument("--growth", metavar="FILE", help="a picture of the growth with the first of --per-commit")
    options = parser.parse_args()
    if not options.build and not options.draw:
        parser.error("--build says where the programs are")
    return options


def is_there(peer):
    if peer in MODULES and not python_with(MODULES[peer]):
        print(f"left out: {peer} (there is no {MODULES[peer]} module for Python)")
        return False
    return True


def measure_all(bench, peers, counts, per_commits, rounds_of):
    """Fills rounds_of and prints each row when it is complete; answers the medians."""
    results = {}
    for per in per_commits:
        print_head(per)
        for tasks in counts:
            for turn in range(bench.options.rounds):
                for peer in peers:  # by turns, so that what disturbs a round disturbs all
                    cap = CAPS.get(peer, (None, None))[0 if per == 1 else 1]
                    key = (min(tasks, cap) if cap else tasks, per, peer)
                    if key in results:
                        continue
                    rounds_of.setdefault(key, []).append(bench.measure(peer, key[0], per))
                    if turn + 1 == bench.options.rounds:
                        results[key] = median_of(rounds_of[key])
                        print_row(results, *key)
            heads_agree(rounds_of)
    return results


def read_kept(files):
    return {(one["tasks"], one["per_commit"], one["peer"]): median_of(one["rounds"])
            for file in files.split(",") for one in json.loads(pathlib.Path(file).read_text())}


def main():
    options = parse()
    per_commits = [int(count) for count in options.per_commit.split(",")]
    if options.draw:
        draw_growth(read_kept(options.draw), per_commits[0], options.growth)
        return
    bench = Bench(options)
    peers = [peer for peer in options.peers.split(",") if is_there(peer)]
    counts = sorted(int(count) for count in options.tasks.split(","))
    rounds_of = {}
    try:
        results = measure_all(bench, peers, counts, per_commits, rounds_of)
        if options.json:
            pathlib.Path(options.json).write_text(json.dumps(
                [{"tasks": t, "per_commit": c, "peer": p, "rounds": r} for (t, c, p), r in rounds_of.items()], indent=1))
        if options.growth:
            draw_growth(results, per_commits[0], options.growth)
        print_ratios(results, per_commits, counts)
        if options.work_tree:
            for tasks in counts:
                pairs = [(bench.files(tasks), bench.measure("pawl-work-tree", tasks, 256)["wall"])
                         for _ in range(options.rounds)]
                alone, both = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
                ratios = sorted(both / alone for alone, both in pairs)
                print(f"work tree, {tasks:,} tasks, 256 a commit: pawl {1e6 * both / tasks:.1f} µs a task, the files "
                      f"alone {1e6 * alone / tasks:.1f}: {both / alone:.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})",
                      flush=True)
        costs = bench.costs()
        print(f"one record of {costs['bytes']} bytes, µs: encode {costs['encode']:.1f}, of which deflate "
              f"{costs['deflate']:.1f} and SHA-1 with detection of collisions {costs['hash_collision_detecting']:.1f} "
              f"(OpenSSL's without: {costs['hash_plain']:.1f})")
    finally:
        bench.close()


if __name__ == "__main__":
    main()

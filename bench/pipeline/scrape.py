#!/usr/bin/env python3
"""Simulates a day of git scraping: a thousand URLs, again and again, by `pawl run --layout raw --normalise json`.

usage: python3 bench/pipeline/scrape.py --build build/release [--rounds 24] [--urls 1000] [--change 0.1] [--folder DIR]

A round is a `pawl run` of its own, as from cron; 288 rounds are a day of one every five minutes. A server in Python
gives each URL a JSON document of about 700 bytes, its members in another order each time, of which a share --change says
something new. Checked: a round in which nothing is new makes no commit; the work tree is clean; and a reader that knows
nothing but git (`git log` of a file, `git show` of each version) finds exactly the documents that were served.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time


def document(number, version):
    """What URL `number` says in its version `version`."""
    made = random.Random(f"{number}/{version}")
    same = random.Random(number)
    readings = {f"sensor-{i}": round(made.uniform(-20, 40), 2) for i in range(12)}
    return {"id": number, "name": f"station {number}", "version": version, "readings": readings,
            "place": {"latitude": round(same.uniform(-90, 90), 5), "longitude": round(same.uniform(-180, 180), 5)},
            "tags": [same.choice(["north", "south", "coast", "hill", "city", "farm"]) for _ in range(4)], "note": None}


class Server(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, GET /data/NUMBER, and nothing else."""
    versions = None  # shared with the parent
    shuffle = random.Random(1)

    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head, self.buffer = self.buffer[:end], self.buffer[end + 4:]
            number = int(re.match(rb"GET /data/(\d+)", head)[1])
            members = list(document(number, self.versions[number]).items())
            self.shuffle.shuffle(members)
            body = json.dumps(dict(members)).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" %
                                 (len(body), body))


def serve(versions, port):
    async def forever():
        Server.versions = versions
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
        port.value = server.sockets[0].getsockname()[1]
        await server.serve_forever()
    asyncio.run(forever())


def git(repo, *words):
    return subprocess.run(["git", "-C", repo, *words], check=True, capture_output=True, text=True).stdout


def seconds_of(*words):
    start = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
    return time.perf_counter() - start


def size_of(folder):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


def check_readers(repo, path_of, served, numbers):
    for number in numbers:
        path = path_of(number)
        found = [json.loads(git(repo, "show", f"{commit}:{path}"))["version"]
                 for commit in git(repo, "log", "--reverse", "--format=%H", "--", path).split()]
        if found != served[number]:
            sys.exit(f"{path}: its history has versions {found}, served were {served[number]}")
        if json.loads(git(repo, "show", f"HEAD:{path}")) != document(number, served[number][-1]):
            sys.exit(f"{path}: is not what was served")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--urls", type=int, default=1000)
    parser.add_argument("--change", type=float, default=0.1)
    parser.add_argument("--folder")
    options = parser.parse_args()
    pawl = os.path.join(options.build, "tools", "pawl", "pawl")
    folder = tempfile.mkdtemp(prefix="pawl-scrape-", dir=options.folder)
    versions = multiprocessing.Array("i", options.urls)
    port = multiprocessing.Value("i", 0)
    server = multiprocessing.Process(target=serve, args=(versions, port), daemon=True)
    server.start()
    try:
        while port.value == 0:
            if not server.is_alive():
                sys.exit("the server did not start")
        repo = os.path.join(folder, "pages")
        urls = os.path.join(folder, "urls.txt")
        with open(urls, "w") as file:
            file.writelines(f"http://127.0.0.1:{port.value}/data/{i}\n" for i in range(options.urls))
        words = [pawl, "run", urls, "--repo", repo, "--layout", "raw", "--path", "{path}", "--normalise", "json",
                 "--message", "scrape: {results}", "--commit-tasks", "1000000", "--quiet"]
        choice = random.Random(7)
        served = [[0] for _ in range(options.urls)]
        took = [seconds_of(*words)]
        for number in range(1, options.rounds):
            # Now and then a round without news.
            for url in range(options.urls):
                if number % 8 != 0 and choice.random() < options.change:
                    versions[url] = number
                    served[url].append(number)
            before = git(repo, "rev-parse", "HEAD")
            took.append(seconds_of(*words))
            if (git(repo, "rev-parse", "HEAD") != before) == (number % 8 == 0):
                sys.exit(f"round {number}: a commit without news, or news without a commit")
        if git(repo, "status", "--porcelain"):
            sys.exit("the work tree is not clean")
        check_readers(repo, lambda number: f"data/{number}", served, range(0, options.urls, max(1, options.urls // 10)))
        dot_git = os.path.join(repo, ".git")
        packs = [name for name in os.listdir(os.path.join(dot_git, "objects", "pack")) if name.endswith(".pack")]
        size = size_of(os.path.join(dot_git, "objects"))
        results = sum(len(one) for one in served)
        print(f"{options.rounds} rounds of {options.urls} URLs, {options.change:.0%} of them new in most: "
              f"{git(repo, 'rev-list', '--count', 'HEAD').strip()} commits, {results:,} documents")
        print(f"a round: {statistics.median(took):.2f} s (first {took[0]:.2f}, last {took[-1]:.2f})")
        print(f"objects: {size / 1e6:.1f} MB in {len(packs)} packs, {size / results:.0f} bytes a document")
        print(f"git log --stat: {seconds_of('git', '-C', repo, 'log', '--stat', '--format=%s'):.2f} s, clone: "
              f"{seconds_of('git', 'clone', '-q', '--no-local', repo, os.path.join(folder, 'copy')):.2f} s")
        seconds = seconds_of("git", "-C", repo, "gc", "--quiet")
        print(f"after git gc ({seconds:.1f} s): {size_of(os.path.join(dot_git, 'objects')) / 1e6:.1f} MB")
    finally:
        server.terminate()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

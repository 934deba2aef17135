#!/usr/bin/env python3
"""What one would write in Python: N POSTs of 1 KB with C of them at a time. Prints one line of JSON.

usage: python_client.py aiohttp|requests URL N C [CA-FILE]

aiohttp: C coroutines and one session. requests: C threads, a session each, and a queue. Responses are read whole.
Figures leave out what starting Python and importing the library takes.
"""

import json
import resource
import sys
import time

BODY = b'"' + b"x" * 1022 + b'"'
HEADERS = {"Content-Type": "application/json"}


def with_aiohttp(url, count, parallel, ca_file, latencies):
    import asyncio
    import ssl

    import aiohttp

    async def work():
        left = iter(range(count))
        context = ssl.create_default_context(cafile=ca_file) if ca_file else None
        connector = aiohttp.TCPConnector(limit=parallel, ssl=context)
        async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:

            async def worker():
                for _ in left:
                    began = time.monotonic()
                    async with session.post(url, data=BODY) as response:
                        body = await response.read()
                        if response.status == 200 and body:
                            latencies.append(time.monotonic() - began)

            await asyncio.gather(*[worker() for _ in range(parallel)])

    return lambda: asyncio.run(work())


def with_requests(url, count, parallel, ca_file, latencies):
    import queue
    import threading

    import requests

    def run():
        tasks = queue.Queue()
        for i in range(count):
            tasks.put(i)

        def worker():
            session = requests.Session()
            if ca_file:
                session.verify = ca_file
            while True:
                try:
                    tasks.get_nowait()
                except queue.Empty:
                    return
                began = time.monotonic()
                response = session.post(url, data=BODY, headers=HEADERS)
                if response.status_code == 200 and response.content:
                    latencies.append(time.monotonic() - began)

        threads = [threading.Thread(target=worker) for _ in range(parallel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return run


def main():
    library, url, count, parallel = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    ca_file = sys.argv[5] if len(sys.argv) > 5 else None
    latencies = []
    run = {"aiohttp": with_aiohttp, "requests": with_requests}[library](url, count, parallel, ca_file, latencies)
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    run()
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    failed = count - len(latencies)
    latencies = sorted(latencies) or [0.0]

    def percentile(share):
        return 1000 * latencies[min(int(share * len(latencies)), len(latencies) - 1)]

    print(json.dumps({
        "requests": count, "failed": failed, "wall_s": wall,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "p50_ms": percentile(0.5), "p99_ms": percentile(0.99), "p999_ms": percentile(0.999), "max_ms": percentile(1)}))


if __name__ == "__main__":
    main()

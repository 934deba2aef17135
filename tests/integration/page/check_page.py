#!/usr/bin/env python3
"""Looks at the page of `pawl run --metrics` in Chromium, with a real run behind it.

usage: check_page.py --pawl build/dev/tools/pawl/pawl --mockapi build/dev/tools/mockapi/pawl-mockapi [--keep DIR]

The run calls a server that is slow, limits its rate and fails now and then. Checked, at the width of a desk and of a
phone, dark and light: the page shows what /status.json says; nothing moves once it is loaded; nothing is wider than the
screen; the browser has nothing to complain of (scripts, Content-Security-Policy); no text has too little contrast; the
buttons work by keyboard. With --keep the screenshots are left there to be looked at.

Needs chromium and chromedriver (Debian: chromium, chromium-driver); exit status 77 without them.
"""

import argparse
import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

PATIENCE = 90  # seconds; for a busy machine
SIZES = {"desk": (1280, 900), "phone": (390, 844)}
ENTER, TAB, ESCAPE = "\ue007", "\ue004", "\ue00c"

# Of each text that is shown: what it says, its colour, and that of the first ground under it that is not transparent.
TEXTS = """
const found = [];
for (const node of document.querySelectorAll('h1,h1 span,h2,dt,dd,small,p,td,th,button,li,b,footer,a')) {
  if (!node.offsetParent || node.disabled || !node.textContent.trim()) continue;
  let under = node;
  while (under.parentElement && getComputedStyle(under).backgroundColor === 'rgba(0, 0, 0, 0)') under = under.parentElement;
  found.push([node.textContent.trim().slice(0, 30), getComputedStyle(node).color, getComputedStyle(under).backgroundColor]);
}
return found;
"""

# Layout instability, as https://wicg.github.io/layout-instability/ measures it: of each move how much, when, and what.
SHIFTS = """
const found = [];
const named = node => node ? (node.id || node.className || node.nodeName) : '';
new PerformanceObserver(list => {
  for (const entry of list.getEntries())
    found.push([entry.value, Math.round(entry.startTime), entry.sources.map(s => named(s.node) + ' by ' +
                [s.currentRect.x - s.previousRect.x, s.currentRect.y - s.previousRect.y].join())]);
}).observe({type: 'layout-shift', buffered: true});
return new Promise(done => setTimeout(() => done(found), 300));
"""


def eventually(condition, what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    sys.exit(f"page: waited in vain for {what}")


class Browser:
    """WebDriver (https://www.w3.org/TR/webdriver2/) over HTTP, as chromedriver serves it."""

    def __init__(self, folder):
        log = open(folder / "chromedriver.log", "w", encoding="utf-8")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=log, text=True)
        for line in self.driver.stdout:
            if found := re.search(r"successfully on port (\d+)", line):
                self.base = f"http://127.0.0.1:{found[1]}"
                break
        arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                     f"--user-data-dir={folder / 'profile'}"]
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"binary": shutil.which("chromium"), "args": arguments},
                  "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = ""
        self.session = "/session/" + self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + self.session + path, data, {"Content-Type": "application/json"},
                                         method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as problem:
            sys.exit(f"page: {path}: {problem.read()[:600]}")

    def devtools(self, command, **parameters):
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def script(self, text):
        return self.ask("POST", "/execute/sync", {"script": text, "args": []})

    def press(self, keys):
        typed = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": typed}]})

    def look(self, url, size, scheme):
        width, height = SIZES[size]
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                      mobile=size == "phone")
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("POST", "/url", {"url": url})

    def picture(self, file):
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        file.write_bytes(base64.b64decode(shot["data"]))

    def close(self):
        try:
            self.ask("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()


def luminance(colour):
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def check_look(browser, size, scheme):
    where = f"{size}, {scheme}: "
    wide = browser.script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        sys.exit(f"page: {where}{wide} pixels wider than the screen")
    shifts = browser.script(SHIFTS)
    for text, colour, ground in browser.script(TEXTS):
        high, low = sorted((luminance(colour), luminance(ground)), reverse=True)
        if (high + 0.05) / (low + 0.05) < 4.5:  # WCAG 2.2, 1.4.3
            sys.exit(f"page: {where}'{text}' has a contrast of {(high + 0.05) / (low + 0.05):.1f}: {colour} on {ground}")
    for entry in browser.ask("POST", "/se/log", {"type": "browser"}):
        sys.exit(f"page: {where}{entry}")
    return shifts


def sums(moved):
    return [sum(shift[0] for shift in shifts) for shifts in moved.values()]


def check_keys(browser, status):
    """Pause, resume and drain with nothing but a keyboard."""
    def focus():
        return browser.script("return document.activeElement.id")

    browser.script("document.activeElement.blur(); window.scrollTo(0, 0)")
    browser.press([TAB])
    if focus() != "pause":
        sys.exit(f"page: the first Tab goes to '{focus()}', not to the pause button")
    browser.press([ENTER])
    eventually(lambda: status()["paused"], "the pause")
    eventually(lambda: browser.script("return document.getElementById('phase').textContent") == "paused", "the badge")
    browser.script("document.getElementById('resume').focus()")
    browser.press([ENTER])
    eventually(lambda: not status()["paused"], "the end of the pause")
    browser.script("document.getElementById('drain').focus()")
    browser.press([ENTER])
    eventually(lambda: browser.script("return document.getElementById('sure').open"), "the question before a drain")
    browser.press([ESCAPE])
    eventually(lambda: not browser.script("return document.getElementById('sure').open"), "the end of that question")
    if status()["phase"] != "running":
        sys.exit("page: drains although the question was cancelled")
    browser.press([ENTER, TAB, ENTER])
    eventually(lambda: status()["phase"] != "running", "the drain")


def tasks(count):
    for i in range(count):
        body = {"model": ["gpt-4o-mini", "gpt-4o"][i % 2], "messages": [{"role": "user", "content": f"question {i}"}]}
        yield json.dumps({"custom_id": f"request-{i}", "stream": f"chapter-{i % 7:02}", "method": "POST",
                          "url": "/v1/chat/completions", "body": body})


def check(folder, arguments):
    keep = pathlib.Path(arguments.keep) if arguments.keep else folder
    keep.mkdir(parents=True, exist_ok=True)
    api = subprocess.Popen([arguments.mockapi, "--port", "0", "--port-file", folder / "port", "--latency", "lognormal:300ms,0.6",
                            "--error-rate", "0.04", "--error-codes", "400", "503", "--no-key-stats"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run = None
    browser = None
    try:
        port = int(eventually(lambda: (folder / "port").exists() and (folder / "port").read_text(), "the API's port"))
        (folder / "tasks.jsonl").write_text("\n".join(tasks(200_000)) + "\n", encoding="utf-8")
        log = open(folder / "run.log", "w", encoding="utf-8")
        run = subprocess.Popen([arguments.pawl, "run", folder / "tasks.jsonl", "--repo", folder / "answers", "--base-url",
                                f"http://127.0.0.1:{port}/v1", "--parallel-max", "40", "--rate", "60/s", "--tasks-in-flight", "400",
                                "--budget-calls", "150000", "--retry", "2", "--retry-delay", "100ms", "--metrics", "127.0.0.1:0"],
                               stderr=log)
        url = eventually(lambda: re.search(r"metrics and page: (http://\S+/)", (folder / "run.log").read_text()), "the page")[1]

        def status():
            with urllib.request.urlopen(url + "status.json", timeout=PATIENCE) as answer:
                return json.load(answer)

        eventually(lambda: status()["tasks"]["failed"] > 0 and status()["elapsed_ms"] > arguments.seconds * 1000, "failures")
        browser = Browser(folder)
        moved = {}
        for size in SIZES:
            for scheme in ("light", "dark"):
                before = status()["tasks"]["retired"]
                browser.look(url, size, scheme)
                shown = "return Number(document.getElementById('finished').firstChild.nodeValue.replaceAll(',', ''))"
                eventually(lambda: browser.script(shown) >= before > 0, "the page to show what is finished")
                eventually(lambda: browser.script("return document.querySelectorAll('path.line[d^=M]').length") >= 3, "charts")
                if browser.script(shown) > status()["tasks"]["retired"]:
                    sys.exit("page: shows more than there is")
                moved[f"{size} {scheme}"] = check_look(browser, size, scheme)
                browser.picture(keep / f"{size}-{scheme}.png")
        if arguments.keep:
            for name in ("status.json", "history.json", "metrics"):
                with urllib.request.urlopen(url + name, timeout=PATIENCE) as answer:
                    (keep / name).write_bytes(answer.read())
        if max(sums(moved)) > 0.1:  # what Web Vitals calls good
            sys.exit(f"page: moves while it loads: {json.dumps(moved, indent=1)}")
        hosts = browser.script("return [...new Set(performance.getEntriesByType('resource').map(e => new URL(e.name).origin))]")
        if [host for host in hosts if host != url[:-1] and host != "null"]:
            sys.exit(f"page: asks elsewhere: {hosts}")
        check_keys(browser, status)
        run.wait(PATIENCE)
        eventually(lambda: browser.script("return document.getElementById('phase').textContent") == "no answer", "the end")
        print(f"page: as it should be; moved by at most {max(sums(moved)):.4f}")
    finally:
        if browser:
            browser.close()
        for process in (run, api):
            if process and process.poll() is None:
                process.kill()
                process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pawl", required=True)
    parser.add_argument("--mockapi", required=True)
    parser.add_argument("--keep", help="folder for the screenshots")
    parser.add_argument("--seconds", type=float, default=5, help="how long the run goes on before it is looked at")
    arguments = parser.parse_args()
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        print("page: skipped, there is no chromium with chromedriver (Debian: chromium, chromium-driver)")
        sys.exit(77)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="pawl-page.") as folder:
        check(pathlib.Path(folder), arguments)


if __name__ == "__main__":
    main()

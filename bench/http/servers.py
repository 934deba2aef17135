#!/usr/bin/env python3
"""The servers that compare_clients.py measures against, on a processor of their own.

usage: python3 bench/http/servers.py 'COMMAND'

Runs a shell command beside nginx, on the other processor: $HTTP, $HTTP2, $HTTPS, $HTTPS_ONCE and $HTTP_ONCE are its
URLs, $CA_FILE is what to trust. Such as 'perf record build/release/bench/call_load --count 60000 --parallel-max 256
--url $HTTP'.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SYSTEM_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"

NGINX_CONFIGURATION = """
daemon off; worker_processes 1; worker_rlimit_nofile {files}; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
{user}
events {{ worker_connections {connections}; multi_accept on; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  tcp_nodelay on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  ssl_certificate {folder}/server.crt; ssl_certificate_key {folder}/server.key;
  ssl_session_cache shared:sessions:8m; ssl_protocols TLSv1.2 TLSv1.3;
  server {{ listen 127.0.0.1:{http} backlog=8192;
           location = /file {{ root {folder}; }} location / {{ return 200 '{body}'; }} }}
  server {{ listen 127.0.0.1:{http2} http2 backlog=8192; location / {{ return 200 '{body}'; }} }}
  server {{ listen 127.0.0.1:{https} ssl http2 backlog=8192; location / {{ return 200 '{body}'; }} }}
  server {{ listen 127.0.0.1:{https_once} ssl backlog=8192; keepalive_timeout 0; location / {{ return 200 '{body}'; }} }}
  server {{ listen 127.0.0.1:{http_once} backlog=8192; keepalive_timeout 0; location / {{ return 200 '{body}'; }} }}
}}
"""


def pinned(processor, words):
    return words if processor is None else ["taskset", "-c", str(processor), *words]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def make_certificates(folder):
    """A throw-away authority and a certificate for 127.0.0.1, and a file of trusted certificates of the system's size."""

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=throw-away", "-keyout",
            "ca.key", "-out", "ca.crt")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out",
            "server.csr")
    with open(os.path.join(folder, "names"), "w", encoding="utf-8") as file:
        file.write("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", "server.crt")
    bundle = os.path.join(folder, "bundle.crt")
    with open(bundle, "wb") as out:
        for path in (SYSTEM_CERTIFICATES, os.path.join(folder, "ca.crt")):
            if os.path.exists(path):
                with open(path, "rb") as file:
                    shutil.copyfileobj(file, out)
    return bundle


def wait_for(port, process):
    for _ in range(500):
        if process.poll() is not None:
            raise RuntimeError(f"{process.args}: ended with {process.returncode}")
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args}: does not listen")


class Nginx:
    """nginx with one worker: HTTP/1.1, HTTP/2 in clear, TLS, and both without keep-alive."""

    def __init__(self, folder, processor, files):
        self.ca_file = make_certificates(folder)
        names = ("http", "http2", "https", "https_once", "http_once")
        ports = dict(zip(names, free_ports(len(names))))
        body = '{"text": "' + "x" * 1012 + '"}'
        with open(os.path.join(folder, "file"), "w", encoding="utf-8") as file:
            file.write(body)
        path = os.path.join(folder, "nginx.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(NGINX_CONFIGURATION.format(
                folder=folder, body=body, files=files, connections=min(files - 100, 16384),
                user="user root;" if os.geteuid() == 0 else "", **ports))
        self.url = {name: f"http{'s' if 'https' in name else ''}://127.0.0.1:{port}/v1" for name, port in ports.items()}
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self.process = subprocess.Popen(pinned(processor, [program, "-p", folder, "-c", path]))
        wait_for(ports["http"], self.process)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class MockApi:
    """pawl-mockapi with a latency."""

    def __init__(self, program, processor, latency):
        words = [program, "--port", "0", "--latency", latency, "--no-key-stats"]
        self.process = subprocess.Popen(pinned(processor, words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True)
        first = self.process.stdout.readline()
        match = re.search(r"http://[0-9.]+:[0-9]+", first)
        if match is None:
            raise RuntimeError(f"{program}: {first}")
        self.url = match[0] + "/echo"

    def stop(self):
        """Returns what the server says of itself: calls, and processor time per call."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate()[0].strip()


def main():
    processors = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="pawl-servers-") as folder:
        os.chmod(folder, 0o755)
        nginx = Nginx(folder, processors[1] if len(processors) > 1 else None, 20_000)
        urls = {name.upper(): url for name, url in nginx.url.items()}
        try:
            words = pinned(processors[0] if len(processors) > 1 else None, ["sh", "-c", " ".join(sys.argv[1:])])
            return subprocess.run(words, env={**os.environ, **urls, "CA_FILE": nginx.ca_file}, check=False).returncode
        finally:
            nginx.stop()


if __name__ == "__main__":
    sys.exit(main())

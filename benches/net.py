#!/usr/bin/env python3
"""Loads the HTTP and echo servers of gosched, hyper on tokio, and Go, in turn, and compares them.

    benches/net.py [--go PATH] [--rounds 5] [--rows http,http_sleep,answer,idle_http,idle_echo] [--seconds 5]

`http`: wrk with one thread and 100 connections; `http_sleep`: the handler sleeps 5 ms, 10,000 connections;
`answer`: how long a plain thread waits for an echo server's answer, one byte on one connection;
`idle_http`, `idle_echo`: resident memory for each of 9,000 connections that were used once and are kept.
Each round runs every system once, in shuffled order, each a fresh process with 2 workers. wrk shares the
processors with the server: the server's own processor time per request is the dependable figure. Memory
is that of the process: the kernel's part of a socket is the same for all and not in it.

Needs python3, cargo, wrk (Debian's package wrk), and 20,000 descriptors.
"""

import argparse
import json
import os
import random
import re
import resource
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import run as suite

TICK = os.sysconf("SC_CLK_TCK")
IDLE = 9_000
# The program's row, for each system.
ROWS = {
    "http": {"core-pinned": "http", "core-migrate": "http", "tokio": "http", "go": "http"},
    "http_sleep": {"core-pinned": "http_sleep", "core-migrate": "http_sleep", "tokio": "http_sleep", "go": "http_sleep"},
    "answer": {"core-pinned": "echo_small", "core-migrate": "echo_small", "tokio": "echo", "go": "echo"},
    "idle_http": {"core-pinned": "http", "tokio": "http", "go": "http"},
    "idle_echo": {"core-pinned": "echo", "tokio": "echo", "go": "echo"},
    "idle_echo_small": {"core-pinned": "echo_small"},
    "idle_echo_async": {"core-pinned": "echo_async", "tokio": "echo_async"},
}
CONNECTIONS = {"http": 100, "http_sleep": 10_000}


class Server:
    def __init__(self, command, program):
        prefix, suffix, env = command
        self.child = subprocess.Popen(
            [*prefix, program, *suffix], stdout=subprocess.PIPE, text=True, env={**os.environ, **env}
        )
        self.port = int(self.child.stdout.readline().split()[1])

    def cpu(self):
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self):
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()


def seconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[unit]


def wrk(port, connections, duration):
    text = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{duration}s", "--latency", "--timeout", "10s", f"http://127.0.0.1:{port}/"],
        check=True, capture_output=True, text=True,
    ).stdout

    def percentile(number):
        return seconds(re.search(rf"^ +{number}% +(\S+)$", text, re.M)[1]) * 1e6

    errors = re.search(r"Socket errors: (.*)", text)
    non = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {
        "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        "requests": int(re.search(r"(\d+) requests in", text)[1]),
        "p50": percentile(50),
        "p99": percentile(99),
        "errors": (errors[1] if errors else "") + (f" {non[1]} bad" if non else ""),
    }


def load(server, row, duration):
    wrk(server.port, CONNECTIONS[row], 1)
    before = server.cpu()
    result = wrk(server.port, CONNECTIONS[row], duration)
    result["cpu_per_request"] = (server.cpu() - before) / result["requests"] * 1e6
    result["rss"] = server.memory() / 2**20
    return result


def answer(server, peers):
    before = server.cpu()
    text = subprocess.run([peers, "ask", str(server.port)], check=True, capture_output=True, text=True).stdout
    return {"answer": float(text.split()[1]) / 1000, "cpu_per_request": (server.cpu() - before) / 100_000 * 1e6}


def idle(server, row):
    request, answer = (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"Hello, World!") if row == "idle_http" else (b"x", b"x")

    def connect(count):
        sockets = []
        for _ in range(count):
            s = socket.create_connection(("127.0.0.1", server.port))
            s.sendall(request)
            got = b""
            while answer not in got:
                got += s.recv(4096)
            sockets.append(s)
        return sockets

    for s in connect(100):
        s.close()
    time.sleep(0.5)
    before = server.memory()
    sockets = connect(IDLE)
    time.sleep(2)
    result = {"per_connection": (server.memory() - before) / IDLE}
    for s in sockets:
        s.close()
    return result


UNITS = {"answer": "us/answer", "rps": "requests/s", "p50": "us", "p99": "us", "cpu_per_request": "us of CPU/request", "rss": "MiB",
         "per_connection": "B/connection"}


def report(row, tables):
    for system, runs in tables.items():
        shown = [system.ljust(13)]
        for name, unit in UNITS.items():
            values = [run[name] for run in runs if name in run]
            if values:
                low, middle, high = (suite.number(f(values)) for f in (min, statistics.median, max))
                shown.append(f"{middle} ({low}-{high}) {unit}")
        errors = {run.get("errors") for run in runs} - {"", None}
        print(f"{row:<16}", "  ".join(shown), *(f"  ERRORS: {e}" for e in errors))
    print(flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--go", metavar="PATH")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--systems")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", metavar="FILE", default=str(suite.ROOT / "target/bench/net.json"))
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    systems = args.systems.split(",") if args.systems else [*suite.OURS, "tokio", "go"]
    commands = suite.build(systems, args.go, args.workers)
    everything = {}
    for row in args.rows.split(","):
        programs = {system: ROWS[row][system] for system in systems if system in ROWS[row]}
        tables = {system: [] for system in programs}
        for _ in range(1 if row.startswith("idle") else args.rounds):
            for system in random.sample(list(programs), len(programs)):
                with Server(commands[system], programs[system]) as server:
                    if row in CONNECTIONS:
                        result = load(server, row, args.seconds)
                    elif row == "answer":
                        result = answer(server, commands["tokio"][0][0])
                    else:
                        result = idle(server, row)
                    tables[system].append(result)
        report(row, tables)
        everything[row] = tables
    Path(args.json).write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()

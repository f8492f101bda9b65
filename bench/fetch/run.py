"""run.py BIN WEB : the cases and the table. Called by bench/fetch.sh, in an empty folder on a real disk."""

import json
import os
import platform
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "transform"))
import measure  # noqa: E402

BIN, WEB = sys.argv[1:3]
MB = 1_000_000
# Name: path of the server, requests, at once, most open files (none: as they are).
CASES = {
    "slow": ("/d/2000/", 100, 100, None),
    "quick": ("/d/0/", 10_000, 100, None),
    "files": ("/d/0/", 50_000, 100, 256),
    "large": (f"/b/{10 * MB}/", 1_000, 50, None),
    "wide": ("/d/50/", 10_000, 500, None),
}
PEERS = ["aiohttp", "curl", "h2load", "load"]
# What curl does at once at most.
CURL_MOST = 300
# Longest wait for one run, in seconds.
PATIENCE = 900
TICKS = os.sysconf("SC_CLK_TCK")


def words(name, default):
    return os.environ.get(name, "").replace(",", " ").split() or default


def interpreter():
    """The Python that has the peers' packages."""
    for place in (os.environ.get("VENV"), os.environ["TARGET"] + "/bench-venv"):
        if place and os.path.exists(place + "/bin/python"):
            return place + "/bin/python"
    return sys.executable


def installed(python):
    """Which of the peers are here, with their versions."""
    found = {"load": "load (of this repository, the ceiling)"}
    line = "import aiohttp; print(aiohttp.__version__)"
    done = subprocess.run([python, "-c", line], capture_output=True, text=True)
    if done.returncode == 0:
        found["aiohttp"] = f"aiohttp {done.stdout.strip()}"
    for tool in ("curl", "h2load"):
        if shutil.which(tool):
            done = subprocess.run([tool, "--version"], capture_output=True, text=True)
            found[tool] = " ".join(done.stdout.split()[:2])
    return found


class Server:
    """The other side, and its own counts."""

    def __init__(self):
        self.process = subprocess.Popen([WEB, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.host = f"127.0.0.1:{int(self.process.stdout.readline())}"

    def counts(self):
        """Requests, the most at once and connections since the last call."""
        with urllib.request.urlopen(f"http://{self.host}/count") as answer:
            counts = json.load(answer)
        # This one was a connection too.
        counts["connections"] -= 1
        return counts

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def cpu_of(pid):
    """Processor time of a process and of those it has waited for, in seconds."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return sum(int(n) for n in fields[11:15]) / TICKS


def peak_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))


def limited(argv, files):
    """The same with so many open files at most."""
    return ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *argv] if files else argv


def answered(argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def ours(server, path, count, at_once, files):
    """A run of a task by hand in a supervisor that is there already: from the trigger to the last row."""
    home = os.getcwd()
    os.mkdir("ours")
    os.chdir("ours")
    # In TOML and in the URL, so no braces of Python's.
    urls = f"http://{server.host}{path}" + "{1.." + str(count) + "}"
    with open("config.toml", "w") as f:
        f.write(f'[supervisor]\ndata_dir = "data"\n[retention]\nsucceeded = {{ age = "30d", count = 1000000 }}\n'
                f'[tasks.calls]\nmanual = true\nfetch = {{ urls = ["{urls}"], output = "out/{{n}}", concurrency = {at_once}, '
                f'per_host = {{ concurrency = {at_once} }} }}\n')
    with open("said", "w") as said:
        supervisor = subprocess.Popen(limited([BIN, "run"], files), stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        end = time.monotonic() + 60
        while (answered([BIN, "status", "--json"]) or {}).get("state") != "running":
            if supervisor.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the supervisor does not run: " + last_line("said"))
            time.sleep(0.05)
        before, start = cpu_of(supervisor.pid), time.time()
        started = answered([BIN, "trigger", "calls", "--json"])
        if started is None:
            raise RuntimeError("the trigger was refused")
        settled = wait_for(started["run"], supervisor)
        result = {"wall": settled - start, "cpu": cpu_of(supervisor.pid) - before, "peak_rss": peak_of(supervisor.pid)}
        result["verdict"] = verdict(path, count)
    finally:
        supervisor.send_signal(signal.SIGTERM)
        try:
            supervisor.wait(60)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
        os.chdir(home)
        # ext4 looks for inodes around those deleted in the last minutes, one by one, for every file that is made: 10,000
        # deleted ones make the next run take twice as long. So files stay until the end, where they fit.
        if path.startswith("/b/"):
            shutil.rmtree("ours")
        else:
            os.rename("ours", f"ours-{time.time_ns()}")
    return result


def last_line(path):
    with open(path, errors="replace") as f:
        lines = f.read().strip().splitlines()
    return lines[-1] if lines else "nothing was said"


def wait_for(run, supervisor):
    """When the run was over, by its own row."""
    # Looking costs little, and is no part of what is measured but for that.
    db = sqlite3.connect("file:data/shiftboss.db?mode=ro", uri=True, timeout=30)
    end = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < end:
            row = db.execute("SELECT settled_at FROM run WHERE id = ? AND open = 0", (run,)).fetchone()
            if row and row[0]:
                return row[0] / 1000
            if supervisor.poll() is not None:
                raise RuntimeError("the supervisor ended: " + last_line("said"))
            time.sleep(0.02)
    finally:
        db.close()
    raise RuntimeError(f"not over after {PATIENCE} s")


def verdict(path, count):
    """Whether every URL has one job that succeeded, and every answer is on the disk and right."""
    listed = json.loads(subprocess.run([BIN, "jobs", "--json"], capture_output=True, text=True, check=True).stdout)
    jobs = [job for job in listed if job["input"].startswith("http")]
    states, seen, wrong = {}, set(), 0
    alphabet = (b"abcdefghijklmnopqrstuvwxyz" * (256 * 1024 // 26 + 1))[:256 * 1024]
    for job in jobs:
        states[job["state"]] = states.get(job["state"], 0) + 1
        n = job["input"].rpartition("/")[2]
        seen.add(n)
        if job["state"] != "succeeded":
            continue
        if len(job["outputs"]) != 1:
            wrong += 1
        elif path.startswith("/b/"):
            wrong += not is_repeated(job["outputs"][0], alphabet, int(path.split("/")[2]))
        else:
            with open(job["outputs"][0], "rb") as f:
                wrong += f.read() != f'{{"n":{n}}}'.encode()
    found = sum(len(files) for _, _, files in os.walk("out"))
    told = [f"{n:,} {state}" for state, n in states.items() if state != "succeeded"]
    told += [f"{wrong:,} wrong"] if wrong else []
    told += [f"{len(jobs):,} jobs, {len(seen):,} URLs"] if (len(jobs), len(seen)) != (count, count) else []
    told += [f"{found:,} files"] if found != states.get("succeeded", 0) else []
    return "NO: " + ", ".join(told) if told else "yes"


def is_repeated(path, pattern, size):
    """Whether a file is this pattern over and over, up to this size."""
    if os.path.getsize(path) != size:
        return False
    with open(path, "rb", buffering=0) as f:
        while piece := f.read(len(pattern)):
            if piece != pattern[:len(piece)]:
                return False
    return True


def checked(result, good, count):
    result["verdict"] = "dropped" if good == count else f"NO: {good:,} good"
    return result


def printed(done):
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return done.stdout


def aiohttp(python):
    def run(server, path, count, at_once, files):
        url = f"http://{server.host}{path}"
        argv = [python, f"{HERE}/peers.py", url, str(count), str(at_once)]
        done, outer = measure.command(limited(argv, files))
        inner = json.loads(printed(done))
        return checked({**inner, "peak_rss": outer["peak_rss"]}, inner["good"], count)

    return run


def curl(server, path, count, at_once, files):
    url = f"http://{server.host}{path}[1-{count}]"
    argv = ["curl", "--silent", "--show-error", "--parallel", "--parallel-max", str(min(at_once, CURL_MOST)),
            "--output", "/dev/null", "--write-out", "%{http_code}\n", url]
    done, result = measure.command(limited(argv, files))
    return checked(result, printed(done).split().count("200"), count)


def h2load(server, path, count, at_once, files):
    # One URL, again and again.
    argv = ["h2load", "--h1", "-n", str(count), "-c", str(at_once), "-t", "1", f"http://{server.host}{path}1"]
    done, result = measure.command(limited(argv, files))
    line = next(line for line in printed(done).splitlines() if line.startswith("status codes:"))
    return checked(result, int(line.split()[2]), count)


def load(server, path, count, at_once, files):
    done, result = measure.command(limited([WEB, "load", server.host, path, str(count), str(at_once)], files))
    return checked(result, json.loads(printed(done))["good"], count)


def table(name, spec, runs, repeats, server):
    """Runs all in turn, `repeats` times over, and prints what came out. Returns whether our own runs were right."""
    path, count, at_once, files = spec
    limit = f", at most {files} open files" if files else ""
    print(f"\n{name}: {count:,} x GET {path}, {at_once} at once{limit}")
    results, faults, verdicts, seen = {n: [] for n in runs}, {}, {n: set() for n in runs}, {}
    for _ in range(repeats):
        for one, run in runs.items():
            if one in faults:
                continue
            os.sync()
            server.counts()
            try:
                result = run(server, *spec)
                results[one].append(result)
                verdicts[one].add(result["verdict"])
            except (RuntimeError, OSError, ValueError, KeyError, StopIteration, subprocess.SubprocessError,
                    sqlite3.Error) as e:
                faults[one] = f"{type(e).__name__}: {e}"
            seen[one] = server.counts()
    middle = {n: statistics.median(r["wall"] for r in rs) for n, rs in results.items() if rs}
    base = middle.get("shiftboss")
    print(f"  {'':<10}{'wall s':>8}  {'(min-max)':<15}{'req/s':>9}{'cpu s':>7}{'peak MB':>9}{'ratio':>7}"
          f"{'requests':>10}{'at once':>8}{'conns':>7}  answers")
    for one, rs in results.items():
        if rs:
            walls = [r["wall"] for r in rs]
            cpu, peak = (statistics.median(r[k] for r in rs) for k in ("cpu", "peak_rss"))
            ratio = f"{middle[one] / base:.2f}" if base else "-"
            at = seen[one]
            print(f"  {one:<10}{middle[one]:>8.3f}  {f'({min(walls):.3f}-{max(walls):.3f})':<15}"
                  f"{count / middle[one]:>9,.0f}{cpu:>7.2f}{peak / MB:>9.0f}{ratio:>7}"
                  f"{at['requests']:>10,}{at['most']:>8}{at['connections']:>7,}  {'; '.join(sorted(verdicts[one]))}")
        if one in faults:
            print(f"  {one:<10}failed: {faults[one][:300]}")
    sys.stdout.flush()
    return "shiftboss" not in runs or "shiftboss" not in faults and verdicts["shiftboss"] == {"yes"}


def main():
    wanted, repeats = words("CASES", list(CASES)), int(os.environ.get("REPEATS") or 3)
    unknown = set(wanted) - set(CASES) | set(words("PEERS", [])) - set(PEERS)
    if unknown:
        sys.exit(f"no such case or peer: {' '.join(sorted(unknown))} (cases: {' '.join(CASES)}; peers: {' '.join(PEERS)})")
    python = interpreter()
    found = installed(python)
    peers = [p for p in words("PEERS", PEERS) if p in found]
    missing = [p for p in words("PEERS", PEERS) if p not in found]
    print(f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}, load {os.getloadavg()[0]:.2f}; "
          f"median of {repeats}; peers: {', '.join(found[p] for p in peers) or 'none'}")
    if missing:
        print(f"missing and left out: {' '.join(missing)} (SETUP=1 installs those of Python, the others are packages "
              f"of the system: curl, nghttp2-client)")
    every = {"aiohttp": aiohttp(python), "curl": curl, "h2load": h2load, "load": load}
    runs = {} if os.environ.get("OURS") == "0" else {"shiftboss": ours}
    runs |= {peer: every[peer] for peer in peers}
    good = True
    server = Server()
    try:
        for name in wanted:
            path, count, at_once, files = CASES[name]
            count = int(os.environ.get("COUNT") or count)
            size = int(path.split("/")[2]) if path.startswith("/b/") else 4096
            need, free = count * size * 5 // 4, shutil.disk_usage(".").free
            if need > free:
                print(f"\n{name}: left out, it takes {need / 1e9:.1f} GB of disk and {free / 1e9:.1f} GB are free")
                continue
            good = table(name, (path, count, at_once, files), runs, repeats, server) and good
    finally:
        server.end()
    sys.exit(0 if good else 1)


main()

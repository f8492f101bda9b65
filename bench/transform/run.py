"""run.py BIN : the cases and the table. Called by bench/transform.sh, in an empty folder on a real disk."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys

import measure

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = sys.argv[1]
MILLION = 1_000_000
# Name: shape of the table, rows, files, packed, filtered.
CASES = {
    "1m": ("narrow", 1 * MILLION, 1, False, False),
    "10m": ("narrow", 10 * MILLION, 1, False, False),
    "100m": ("narrow", 100 * MILLION, 1, False, False),
    "wide": ("wide", MILLION // 4, 1, False, False),
    "cp949": ("korean", 1 * MILLION, 1, False, False),
    "gzip": ("narrow", 10 * MILLION, 1, True, False),
    "filter": ("narrow", 10 * MILLION, 1, False, True),
    "files": ("narrow", 10 * MILLION, 10, False, False),
    "threads": ("narrow", 10 * MILLION, 1, False, False),
}
# Bytes of a row going in and coming out, about, and at most.
WIDTH = {"narrow": (13, 46), "korean": (90, 130), "wide": (700, 750)}
PEERS = ["polars", "duckdb", "datafusion", "reference", "mawk"]
# The reference holds the table in memory several times over.
REFERENCE_MOST = 20 * MILLION


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
    found = {}
    packages = {"polars": "polars", "duckdb": "duckdb", "datafusion": "datafusion", "reference": "pandas"}
    for peer, package in packages.items():
        line = f"import {package}; print({package}.__version__)"
        done = subprocess.run([python, "-c", line], capture_output=True, text=True)
        if done.returncode == 0:
            found[peer] = f"{package} {done.stdout.strip()}"
    if shutil.which("mawk"):
        found["mawk"] = "mawk"
    return found


def warmed(paths):
    for path in paths:
        with open(path, "rb", buffering=0) as f:
            while f.read(1 << 22):
                pass


def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else "nothing was printed"


def ours(inputs, output, filtered, threads):
    argv = [BIN, "transform", *inputs, "-o", output, "--sql", measure.statement(filtered), "--quiet", "--json"]
    done, result = measure.command(argv + (["--threads", str(threads)] if threads else []))
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {' '.join((done.stderr + ' ' + done.stdout).split())}")
    report = json.loads(last_line(done.stdout))
    result["sync"] = report["sync_ms"] / 1000
    result["wall"] -= result["sync"]
    return result


def peer(python, name, shape, inputs, output, filtered):
    what = "filtered" if filtered else "all"
    argv = [python, f"{HERE}/peers.py", name, shape, what, output, *inputs]
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise RuntimeError(last_line(done.stderr))
    return json.loads(last_line(done.stdout))


def check(shape, rows, filtered, output):
    argv = [sys.executable, f"{HERE}/check.py", shape, str(rows), "filtered" if filtered else "all", output]
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace")
    try:
        return json.loads(last_line(done.stdout))
    except ValueError:
        raise RuntimeError(last_line(done.stderr)) from None


def verdict(found):
    if found["ok"]:
        return "yes"
    names = {"out_of_place": "out of place", "wrong": "wrong", "missing": "missing", "twice": "twice"}
    return "NO: " + (", ".join(f"{found[k]:,} {name}" for k, name in names.items() if found[k]) or found["first"])


def measured(one, inputs, output):
    """One run, from a warm cache and an idle disk."""
    if os.path.lexists(output):
        os.remove(output)
    warmed(inputs)
    os.sync()
    return one()


def table(title, runs, repeats, shape, rows, filtered, inputs):
    """Runs all engines in turn, `repeats` times over, and prints what came out. Returns their median wall times, and
    whether our own outputs were right."""
    size = sum(map(os.path.getsize, inputs))
    print(f"\n{title}: {rows:,} rows, {size / 1e6:,.0f} MB in" + (f", {len(inputs)} files" if len(inputs) > 1 else ""))
    results, faults, verdicts = {name: [] for name in runs}, {}, {name: set() for name in runs}
    for _ in range(repeats):
        for name, one in runs.items():
            if name in faults:
                continue
            output = os.path.abspath("out.csv")
            try:
                results[name].append(measured(lambda one=one, output=output: one(output), inputs, output))
                verdicts[name].add(verdict(check(shape, rows, filtered, output)))
            except (RuntimeError, OSError, ValueError, KeyError) as e:
                faults[name] = f"{type(e).__name__}: {e}" if isinstance(e, (ValueError, KeyError)) else str(e)
            for left in [output] + [name for name in os.listdir() if name.endswith(".utf8.csv")]:
                if os.path.lexists(left):
                    os.remove(left)
    middle = {name: statistics.median(r["wall"] for r in rs) for name, rs in results.items() if rs}
    base = middle.get(next(iter(runs)))
    print(f"  {'':<14}{'wall s':>8}  {'(min-max)':<15}{'cpu s':>7}{'peak MB':>9}{'ratio':>7}{'sync s':>8}  rows and order ok")
    good = True
    for name, rs in results.items():
        if rs:
            walls = [r["wall"] for r in rs]
            ratio = f"{middle[name] / base:.2f}" if base else "-"
            at = {k: statistics.median(r[k] for r in rs) for k in ("cpu", "peak_rss", "sync")}
            print(f"  {name:<14}{middle[name]:>8.3f}  {f'({min(walls):.3f}-{max(walls):.3f})':<15}{at['cpu']:>7.2f}"
                  f"{at['peak_rss'] / 1e6:>9.0f}{ratio:>7}{at['sync']:>8.3f}  {'; '.join(sorted(verdicts[name]))}")
        if name in faults:
            print(f"  {name:<14}failed: {faults[name][:300]}")
        if name.startswith("shiftboss"):
            good = good and name not in faults and verdicts[name] == {"yes"}
    sys.stdout.flush()
    return middle, good


def generated(shape, rows, files, packed):
    """The files of a case: made once, and kept for the next case that has the same."""
    folder = f"{shape}-{rows}-{files}" + ("-gz" if packed else "")
    ending = ".csv.gz" if packed else ".csv"
    paths = [os.path.abspath(f"{folder}/part-{n:02}{ending}") for n in range(files)]
    if not os.path.isdir(folder):
        os.mkdir(folder)
        subprocess.run([sys.executable, f"{HERE}/generate.py", shape, str(rows), *paths], check=True)
    return paths


def case(name, spec, python, peers, repeats):
    shape, rows, files, packed, filtered = spec
    inputs = generated(shape, rows, files, packed)
    if name == "threads":
        good = True
        for filtered in (False, True):
            title = "threads, 1 % kept: hardly anything is written" if filtered else "threads"
            runs = {f"shiftboss -t{n}": lambda output, n=n, filtered=filtered: ours(inputs, output, filtered, n)
                    for n in (1, 2)}
            middle, fine = table(title, runs, repeats, shape, rows, filtered, inputs)
            good = good and fine
            if len(middle) == 2:
                print(f"  1 to 2 threads: {middle['shiftboss -t1'] / middle['shiftboss -t2']:.2f}x")
        return good
    runs = {"shiftboss": lambda output: ours(inputs, output, filtered, None)}
    for other in peers:
        if other == "reference" and rows > REFERENCE_MOST and not os.environ.get("PEERS"):
            print(f"\n(the reference is left out of {name}: it needs {rows * 83 / 1e9:.0f} GB of memory. PEERS names it.)")
            continue
        runs[other] = lambda output, other=other: peer(python, other, shape, inputs, output, filtered)
    return table(name, runs, repeats, shape, rows, filtered, inputs)[1]


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
        print(f"missing and left out: {' '.join(missing)} (SETUP=1 installs those of Python, mawk is a package of the system)")
    good = True
    for n, name in enumerate(wanted):
        shape, rows, *rest = CASES[name]
        rows = int(os.environ.get("ROWS") or rows)
        # In, out, and the temporary copy that some peers make.
        need, free = rows * (2 * WIDTH[shape][0] + WIDTH[shape][1]) * 5 // 4, shutil.disk_usage(".").free
        if need > free:
            print(f"\n{name}: left out, it takes {need / 1e9:.1f} GB of disk and {free / 1e9:.1f} GB are free")
            continue
        good = case(name, (shape, rows, *rest), python, peers, repeats) and good
        later = {(CASES[c][0], int(os.environ.get("ROWS") or CASES[c][1]), *CASES[c][2:4]) for c in wanted[n + 1:]}
        if (shape, rows, *rest[:2]) not in later:
            shutil.rmtree(os.path.dirname(generated(shape, rows, *rest[:2])[0]))
    sys.exit(0 if good else 1)


main()

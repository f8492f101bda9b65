"""torture.py BIN FOLDER [fail|reject] : drops every file of a folder into a watch folder, and looks where each ended.

Run in an empty folder. Exit code 1: a file is gone, changed, left over or failed without a place."""

import collections
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

BIN, FOLDER, POLICY = sys.argv[1], sys.argv[2], (sys.argv[3:] or ["fail"])[0]
LARGEST = 50_000_000
CONFIG = """[tasks.all]
watch = { dir = "inbox", match = ["*"] }
[tasks.all.transform]
output = "out/{name}.csv"
"""
# Where the file as a whole is the place.
WHOLE = set((os.environ.get("WHOLE") or "empty incomplete binary not_gzip not_zstd not_bzip2 not_xz").replace(",", " ").split())
PLACED = re.compile(r"\b(line|byte|record|row|column|element)s? \d", re.IGNORECASE)


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def ask(*args):
    done = subprocess.run([BIN, *args, "--json"], capture_output=True, text=True, errors="replace")
    return json.loads(done.stdout)


def place(error):
    """Whether a failure says where: in a line, at a byte, or in the file as a whole."""
    if not error or not error.get("file") or not error.get("message"):
        return None
    spots = [error, *error.get("causes", [])]
    if any(spot.get(key) is not None for spot in spots for key in ("line", "byte", "column")):
        return "line"
    if any(PLACED.search(spot["message"]) for spot in spots):
        return "line"
    return "file" if error["code"] in WHOLE else None


def files_under(folder):
    for root, _, names in os.walk(folder):
        yield from (os.path.join(root, name) for name in names)


def main():
    with open("config.toml", "w") as f:
        f.write(CONFIG + ('on_bad_row = "reject"\n' if POLICY == "reject" else ""))
    os.mkdir("inbox")
    given = {}
    for name in sorted(os.listdir(FOLDER)):
        path = os.path.join(FOLDER, name)
        if os.path.isfile(path) and os.path.getsize(path) <= LARGEST:
            shutil.copyfile(path, f"inbox/{name}")
            given[name] = digest(path)
    # Older than the settle time.
    os.sync()
    time.sleep(2.1)
    start = time.perf_counter()
    limit = ["timeout", "--foreground", "-s", "KILL", os.environ.get("SECONDS_MAX") or "900"]
    argv = ["/usr/bin/time", "-q", "-f", "%M", "-o", "peak", *limit, BIN, "run", "--until-idle", "--json"]
    with open("summary.json", "w") as out, open("run.log", "w") as log:
        code = subprocess.run(argv, stdout=out, stderr=log).returncode
    took = time.perf_counter() - start
    problems = []
    if code == 137:
        problems.append("killed: it did not end in time, or memory ran out")
    elif code not in (0, 1):
        with open("run.log", errors="replace") as log:
            sys.exit(f"run ended with exit code {code}: {log.read(2000)}")

    jobs = {os.path.basename(job["input"]): job for job in ask("jobs")}
    ended, reasons, spots, rejected = (collections.Counter() for _ in range(4))
    examples = {}
    for name in given:
        job = jobs.get(name)
        if not job:
            problems.append(f"no job: {name}")
            continue
        ended[job["state"]] += 1
        rejected[job.get("rejected") or 0] += 1
        error = job["error"] or {}
        if job["state"] == "failed":
            where = place(error)
            spots[where] += 1
            reasons[error.get("code")] += 1
            examples.setdefault(error.get("code"), f"{name}: {error.get('message')}")
            if not where:
                problems.append(f"no place: {name}: {error.get('code')}: {error.get('message')}")
            if error.get("code") in ("internal", "panic") or (error.get("class") != "permanent" and where != "file"):
                problems.append(f"not the fault of the file: {name}: {error.get('code')}: {error.get('message')}")
        elif job["state"] == "succeeded":
            problems.extend(f"no output: {name}: {out}" for out in job["outputs"] if not os.path.exists(out))
        else:
            problems.append(f"{job['state']}: {name}")
    problems.extend(f"left in inbox: {name}" for name in os.listdir("inbox") if not name.startswith("."))
    # The originals, byte for byte, whatever folder they ended in.
    kept = collections.Counter(digest(p) for d in ("processed", "failed") for p in files_under(d)
                               if not p.endswith(".error.json"))
    lost = collections.Counter(given.values()) - kept
    problems.extend(f"original gone or changed: {name}" for name, sha in given.items() if sha in lost)

    with open("peak") as f:
        peak = int(f.read().split()[-1]) / 1024
    slowest = max(jobs.values(), key=lambda job: job["duration_ms"] or 0, default=None)
    print(f'on_bad_row = "{POLICY}": {len(given):,} files in {took:.1f} s, peak {peak:.0f} MB; '
          + ", ".join(f"{n:,} {state}" for state, n in ended.most_common()))
    print(f"  failures that name a line, byte or column: {spots['line']:,}; the file as a whole: {spots['file']:,}; "
          f"no place: {spots[None]:,}")
    if POLICY == "reject":
        print(f"  files with rejected rows: {sum(n for rows, n in rejected.items() if rows):,}; "
              f"rows: {sum(rows * n for rows, n in rejected.items()):,}")
    if slowest:
        print(f"  slowest: {os.path.basename(slowest['input'])}, {slowest['duration_ms']:,} ms")
    for code, n in reasons.most_common():
        print(f"  {n:>5} {code}, such as {examples[code][:160]}")
    for problem in problems[:50]:
        print(f"  PROBLEM {problem[:300]}")
    if len(problems) > 50:
        print(f"  and {len(problems) - 50:,} more")
    sys.exit(1 if problems else 0)


main()

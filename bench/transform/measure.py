"""The statement, and how a run is measured."""

import os
import resource
import subprocess
import time


def statement(filtered, now="now()", source="input"):
    """The statement of the reference, and a timestamp that is one for the whole run."""
    where = " WHERE value > 98" if filtered else ""
    return (f"SELECT *, CASE WHEN value > 0 THEN value * 2 ELSE 0 END AS processed, {now} AS timestamp "
            f"FROM {source}{where}")


def cpu(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def command(argv):
    """Runs a program from start to exit. Times are in seconds, memory in bytes: that of the largest process."""
    # A child is billed for the memory that its parent had when it was made. `time` is small, so it makes the child.
    note = f"time.{os.getpid()}"
    before, start = cpu(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(["/usr/bin/time", "-q", "-f", "%M", "-o", note, *argv], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace")
    wall, used = time.perf_counter() - start, cpu(resource.RUSAGE_CHILDREN) - before
    with open(note) as f:
        peak = int(f.read().split()[-1]) * 1024
    os.remove(note)
    return done, {"wall": wall, "cpu": used, "peak_rss": peak}


def synced(path):
    """Seconds until the disk has a file."""
    start = time.perf_counter()
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    return time.perf_counter() - start

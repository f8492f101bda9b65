"""peers.py ENGINE SHAPE all|filtered OUT IN... : one run of another engine, in a process of its own.

Prints {wall, cpu, peak_rss, sync} as JSON: seconds and bytes. What an engine needs before it can start (interpreter,
imports) is in neither time, but in its memory, as it is when somebody uses it. `sync` is the time of a sync of the
output after all was written; it is not in `wall`. An engine that does not read CP949 gets what iconv makes of it, in
`wall` too. `peak_rss` is that of the largest process."""

import json
import os
import resource
import shlex
import subprocess
import sys
import time
from datetime import datetime

import measure

STAMP = datetime.now().isoformat()


def iconv(job):
    """The input in UTF-8, for an engine that reads nothing else."""
    if job.shape != "korean":
        return job.inputs
    made = []
    for name in job.inputs:
        made.append(name + ".utf8.csv")
        with open(made[-1], "wb") as out:
            subprocess.run(["iconv", "-f", "CP949", "-t", "UTF-8", name], stdout=out, check=True)
    return made


def polars():
    import polars as pl

    def run(job):
        value = pl.col("value")
        table = pl.scan_csv(iconv(job))
        if job.filtered:
            table = table.filter(value > 98)
        table = table.with_columns(
            processed=pl.when(value > 0).then(value * 2).otherwise(0), timestamp=pl.lit(STAMP))
        table.sink_csv(job.output, maintain_order=True)

    return run


def duckdb():
    import duckdb as engine

    def run(job):
        query = measure.statement(job.filtered, f"'{STAMP}'", f"read_csv({iconv(job)})")
        with engine.connect() as base:
            base.execute(f"COPY ({query}) TO '{job.output}' (FORMAT csv, HEADER)")

    return run


def datafusion():
    from datafusion import SessionConfig, SessionContext

    def run(job):
        # One partition: with more, rows do not come out in their order.
        context = SessionContext(SessionConfig().with_target_partitions(1))
        packed = job.inputs[0].endswith(".gz")
        inputs = iconv(job)
        settings = "'format.has_header' 'true', 'format.newlines_in_values' 'true'"
        if packed:
            settings += ", 'format.compression' 'gzip'"
        if job.shape == "wide":
            # Its look at the types cuts quoted fields at newlines further down, and fails.
            settings += ", 'format.schema_infer_max_rec' '5'"
        # A folder is one table, in the order of the names.
        place = inputs[0] if len(inputs) == 1 else os.path.dirname(inputs[0]) + "/"
        context.sql(f"CREATE EXTERNAL TABLE input STORED AS CSV LOCATION '{place}' OPTIONS ({settings})").collect()
        query = measure.statement(job.filtered, f"'{STAMP}'")
        context.sql(f"COPY ({query}) TO '{job.output}' STORED AS CSV OPTIONS ('format.has_header' 'true')").collect()

    return run


def process_batch(batch):
    batch["processed"] = batch["value"].apply(lambda v: v * 2 if v > 0 else 0)
    batch["timestamp"] = STAMP
    return batch


def reference():
    """Stands in for the reference: pandas reads the file in chunks, a pool of processes (one less than there are cores)
    takes them, and the results are put together in their order and written at once."""
    import multiprocessing

    import pandas as pd

    def run(job):
        encoding = "cp949" if job.shape == "korean" else "utf-8"
        batches = (batch[batch["value"] > 98].copy() if job.filtered else batch
                   for name in job.inputs
                   for batch in pd.read_csv(name, chunksize=500_000, encoding=encoding))
        with multiprocessing.get_context("fork").Pool(max(1, (os.cpu_count() or 1) - 1)) as pool:
            results = pool.map(process_batch, list(batches), chunksize=1)
        pd.concat(results, ignore_index=True).to_csv(job.output, index=False)

    return run


AWK = r"""
FNR == 1 { if (NR == 1) print $0, "processed", "timestamp"; next }
KEEP { print $0, ($2 > 0 ? $2 * 2 : 0), stamp }
"""


def mawk(job):
    """Knows no quotes: the tables with quoted fields are right because it leaves those as they are."""
    if job.shape == "wide":
        sys.exit("does not know quoted newlines")
    names = " ".join(shlex.quote(name) for name in job.inputs)
    program = AWK.replace("KEEP", "$2 > 98" if job.filtered else "")
    awk = f"mawk -F, -v OFS=, -v stamp={STAMP} {shlex.quote(program)}"
    if job.inputs[0].endswith(".gz"):
        line = f"gzip -dc {names} | {awk}"
    elif job.shape == "korean":
        line = f"iconv -f CP949 -t UTF-8 {names} | {awk}"
    else:
        line = f"{awk} {names}"
    done, result = measure.command(["bash", "-o", "pipefail", "-c", f"{line} > {shlex.quote(job.output)}"])
    if done.returncode:
        sys.exit(done.stderr.strip()[-300:])
    return result


def in_python(engine, job):
    run = engine()
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    before, start = sum(map(measure.cpu, both)), time.perf_counter()
    run(job)
    wall, used = time.perf_counter() - start, sum(map(measure.cpu, both)) - before
    with open("/proc/self/status") as f:
        own = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
    peak = max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024
    return {"wall": wall, "cpu": used, "peak_rss": peak}


ENGINES = {"polars": polars, "duckdb": duckdb, "datafusion": datafusion, "reference": reference}


class Job:
    def __init__(self, shape, filtered, output, inputs):
        self.shape, self.filtered, self.output, self.inputs = shape, filtered == "filtered", output, inputs


def main():
    name, shape, filtered, output, *inputs = sys.argv[1:]
    job = Job(shape, filtered, output, inputs)
    result = mawk(job) if name == "mawk" else in_python(ENGINES[name], job)
    result["sync"] = measure.synced(output)
    print(json.dumps(result))


if __name__ == "__main__":
    main()

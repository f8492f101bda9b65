"""check.py SHAPE ROWS all|filtered OUTPUT : is every row there, right, and in its place?

Reads the output once, in bounded memory (one bit for each row). Prints what it found as JSON; exit code 1 if anything is
not as it should be. Quoting and line ends are left to the writer."""

import csv
import json
import re
import sys

from tables import PERIOD, SHAPES, TAILS, header, kept, processed, tails, value

BLOCK = 100_000
STAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z| ?UTC|[+-]\d\d:?\d\d)?")


def expected_ids(rows, filtered):
    """Blocks of the ids that have to come out, in order."""
    good = {i for i in range(PERIOD) if kept(value(i))}
    for start in range(1, rows + 1, BLOCK):
        ids = range(start, min(start + BLOCK, rows + 1))
        yield [i for i in ids if i % PERIOD in good] if filtered else ids


def same_bytes(path, rows, filtered):
    """The usual case of two columns, block by block. The number of rows, or None where it takes a closer look."""
    with open(path, "rb") as f:
        if f.readline() != b"id,value,processed,timestamp\n":
            return None
        start = f.tell()
        stamp = f.readline().rstrip(b"\n").rpartition(b",")[2].decode("utf-8", "replace")
        f.seek(start)
        if not STAMP.fullmatch(stamp):
            return None
        ends = [f",{value(i)},{processed(value(i))},{stamp}\n" for i in range(PERIOD)]
        found = 0
        for ids in expected_ids(rows, filtered):
            block = "".join([f"{i}{ends[i % PERIOD]}" for i in ids]).encode()
            if f.read(len(block)) != block:
                return None
            found += len(ids)
        return None if f.read(1) else found


def row_by_row(path, shape, rows, filtered):
    names, rest = header(shape) + ["processed", "timestamp"], tails(shape)
    wanted = (i for ids in expected_ids(rows, filtered) for i in ids)
    seen = bytearray(rows // 8 + 1)
    good = found = wrong = out_of_place = twice = 0
    first, stamp = None, None

    def note(what):
        nonlocal first
        first = first or f"row {found}: {what}"

    with open(path, encoding="utf-8", errors="replace", newline="") as f:
        reader = csv.reader(f)
        top = next(reader, [])
        if top != names:
            first = f"header: {','.join(top)[:200]}"
        for row in reader:
            found += 1
            here = next(wanted, None)
            try:
                i, v = int(row[0]), int(row[1])
                if not (1 <= i <= rows and v == value(i) and int(row[-2]) == processed(v)):
                    raise ValueError("value or processed")
                if row[2:-2] != rest[i % TAILS] or (filtered and not kept(v)):
                    raise ValueError("another field")
                if stamp is None and STAMP.fullmatch(row[-1]):
                    stamp = row[-1]
                if row[-1] != stamp:
                    raise ValueError("timestamp")
            except (ValueError, IndexError) as e:
                wrong += 1
                note(f"{e}: {','.join(row)[:200]}")
                continue
            if i != here:
                out_of_place += 1
                note(f"id {i} where {here} belongs")
            bit = 1 << (i & 7)
            if seen[i >> 3] & bit:
                twice += 1
                note(f"id {i} again")
            else:
                good += 1
            seen[i >> 3] |= bit
    whole = sum(len(ids) for ids in expected_ids(rows, filtered))
    missing = whole - good
    fine = top == names and not (wrong or out_of_place or twice or missing)
    return {"ok": fine, "rows": found, "wrong": wrong, "out_of_place": out_of_place, "twice": twice,
            "missing": missing, "first": first}


def main():
    shape, rows, filtered, path = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "filtered", sys.argv[4]
    found = None if SHAPES[shape][0] else same_bytes(path, rows, filtered)
    if found is not None:
        result = {"ok": True, "rows": found, "wrong": 0, "out_of_place": 0, "twice": 0, "missing": 0, "first": None}
    else:
        result = row_by_row(path, shape, rows, filtered)
    print(json.dumps(result, ensure_ascii=False))
    sys.exit(0 if result["ok"] else 1)


main()

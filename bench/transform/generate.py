"""generate.py SHAPE ROWS OUT... : writes a table, the same bytes every time, over one file or several.

A name that ends in .gz is packed; `korean` is written in CP949."""

import gzip
import sys

from tables import PERIOD, SHAPES, TAILS, header, quoted, tails, value

BLOCK = 100_000


def write(out, shape, first, last, encoding):
    out.write((",".join(header(shape)) + "\n").encode(encoding))
    # By the remainder that decides it, the value; by the other one, the rest of the line.
    values = [f",{value(i)}" for i in range(PERIOD)]
    ends = ["".join("," + quoted(f) for f in tail) + "\n" for tail in tails(shape)]
    for start in range(first, last + 1, BLOCK):
        ids = range(start, min(start + BLOCK, last + 1))
        if SHAPES[shape][0]:
            text = "".join([f"{i}{values[i % PERIOD]}{ends[i % TAILS]}" for i in ids])
        else:
            text = "".join([f"{i}{values[i % PERIOD]}\n" for i in ids])
        out.write(text.encode(encoding))


def main():
    shape, rows, outs = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    encoding = "cp949" if shape == "korean" else "utf-8"
    for n, name in enumerate(outs):
        first, last = rows * n // len(outs) + 1, rows * (n + 1) // len(outs)
        with open(name, "wb") as plain:
            if name.endswith(".gz"):
                with gzip.GzipFile(filename="", mode="wb", fileobj=plain, compresslevel=6, mtime=0) as packed:
                    write(packed, shape, first, last, encoding)
            else:
                write(plain, shape, first, last, encoding)


main()

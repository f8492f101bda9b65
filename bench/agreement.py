#!/usr/bin/env python3
"""Asks DataFusion what it makes of the statements in tests/fixtures/agreement.sql, and writes its answers beside them.

    pip install datafusion==55.0.0 pyarrow
    bench/agreement.py

The unit tests of src/actions/transform/sql hold our answers against them. A line of the file is a statement, or an
expression that is selected beside `id`. What DataFusion refuses is left out, and told.
"""
import decimal
import json
import math
import pathlib
import struct
import sys

import datafusion
import pyarrow as pa

HERE = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures"
ROWS = 12
MAX = 2**63 - 1

# Floats travel as their bits, decimals as whole numbers of hundredths, days and times as counts.
TABLE = [
    ("id", "int", list(range(1, ROWS + 1))),
    ("n", "int", [0, 1, -1, 7, None, -125, MAX, -MAX - 1, 1000, 42, None, 3]),
    ("m", "int", [2, -3, 0, 4, 5, None, 10, 1, -7, 42, None, 0]),
    ("f", "float", [0.0, 1.5, -2.5, 1e20, None, -0.0, 3.14159, math.nan, math.inf, 0.1, 1e-7, 1234.567]),
    ("d", "decimal", [0, 12345, -12355, 100, None, -5, 9999999999, 1, 250, -250, 199, None]),
    ("s", "text", ["", "abc", "Hello World", None, "  pad  ", "größe ÄÖ", "12", "3.5", "漢字テスト", "a,b,,c",
                   "2024-02-29", "x'y\"z\n"]),
    ("t", "text", ["a", "b", "World", "abc", None, "ö", "1", "%", "漢", ",", "2024-02-29 13:14:15.123456", "x"]),
    ("num", "text", ["1", "-2", "30", "0", "7", None, "12", "99", "5", "6", "8", "10"]),
    ("b", "bool", [True, False, None, True, False, None, True, False, True, True, False, False]),
    ("c", "bool", [True, True, True, False, False, False, None, None, None, True, False, None]),
    ("day", "date", [0, 19782, -1, 20000, None, 19417, 18321, 10957, -25567, 19723, 2932896, 1]),
    ("at", "timestamp", [0, 1709212455123456, -1, 1700000000000000, None, 1672531199999999, 86399999999, -86400000001,
                         951782400000000, 1711846800000000, 253402300799000000, 60000000]),
    ("Mixed Case", "int", list(range(1, ROWS + 1))),
]

TYPES = {"int": pa.int64(), "float": pa.float64(), "text": pa.string(), "bool": pa.bool_(), "date": pa.date32(),
         "timestamp": pa.timestamp("us"), "decimal": pa.decimal128(12, 2)}

NAMES = {"string": "Utf8", "string_view": "Utf8", "large_string": "Utf8", "null": "Utf8", "double": "Float64",
         "float": "Float32", "bool": "Boolean", "date32[day]": "Date32", "timestamp[ns]": "Timestamp(ns)",
         "timestamp[us]": "Timestamp(µs)", "timestamp[ms]": "Timestamp(ms)", "timestamp[s]": "Timestamp(s)"}


def bits(value, wide=True):
    if value is None or math.isnan(value):
        return None if value is None else "nan"
    return struct.pack(">d" if wide else ">f", value).hex()


def batch():
    arrays = []
    for _, kind, values in TABLE:
        if kind == "decimal":
            values = [None if v is None else decimal.Decimal(v).scaleb(-2) for v in values]
        arrays.append(pa.array(values, TYPES[kind], from_pandas=False))
    arrays += [pa.array(["a.csv"] * ROWS), pa.array(list(range(2, ROWS + 2)), pa.int64())]
    return pa.record_batch(arrays, names=[name for name, _, _ in TABLE] + ["_file", "_line"])


def type_name(data_type):
    name = str(data_type)
    if name.startswith("decimal128"):
        return "Decimal128" + name[len("decimal128"):]
    return NAMES.get(name, name[:1].upper() + name[1:] if name.startswith("int") else name.replace("uint", "UInt"))


def cells(array):
    kind = array.type
    if pa.types.is_floating(kind):
        return [bits(v, kind == pa.float64()) for v in array.to_pylist()]
    if pa.types.is_decimal(kind):
        wide = decimal.Context(prec=60)
        return [None if v is None else str(int(v.scaleb(kind.scale, wide))) for v in array.to_pylist()]
    if pa.types.is_date32(kind):
        return array.cast(pa.int32()).to_pylist()
    if pa.types.is_timestamp(kind):
        return array.cast(pa.int64()).to_pylist()
    return array.to_pylist()


def answer(context, sql):
    frame = context.sql(sql)
    schema, rows = frame.schema(), []
    for part in frame.collect():
        schema = part.schema
        rows += [list(row) for row in zip(*(cells(part.column(i)) for i in range(part.num_columns)))]
    return {"sql": sql, "types": [type_name(field.type) for field in schema], "rows": rows}


def main():
    context = datafusion.SessionContext()
    context.register_record_batches("input", [[batch()]])
    version = context.sql("SELECT version() AS v").collect()[0].column(0)[0].as_py()
    lines = [line.strip() for line in (HERE / "agreement.sql").read_text().splitlines()]
    answers = []
    for line in lines:
        if not line or line.startswith("--"):
            continue
        sql = line if line.startswith("SELECT") else f"SELECT id, {line} AS x FROM input"
        try:
            answers.append(answer(context, sql))
        except BaseException as error:  # a panic of the engine is no Exception
            print(f"refused: {line}: {str(error).splitlines()[0][:120]}", file=sys.stderr)
    table = []
    for name, kind, values in TABLE:
        if kind == "float":
            values = [bits(v) for v in values]
        table.append({"name": name, "type": kind, "values": values})
    with open(HERE / "agreement.json", "w") as out:
        out.write('{"engine": ' + json.dumps(version.split(",")[0]) + ',\n"table": [\n')
        out.write(",\n".join(json.dumps(c, ensure_ascii=False) for c in table) + '],\n"answers": [\n')
        out.write(",\n".join(json.dumps(a, ensure_ascii=False) for a in answers) + "]}\n")
    print(f"{len(answers)} answers of {version}")


main()

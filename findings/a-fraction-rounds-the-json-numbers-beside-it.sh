#!/usr/bin/env bash
# One would guess: a JSON number is what its digits say, whatever stands in other lines, or the reader refuses the file.
# What happens: where one line has a fraction, pyarrow's, pandas' and polars' readers of JSON lines give the column as doubles, and
# a whole number beyond 2^53 in another line is its neighbour, without a word; alone it is exact.
# Why it matters: what a record says to a model then hangs on which records came in the same batch.
. "$(dirname "$0")/lib-packages.sh"
packages pyarrow==26.0.1 pandas==3.1.1 polars==2.1.0 numpy==2.4.6

finding <<'PYTHON'
import io

import pandas as pd
import polars as pl
import pyarrow.json
from seen import compare, end

LARGE = 9007199254740993
ALONE = b'{"id": %d}\n' % LARGE
BESIDE = ALONE + b'{"id": 0.5}\n'


def by_pyarrow(lines):
    return pyarrow.json.read_json(io.BytesIO(lines))["id"][0].as_py()


def by_pandas(lines):
    return pd.read_json(io.BytesIO(lines), lines=True)["id"].iloc[0].item()


def by_polars(lines):
    return pl.read_ndjson(io.BytesIO(lines))["id"][0]


for name, read in {"pyarrow": by_pyarrow, "pandas": by_pandas, "polars": by_polars}.items():
    compare(f"{name}, alone", read(ALONE), LARGE)
    compare(f"{name}, beside a fraction", int(read(BESIDE)), LARGE - 1)
end()
PYTHON

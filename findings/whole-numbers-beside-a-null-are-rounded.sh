#!/usr/bin/env bash
# One would guess: Table.to_pandas and ChunkedArray.to_numpy raise, or change the type to one that holds the values,
# where a column of int64 holds a null and a number that no double is.
# What happens: both give doubles, in which the number is another, without a word; integer_object_nulls is exact.
# Why it matters: identifiers of 17 digits and more become those of somebody else as soon as one row has none.
. "$(dirname "$0")/lib-packages.sh"
packages pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6

finding <<'PYTHON'
import pyarrow as pa

from seen import compare, end

table = pa.table({"id": [9007199254740993, None]})
compare("to_pandas", int(table.to_pandas()["id"][0]), 9007199254740992)
compare("to_numpy", int(table["id"].to_numpy()[0]), 9007199254740992)
compare("integer_object_nulls", int(table.to_pandas(integer_object_nulls=True)["id"][0]), 9007199254740993)
end()
PYTHON

#!/usr/bin/env bash
# One would guess: a cast of an Arrow array to the type that it has gives the array.
# What happens: of a list whose items are null throughout, or are records with a field that is, the items become as few as there
# are lists. No error says so; the table that it is put into refuses it as invalid, or not.
# Why it matters: parts of a table are cast to the type that they have in common, which is mostly their own.
. "$(dirname "$0")/lib-packages.sh"
packages pyarrow==26.0.1

finding <<'PYTHON'
import pyarrow as pa

from seen import compare, end

nulls = pa.array([[None, None, None]])
compare("items of a list of nulls", len(nulls.values), 3)
compare("the same behind a cast to its own type", len(nulls.cast(nulls.type).values), 1)
records = pa.array([[{"t": None, "n": 1}, {"t": None, "n": 2}]])
cast = records.cast(records.type)
compare("records of a list, and the nulls in a field of theirs", (len(cast.values), len(cast.values.field(0))), (2, 1))
try:
    pa.table({"a": cast})
    refused = ""
except pa.ArrowInvalid as error:
    refused = str(error)
compare("a table of them is refused", "smaller than expected" in refused, True)
end()
PYTHON

#!/usr/bin/env bash
# One would guess: ChunkedArray.to_numpy gives None for a null, as it does for a column of plain texts.
# What happens: in a dictionary column (a category of pandas or polars, an encoded column of Parquet) a null becomes
# the dictionary's last value. Array.to_numpy, to_pylist, and dictionary_decode before it, are right.
# Why it matters: records get a category that nobody gave them, and a model scores it: decode the dictionary first.
. "$(dirname "$0")/lib-packages.sh"
packages pyarrow==26.0.1 numpy==2.4.6

finding <<'PYTHON'
import pyarrow as pa

from seen import compare, end

colours = pa.array(["blue", None, "red"]).dictionary_encode()
chunked = pa.chunked_array([colours])
compare("ChunkedArray.to_numpy", chunked.to_numpy().tolist(), ["blue", "red", "red"])
compare("Array.to_numpy", colours.to_numpy(zero_copy_only=False).tolist(), ["blue", None, "red"])
compare("ChunkedArray.to_pylist", chunked.to_pylist(), ["blue", None, "red"])
decoded = chunked.combine_chunks().dictionary_decode()
compare("decoded, then to_numpy", decoded.to_numpy(zero_copy_only=False).tolist(), ["blue", None, "red"])
end()
PYTHON

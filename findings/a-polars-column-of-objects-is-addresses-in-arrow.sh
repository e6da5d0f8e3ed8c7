#!/usr/bin/env bash
# One would guess: Series.to_arrow of a column of Python objects raises, or gives the objects' values.
# What happens: it gives fixed_size_binary[8] without a word: eight bytes that are no value, and others in each process.
# Why it matters: whoever takes every polars column through Arrow stores noise for a column that looks like numbers.
. "$(dirname "$0")/lib-packages.sh"
packages polars==2.1.0 pyarrow==26.0.1

finding <<'PYTHON'
import polars as pl

from seen import compare, end

numbers = pl.Series([1, 2], dtype=pl.Object)
compare("to_list", numbers.to_list(), [1, 2])
compare("to_arrow", str(numbers.to_arrow().type), "fixed_size_binary[8]")
end()
PYTHON

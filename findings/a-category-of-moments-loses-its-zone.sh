#!/usr/bin/env bash
# One would guess: pa.array keeps the time zone of a pandas column, also when its values are categories.
# What happens: with pyarrow 18 and pandas 2.2 a category of zoned moments becomes a dictionary of moments without a
# zone, of the clock in UTC; the same column without categories keeps it.
# Why it matters: twelve o'clock in Tokyo is three o'clock nowhere. Versions that we support do it: take the codes and
# the categories apart.
. "$(dirname "$0")/lib-packages.sh"
packages pyarrow==18.1.0 pandas==2.2.3 numpy==2.1.3

finding <<'PYTHON'
import pandas as pd
import pyarrow as pa

from seen import compare, end

moments = pd.Series(pd.to_datetime(["2024-07-01 12:00"])).dt.tz_localize("Asia/Tokyo")
compare("a column of moments", str(pa.array(moments).type), "timestamp[ns, tz=Asia/Tokyo]")
categories = pa.array(moments.astype("category"))
compare("a category of them", str(categories.type.value_type), "timestamp[ns]")
compare("its value", str(categories.to_pylist()[0])[:19], "2024-07-01 03:00:00")
end()
PYTHON

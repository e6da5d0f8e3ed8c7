#!/usr/bin/env bash
# One would guess: a cast from nanoseconds to microseconds cuts off what is finer, so that a moment never becomes later,
# as numpy's cast does.
# What happens: Arrow's cast (safe=False) rounds towards 1970: what is cut off before it makes a moment a microsecond
# later, and the last one of 1969 one of 1970. numpy rounds down on both sides.
# Why it matters: the same record has two values, by which library it came through; a day or year may change with it.
. "$(dirname "$0")/lib-packages.sh"
packages pyarrow==26.0.1 numpy==2.4.6

finding <<'PYTHON'
import numpy as np
import pyarrow as pa

from seen import compare, end

last = np.array([-1], "M8[ns]")
cut = pa.array(last).cast(pa.timestamp("us"), safe=False)
compare("numpy, of the last nanosecond of 1969", str(last.astype("M8[us]")[0]), "1969-12-31T23:59:59.999999")
compare("Arrow, of the same", str(cut.to_numpy(zero_copy_only=False)[0]), "1970-01-01T00:00:00.000000")
end()
PYTHON

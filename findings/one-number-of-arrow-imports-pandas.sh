#!/usr/bin/env bash
# One would guess: pyarrow needs pandas where somebody converts from pandas or to it, and pa.scalar(1) or to_numpy of a
# column of numbers never does.
# What happens: with pyarrow 26 and pandas 3 the first value that comes from Python or goes to numpy, a single number
# too, imports all of pandas, if it is installed. What stays among Arrow's own buffers does not.
# Why it matters: a command that reads a file of three numbers into a map pays some tenths of a second for a library that
# it has no use for, whatever it leaves out itself. Ways around: buffers and DLPack, or an environment without pandas.
. "$(dirname "$0")/lib-packages.sh"
packages pyarrow==26.0.1 pandas==3.0.0 numpy==2.4.6

finding <<'PYTHON'
import subprocess
import sys

from seen import compare, end

BUFFER = "pa.Array.from_buffers(pa.int64(), 1, [None, pa.py_buffer(bytes(8))])"


def imports_pandas(expression):
    script = (
        "import sys\nimport numpy as np, pyarrow as pa, pyarrow.compute, pyarrow.csv\n"
        f"assert 'pandas' not in sys.modules\n{expression}\nprint('pandas' in sys.modules)"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout.strip()


compare("a scalar", imports_pandas("pa.scalar(1)"), "True")
compare("an array of a list", imports_pandas("pa.array([1, 2])"), "True")
compare("an array of numpy's", imports_pandas("pa.array(np.arange(2))"), "True")
compare("a column to numpy", imports_pandas(f"{BUFFER}.to_numpy()"), "True")
compare("the same by DLPack", imports_pandas(f"np.from_dlpack({BUFFER})"), "False")
compare("a column to a list", imports_pandas(f"{BUFFER}.to_pylist()"), "False")
compare("an array of a buffer", imports_pandas(BUFFER), "False")
end()
PYTHON

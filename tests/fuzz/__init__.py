"""A fuzzer of everything that reads bytes: the wire layer, and the way of a record up to its prediction.

`make fuzz` runs it for some minutes with a seed of its own, `make test` a short and always equal part of it. The
invariant: any bytes give a value or DecodeError, and in the scorer a prediction or a dead letter. Never another
exception, a warning, a hang, or memory beyond a multiple of the input.
"""

import sys
from pathlib import Path

# The strategies and the stock client's codecs lie in a folder that is no package, as pytest finds it.
sys.path.append(str(Path(__file__).parents[1] / "properties"))

#!/usr/bin/env bash
# One would guess: numpy.int64(7) is the key 7, and numpy.float64(0.5), which is a Python float, the value 0.5.
# What happens: the client looks at the class alone, and pickles what is not just int or float. The entry under
# numpy.int64(7) is another one than that of 7, and no other language reads the key. And it depends on the number: the
# pickle is taken for UTF-8, so 200 and 0.5 raise, where 7 and 7.0 pass.
# Why it matters: keys from an array or a DataFrame make entries that nobody finds, and a test with small whole numbers
# shows nothing of the error.
also=numpy==2.4.6
. "$(dirname "$0")/lib-member.sh"

finding <<'PYTHON'
import numpy as np

from seen import compare, connect, end

client = connect()
records = client.get_map("records").blocking()


def put(key, value):
    """How many entries there are then, or the error."""
    try:
        records.set(key, value)
    except Exception as error:
        return type(error).__name__
    return records.size()


print(f"numpy {np.__version__}")
compare("set(7, 'a')", put(7, "a"), 1)
compare("set(numpy.int64(7), 'b'): entries", put(np.int64(7), "b"), 2)
compare("get(7)", records.get(7), "a")
compare("get(numpy.int64(7))", records.get(np.int64(7)), "b")
compare("set(numpy.int64(200), 'c')", put(np.int64(200), "c"), "HazelcastSerializationError")
compare("set(8, numpy.float64(7.0)): entries", put(8, np.float64(7.0)), 3)
compare("set(9, numpy.float64(0.5))", put(9, np.float64(0.5)), "HazelcastSerializationError")
refused = sum(isinstance(put(np.int64(number), "x"), str) for number in range(1000))
compare("of numpy.int64(0) to 999, how many raise", 400 <= refused <= 600, True)
print(f"{refused} of them")
end(client)
PYTHON

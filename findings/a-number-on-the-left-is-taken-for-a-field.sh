#!/usr/bin/env bash
# One would guess: 2 < version means version > 2, as in SQL and in every programming language, or is an error.
# What happens: what stands on the left is the name of a field, whatever it looks like. There is no field "2", a
# field that is missing is null, and so 2 < version finds nothing and 2 != version everything, without an error.
# Why it matters: a limit on the left reads well (0.9 <= score AND score < 1) and silently selects nothing.
. "$(dirname "$0")/lib-member.sh"

finding <<'PYTHON'
from seen import compare, connect, end, found, put

client = connect()
records = client.get_map("records").blocking()
put(records, "a", version=1)
put(records, "b", version=2)
put(records, "c", version=3, score=0.95)
compare("version > 2", found(records, "version > 2"), ["c"])
compare("2 < version", found(records, "2 < version"), [])
compare("2 = version", found(records, "2 = version"), [])
compare("2 != version", found(records, "2 != version"), ["a", "b", "c"])
compare("score >= 0.9 AND score < 1", found(records, "score >= 0.9 AND score < 1"), ["c"])
compare("0.9 <= score AND score < 1", found(records, "0.9 <= score AND score < 1"), [])
end(client)
PYTHON

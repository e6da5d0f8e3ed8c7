#!/usr/bin/env bash
# One would guess: a predicate selects the same records, whether it is given to a query or to an entry listener, and
# NOT score > 0.5 either finds records whose score is null (it is not greater) or doesn't (as in SQL).
# What happens: both. A query turns it into score <= 0.5, which no null satisfies; a listener evaluates it as it
# stands, and null satisfies it. A query with NOT score = 0.5 or NOT score BETWEEN 0.6 AND 1 keeps its NOT, and finds
# the null.
# Why it matters: who queries once and then follows by a listener (a continuous query, a filter on predictions) has
# two different sets of records for one and the same text, without an error.
. "$(dirname "$0")/lib-member.sh"

finding <<'PYTHON'
from seen import Listener, compare, connect, end, found, put

client = connect()
records = client.get_map("records").blocking()
listener = Listener(records, "NOT score > 0.5")
put(records, "high", score=0.9)
put(records, "low", score=0.1)
put(records, "null", score=None)
put(records, "none")
listener.until("low")
listener.until("null")
compare("a listener with NOT score > 0.5 hears", listener.until("none"), ["low", "none", "null"])
compare("a query with NOT score > 0.5 finds", found(records, "NOT score > 0.5"), ["low"])
compare("a query with NOT score = 0.9 finds", found(records, "NOT score = 0.9"), ["low", "none", "null"])
outside = "NOT score BETWEEN 0.6 AND 1"
compare(f"a query with {outside} finds", found(records, outside), ["low", "none", "null"])
end(client)
PYTHON

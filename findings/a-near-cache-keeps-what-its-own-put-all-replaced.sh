#!/usr/bin/env bash
# One would guess: a client that writes an entry does not read the old one from its own near cache afterwards; with set
# and put that is so.
# What happens: put_all leaves the client's own near cache as it is. It reads what it has overwritten itself until the
# member's batch of invalidations comes, up to 10 s later; with invalidate_on_change=False for good.
# Why it matters: a program reads back what it has just written, and sees the value before.
. "$(dirname "$0")/lib-member.sh"

finding <<'PYTHON'
from seen import compare, connect, end

client = connect(near_caches={"records": {"invalidate_on_change": False}})
records = client.get_map("records").blocking()
records.set(1, "first")
compare("get", records.get(1), "first")
records.set(1, "second")
compare("set, get", records.get(1), "second")
records.put_all({1: "third"})
compare("put_all, get", records.get(1), "second")
other = connect()
compare("get of a client without a near cache", other.get_map("records").blocking().get(1), "third")
other.shutdown()
end(client)
PYTHON

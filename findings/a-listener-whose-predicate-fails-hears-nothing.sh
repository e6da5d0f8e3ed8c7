#!/usr/bin/env bash
# One would guess: a listener with a predicate that can't be evaluated is refused when it is added, or the put that
# it fails at raises, or the client is told of it in some other way.
# What happens: it is added, every put succeeds, and other listeners hear it; this one hears no entry, ever. It is
# alive, for a clear of the map reaches it. A query with the same predicate does raise.
# Why it matters: a system that reacts to events waits for good, and looks healthy. A predicate from outside has to
# be checked against the fields' types before a listener is made of it.
. "$(dirname "$0")/lib-member.sh"

finding <<'PYTHON'
from seen import Listener, compare, connect, end, found, put

client = connect()
records = client.get_map("records").blocking()
failing, other = Listener(records, "score > 'high'"), Listener(records, "score > 0.5")
put(records, "a", score=0.9)
put(records, "b", score=0.8)
compare("stored", sorted(records.key_set()), ["a", "b"])
error = found(records, "score > 'high'")
compare("a query raises NumberFormatException", "NumberFormatException" in error, True)
records.clear()
compare("a listener with score > 0.5 hears", other.until("CLEAR_ALL"), ["CLEAR_ALL", "a", "b"])
compare("a listener with score > 'high' hears", failing.until("CLEAR_ALL"), ["CLEAR_ALL"])
end(client)
PYTHON

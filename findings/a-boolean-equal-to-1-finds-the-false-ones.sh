#!/usr/bin/env bash
# One would guess: active = 1 on a boolean finds the true ones, as in many databases, or is an error.
# What happens: in an SQL predicate it finds the false ones. The literal is a text there until it meets the field,
# and every text but "true" is false: active = yes is the same. The predicate object equal("active", 1) finds the
# true ones.
# Why it matters: a filter says the opposite of what it reads like, without an error, and two ways to write the same
# filter disagree. A literal for a boolean has to be true or false, and is best refused otherwise.
. "$(dirname "$0")/lib-member.sh"

finding <<'PYTHON'
from hazelcast.predicate import equal

from seen import compare, connect, end, found, put

client = connect()
records = client.get_map("records").blocking()
put(records, "closed", active=False)
put(records, "open", active=True)
compare("active = true", found(records, "active = true"), ["open"])
compare("active = 1", found(records, "active = 1"), ["closed"])
compare("active != 1", found(records, "active != 1"), ["open"])
compare("active = yes", found(records, "active = yes"), ["closed"])
compare('the predicate object equal("active", 1)', found(records, equal("active", 1)), ["open"])
end(client)
PYTHON

#!/usr/bin/env bash
# One would guess: no 64-bit integer equals 9223372036854775808, for the largest is one less; a filter for it finds
# nothing, or is an error.
# What happens: it finds the entry that has the largest. A literal beyond the range is read as a double, and such a
# double equals the largest: 2^63 + 1 finds it too, for it is the same double. 2^64 - 1 finds nothing.
# Why it matters: digests and ids of 64 bits fill the range, and a client with unsigned numbers can ask for one above
# it: it gets another record than it named, without an error.
. "$(dirname "$0")/lib-member.sh"

finding <<'PYTHON'
from seen import compare, connect, end, found, put

client = connect()
records = client.get_map("records").blocking()
put(records, "largest", digest=2**63 - 1)
put(records, "next", digest=2**63 - 2)
compare("digest = 9223372036854775807 (2^63 - 1)", found(records, f"digest = {2**63 - 1}"), ["largest"])
compare("digest = 9223372036854775808 (2^63)", found(records, f"digest = {2**63}"), ["largest"])
compare("digest > 9223372036854775808", found(records, f"digest > {2**63}"), [])
compare("digest = 9223372036854775809 (2^63 + 1)", found(records, f"digest = {2**63 + 1}"), ["largest"])
compare("digest = 18446744073709551615 (2^64 - 1)", found(records, f"digest = {2**64 - 1}"), [])
end(client)
PYTHON

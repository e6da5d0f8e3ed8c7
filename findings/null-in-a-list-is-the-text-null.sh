#!/usr/bin/env bash
# One would guess: label IN (null) finds what label = null finds in this language (the nulls), or nothing, as in SQL.
# What happens: null is a keyword beside = and LIKE, and a text of four letters in a list. IN (null) finds the
# records that say "null", label = null those without a label; label LIKE null too. The predicate object in_("label",
# None) does find the nulls.
# Why it matters: the choice between = and IN, often made by how many values there are, decides between two disjoint
# sets of records, without an error.
. "$(dirname "$0")/lib-member.sh"

finding <<'PYTHON'
from hazelcast.predicate import in_

from seen import compare, connect, end, found, put

client = connect()
records = client.get_map("records").blocking()
put(records, "null", label=None)
put(records, "ok", label="ok")
put(records, "text", label="null")
compare("label = null", found(records, "label = null"), ["null"])
compare("label IN (null)", found(records, "label IN (null)"), ["text"])
compare("label IN (ok, null)", found(records, "label IN (ok, null)"), ["ok", "text"])
compare("label LIKE null", found(records, "label LIKE null"), ["null"])
compare('the predicate object in_("label", None)', found(records, in_("label", None)), ["null"])
end(client)
PYTHON

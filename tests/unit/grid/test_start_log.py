"""What is read out of a member's log, on lines that real members wrote."""

from __future__ import annotations

import pytest

from grid_inference.grid.member.start_log import Reason, Started, reason_of, started

UP = """\
2026-11-23T22:17:41.063 INFO com.hazelcast.system Cluster name: grid-inference
2026-11-23T22:17:41.415 INFO com.hazelcast.core.LifecycleService [127.0.0.1]:41441 is STARTING
2026-11-23T22:17:41.435 INFO com.hazelcast.core.LifecycleService [127.0.0.1]:41441 is STARTED
"""
PORT = """\
Exception in thread "main" com.hazelcast.core.HazelcastException: Cannot bind to a given address: /127.0.0.1. \
Hazelcast cannot start. Port [47111] is already in use and auto-increment is disabled.
\tat com.hazelcast.instance.impl.ServerSocketHelper.createServerSocketChannel(ServerSocketHelper.java:86)
Caused by: java.net.BindException: Address already in use
\tat java.base/sun.nio.ch.Net.bind0(Native Method)
\t... 10 more
"""
YAML = """\
Exception in thread "main" com.hazelcast.config.InvalidConfigurationException: Invalid YAML configuration
\tat com.hazelcast.config.YamlConfigBuilder.parseAndBuildConfig(YamlConfigBuilder.java:159)
Caused by: com.hazelcast.internal.yaml.YamlException: An error occurred while loading and parsing the YAML stream
\tat com.hazelcast.internal.yaml.YamlLoader.load(YamlLoader.java:73)
\t... 7 more
Caused by: while parsing a flow node
 in reader, line 2, column 1:

expected the node content, but found '<stream end>'
\tat com.hazelcast.shaded.org.snakeyaml.engine.v2.parser.ParserImpl.parseNode(ParserImpl.java:378)
"""
SCHEMA = """\
Exception in thread "main" 2 schema violations found
  instance location: #/hazelcast/map
  extraneous key [backup-counts] is not permitted
    instance location: #/hazelcast/map/default

\tat com.hazelcast.internal.config.YamlConfigSchemaValidator.wrap(YamlConfigSchemaValidator.java:76)
"""
HEAP = """\
Error occurred during initialization of VM
Too small maximum heap
"""


def test_a_member_that_is_up():
    assert started(UP) == Started("127.0.0.1", 41441, "grid-inference")


def test_a_member_that_is_coming_up():
    assert started(UP.rpartition("\n2026")[0]) is None


@pytest.mark.parametrize(
    ("log", "text", "remedy"),
    [
        (PORT, "Port [47111] is already in use and auto-increment is disabled.", "port"),
        (HEAP, "Too small maximum heap", "heap"),
        (YAML, "found '<stream end>'", ""),
        (SCHEMA, "extraneous key [backup-counts] is not permitted", ""),
    ],
)
def test_the_members_own_reason(log: str, text: str, remedy: str):
    reason = reason_of(log)
    assert text in reason.text
    assert "\n" not in reason.text
    assert remedy in reason.remedy
    assert bool(remedy) == bool(reason.remedy)


def test_an_exception_is_named_without_its_package():
    log = (
        'Exception in thread "main" com.example.deep.StrangeError: no such thing\n\tat com.example.Main.main(M.java:1)'
    )
    assert reason_of(log) == Reason("StrangeError: no such thing", "")


def test_a_long_reason_is_cut():
    assert len(reason_of(f"Caused by: {'x' * 5000}\n").text) < 500


@pytest.mark.parametrize(("log", "text"), [("", "it said nothing"), ("one\ntwo\n\n", "two")])
def test_without_an_exception_the_last_line(log: str, text: str):
    assert reason_of(log).text == text

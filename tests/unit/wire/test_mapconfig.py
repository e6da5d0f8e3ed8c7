"""What members say of a map in their configuration, and what is made of it; real members: test_foreign.py."""

from __future__ import annotations

import pytest

from grid_inference.drift.counts import DRIFT_MAP
from grid_inference.errors import DecodeError
from grid_inference.flow.positions import POSITIONS_MAP
from grid_inference.grid.expiry import DERIVED, KEPT
from grid_inference.grid.journals import NUMBERS_SHOWN, numbers
from grid_inference.grid.leases import LEASES_MAP
from grid_inference.grid.topology import WORKERS_MAP
from grid_inference.model.store.published import MODELS_MAP
from grid_inference.model.store.registry import ARTIFACTS_MAP, DEPLOYMENTS_MAP
from grid_inference.wire.protocol.mapconfig import MapSettings, map_settings


def config(*maps: str) -> str:
    return f'<hazelcast xmlns="http://www.hazelcast.com/schema/config">{"".join(maps)}</hazelcast>'


def named(name: str, *inner: str) -> str:
    return f'<map name="{name}">{"".join(inner)}</map>'


@pytest.mark.parametrize(
    ("name", "written_for"),
    [
        ("payments", "payments"),
        ("payments.eu", "pay*"),
        ("payments.gold", "*.gold"),
        ("payday.us", "pay*.us"),
        ("other", "default"),
        ("paymen", "pay*"),
        ("payments@17", "payments"),
    ],
)
def test_the_configuration_is_found_by_hazelcasts_rule(name: str, written_for: str) -> None:
    patterns = ("default", "payments", "pay*", "*.gold", "pay*.us", "orders*")
    assert map_settings(config(*map(named, patterns)), name).written_for == written_for


def test_without_a_default_hazelcasts_own_counts() -> None:
    assert map_settings(config(named("orders*")), "payments") == MapSettings()


def test_settings_are_read() -> None:
    said = (
        "<in-memory-format>OBJECT</in-memory-format><backup-count>2</backup-count>",
        "<async-backup-count>1</async-backup-count><time-to-live-seconds>7</time-to-live-seconds>",
        '<max-idle-seconds>8</max-idle-seconds><merge-policy batch-size="9">M</merge-policy>',
        "<split-brain-protection-ref>two</split-brain-protection-ref><read-backup-data>true</read-backup-data>",
        "<statistics-enabled>false</statistics-enabled><per-entry-stats-enabled>true</per-entry-stats-enabled>",
        "<metadata-policy>OFF</metadata-policy><cache-deserialized-values>NEVER</cache-deserialized-values>",
        '<eviction size="10" max-size-policy="PER_NODE" eviction-policy="LRU"/>',
        '<event-journal enabled="true"><capacity>5</capacity></event-journal>',
    )
    assert map_settings(config(named("default", *said)), "any") == MapSettings(
        journal=True,
        in_memory_format="OBJECT",
        backup_count=2,
        async_backup_count=1,
        ttl_s=7,
        max_idle_s=8,
        eviction=(10, "PER_NODE", "LRU"),
        merge_policy="M",
        merge_batch=9,
        split_brain_protection="two",
        read_backup_data=True,
        statistics=False,
        entry_statistics=True,
        cache_deserialized_values="NEVER",
        metadata_policy="OFF",
    )


def test_what_the_message_does_not_carry_is_named_unless_it_is_off() -> None:
    said = (
        '<map-store enabled="false"/><tiered-store enabled="false"/><data-persistence enabled="true"/>',
        "<indexes><index/></indexes><what-a-later-release-has>1</what-a-later-release-has>",
        '<eviction comparator-class-name="C"/>',
    )
    others = map_settings(config(named("default", *said)), "any").others
    assert others == ("data-persistence", "indexes", "what-a-later-release-has", "eviction")


@pytest.mark.parametrize("xml", ["", "<", "{}", config(named("default", "<backup-count>two</backup-count>"))])
def test_what_is_no_configuration_is_refused(xml: str) -> None:
    with pytest.raises(DecodeError, match="a member's configuration"):
        map_settings(xml, "any")


def test_all_maps_of_ours_are_known() -> None:
    """A layer below those that name them looks after them."""
    ours = (DEPLOYMENTS_MAP, ARTIFACTS_MAP, MODELS_MAP, POSITIONS_MAP, LEASES_MAP, WORKERS_MAP, DRIFT_MAP)
    assert {f"grid_inference.{name}" for name in (*KEPT, *DERIVED)} == set(ours)


def test_partitions_are_named_within_bounds() -> None:
    assert numbers([3, 5]) == "3, 5"
    assert numbers(range(271)).endswith(f"{NUMBERS_SHOWN - 1} and {271 - NUMBERS_SHOWN} more")

"""What a client of ours was told is done is on the backup too; else it is told that it is not known."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import grid_inference as gi
from grid_inference.config import GridConfig
from grid_inference.grid.link.stock import client_config
from grid_inference.grid.member.member import java_options
from grid_inference.wire.keys import encode_keys, partition_ids
from grid_inference.wire.protocol import frames as f
from grid_inference.wire.protocol import messages
from tests.integration.conftest import batch, until

IS_BACKUP_AWARE = 1 << 8


def test_our_clients_have_the_settings_on() -> None:
    stock = client_config(GridConfig())
    assert stock.fail_on_indeterminate_operation_state
    assert stock.backup_ack_to_client_enabled
    assert stock.smart_routing
    assert (stock.heartbeat_interval, stock.heartbeat_timeout) == (2.0, 10.0)
    assert not stock.redo_operation


def test_our_own_requests_leave_the_waiting_to_the_member() -> None:
    """With the flag a member answers before its backups do, and nobody would wait for them."""
    request = messages.set_request("records", encode_keys([1])[0], encode_keys([2])[0])
    _, flags = f.HEADER.unpack_from(request, 0)
    assert not flags & IS_BACKUP_AWARE


def test_our_members_fail_where_it_is_not_known() -> None:
    [file] = [option for option in java_options(gi.MemberConfig()) if option.startswith("-Dhazelcast.config=")]
    lines = Path(file.partition("=")[2]).read_text(encoding="utf-8").splitlines()
    assert "hazelcast.operation.fail.on.indeterminate.state: true" in {line.strip() for line in lines}


@pytest.fixture
def members() -> Iterator[tuple[gi.Member, gi.Member]]:
    """Two members: each one's partitions have their backup on the other."""
    config = gi.MemberConfig(cluster_name=f"backup-{uuid.uuid4().hex[:8]}", heap_mb=256)
    with gi.Member.start(config) as first, gi.Member.start(replace(config, join=(first.address,))) as second:
        yield first, second


@pytest.mark.skipif(sys.platform == "win32", reason="a process can't be stopped and continued")
def test_a_write_is_acknowledged_only_once_its_silent_backup_is_given_up(members: tuple[gi.Member, gi.Member]) -> None:
    first, second = members
    with gi.connect(first.address, cluster_name=first.cluster_name) as grid:
        features, link = grid.features("records"), grid._grid.link
        until(lambda: len(link.members()) == 2, "the second member")
        features.put_batch(batch(1_000), key="key")
        mine = {member for member, address in link.members().items() if address == first.address}
        until(lambda: set(link.partition_owners().values()) == set(link.members()), "an even share of the partitions")
        keys = np.arange(1_000, 2_000)
        owners = link.partition_owners()
        homes = [owners[partition] for partition in partition_ids(encode_keys(keys), link.partition_count).tolist()]
        keys = keys[[home in mine for home in homes]]
        features.put_batch(batch(keys.size) | {"key": keys}, key="key")
        os.kill(second.pid, signal.SIGSTOP)
        try:
            # Tried again and again: each is acknowledged only when the copies that there are have it.
            features.put(int(keys[0]), {"a": 1.0, "b": 1.0, "c": 1.0})
            until(lambda: len(link.members()) == 1, "the word that the silent member is given up")
            features.put_batch(batch(keys.size, seed=1) | {"key": keys}, key="key")
        finally:
            os.kill(second.pid, signal.SIGCONT)

"""Clusters that somebody else has configured, on real members: refused by name, handled, or known to be so."""

from __future__ import annotations

import threading
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hazelcast
import numpy as np
import pytest
from hazelcast.core import HazelcastJsonValue

import grid_inference as gi
from grid_inference.errors import RemoteError
from grid_inference.flow.read import newest
from grid_inference.grid import liveness
from grid_inference.grid.journals import journals
from grid_inference.grid.link import Link
from grid_inference.grid.link import topics as link_topics
from grid_inference.node.workers import Workers
from grid_inference.wire.json.values import encode_json
from grid_inference.wire.keys import DataKey, encode_keys, guard_key, partition_ids
from grid_inference.wire.protocol import expiry, mapconfig, messages
from tests.integration.conftest import FEATURES, Names, batch, on_a_link, until

# Most of them look at what a deploy makes of the cluster: nobody need score.
pytestmark = pytest.mark.filterwarnings("ignore::grid_inference.errors.NoWorkersWarning")

MEMBER = """
hazelcast:
  cluster-name: ${grid.inference.cluster.name}
  network:
    port:
      port: ${grid.inference.port}
      auto-increment: false
    join:
      auto-detection:
        enabled: false
      multicast:
        enabled: false
      tcp-ip:
        enabled: true
        member-list:
          - ${grid.inference.members}
  properties:
    hazelcast.partition.count: ${grid.inference.partitions}
    hazelcast.phone.home.enabled: false
    hazelcast.logging.type: jdk
    hazelcast.socket.bind.any: false
    hazelcast.shutdownhook.policy: GRACEFUL
"""
JOURNAL = "event-journal: {enabled: true, capacity: 31000}"
SILENT = "  management-center:\n    trusted-interfaces:\n      - 192.0.2.1\n"
RECONCILE_S = 1.0
RECORD = dict.fromkeys(FEATURES, 0.9)


class Foreign:
    """Starts members of one cluster, each with what it says of maps and of else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"foreign-{uuid.uuid4().hex[:8]}"
        self.members: list[gi.Member] = []

    def start(self, maps: str = "", more: str = "") -> gi.Member:
        file = self.folder / f"{len(self.members)}.yaml"
        section = "  map:\n" + "".join(f"    {line}\n" for line in maps.splitlines()) if maps else ""
        file.write_text(MEMBER + section + more, encoding="utf-8")
        join = tuple(one.address for one in self.members)
        config = gi.MemberConfig(cluster_name=self.name, heap_mb=384, config_file=file, join=join)
        self.members.append(gi.Member.start(config))
        return self.members[-1]

    @contextmanager
    def grid(self) -> Iterator[gi.Grid]:
        with gi.connect(self.members[0].address, cluster_name=self.name) as grid:
            yield grid

    @contextmanager
    def client(self) -> Iterator[hazelcast.HazelcastClient]:
        """The stock client."""
        client = hazelcast.HazelcastClient(cluster_name=self.name, cluster_members=[self.members[0].address])
        yield client
        client.shutdown()


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Foreign]:
    monkeypatch.setattr(liveness, "COMING_S", 0.0)  # where nobody is nobody comes
    cluster = Foreign(tmp_path)
    yield cluster
    for member in cluster.members:
        member.kill()


def add_journal(grid: gi.Grid, name: str) -> None:
    """What a running cluster is told of a map, by a client of somebody else's."""
    request = mapconfig.add_map_config_request(name, journal_capacity=31_000, settings=mapconfig.MapSettings())
    on_a_link(grid, lambda link: link.call(request))


def settings(grid: gi.Grid, name: str) -> list[mapconfig.MapSettings]:
    """What each member's own configuration says of a map."""
    found: list[mapconfig.MapSettings] = []

    async def ask(link: Link) -> None:
        for partition in {owner: one for one, owner in link.partition_owners().items()}.values():
            answer = await link.call(mapconfig.member_config_request(), partition)
            found.append(mapconfig.map_settings(mapconfig.decode_member_config(answer), name))

    on_a_link(grid, ask)
    return found


def balanced(cluster: Foreign, grid: gi.Grid) -> None:
    """Wait until every member owns its share."""

    until(lambda: len(settings(grid, "any")) == len(cluster.members), "each member's share", 60)


# ---- a journal that is configured and not kept


@pytest.mark.parametrize("records", [0, 500])
def test_a_journal_configured_for_a_map_that_exists_is_refused(foreign: Foreign, model: Any, records: int) -> None:
    foreign.start()
    with foreign.grid() as grid, foreign.client() as client:
        old = client.get_map("old").blocking()  # makes it
        old.size()
        if records:
            grid.features("old").put_batch(batch(records), key="key")
        add_journal(grid, "old")
        with pytest.raises(gi.DeploymentError, match="'old' was made before its event journal was configured") as said:
            grid.deploy("d", model, features="old", columns=FEATURES)
        assert "create the map anew" in said.value.remedy
        assert old.size() == records


def test_an_empty_map_that_keeps_its_journal_is_taken(foreign: Foreign, model: Any) -> None:
    """Nothing stands in it, so a probe proves it: listeners see it come and go, and that is all."""
    foreign.start(f'"gold": {{{JOURNAL}}}')
    with foreign.grid() as grid, foreign.client() as client:
        gold, seen, gone = client.get_map("gold").blocking(), list[Any](), threading.Event()
        gold.add_entry_listener(
            added_func=lambda event: seen.append(event.key),
            updated_func=lambda event: seen.append(event.key),
            removed_func=lambda event: seen.append(event.key),
            evicted_func=lambda _: gone.set(),
        )
        grid.deploy("d", model, features="gold", columns=FEATURES)
        assert gone.wait(30)
        assert seen == ["grid_inference.journal-probe"]
        assert gold.size() == 0
        seen.clear()
        grid.features("gold").put_batch(batch(50), key="key")
        until(lambda: len(seen) == 50, "the events of the records")
        seen.clear()
        grid.deploy("d", model, features="gold", columns=FEATURES)  # proven by what it has told: no probe
        grid.features("gold").put(1000, RECORD)
        until(lambda: bool(seen), "the event of a record")
        assert len(seen) == 1


def test_maps_as_members_configure_them_in_general_are_not_probed(foreign: Foreign, model: Any) -> None:
    foreign.start(f"default: {{{JOURNAL}}}")
    with foreign.grid() as grid, foreign.client() as client:
        records, seen = client.get_map("records").blocking(), list[Any]()
        records.add_entry_listener(added_func=lambda event: seen.append(event.key))
        grid.deploy("d", model, features="records", columns=FEATURES)
        grid.features("records").put(1, RECORD)
        until(lambda: bool(seen), "the event of a record")
        assert seen == [1]


def test_members_of_different_configurations_are_refused_by_their_partitions(foreign: Foreign, model: Any) -> None:
    foreign.start(f'"half": {{{JOURNAL}}}')
    foreign.start()
    with foreign.grid() as grid:
        balanced(foreign, grid)
        with pytest.raises(gi.DeploymentError, match="'half' would have no event journal") as planned:
            grid.deploy("d", model, features="half", columns=FEATURES)
        assert f"of 2 members only {foreign.members[0].address} would keep one" in str(planned.value)
        grid.features("half").put_batch(batch(500), key="key")
        with pytest.raises(gi.DeploymentError, match=r"no event journal in partitions \d+, \d+.* members") as refused:
            grid.deploy("d", model, features="half", columns=FEATURES)
        assert "configured differently" in str(refused.value)


@pytest.mark.parametrize("start", ["existing", "new"])
def test_records_on_a_member_without_the_journal_are_scored_by_scans(foreign: Foreign, model: Any, start: str) -> None:
    """It joins, which the status tells; another worker takes its partitions on; it goes again."""
    member = foreign.start(f'"half": {{{JOURNAL}}}')
    with foreign.grid() as grid, Workers(member.address, foreign.name, 1) as first:
        grid.wait_for_workers(1)
        grid.deploy("d", model, features="half", columns=FEATURES, start=start, reconcile_s=RECONCILE_S)
        grid.features("half").put_batch(batch(500), key="key")
        assert grid.verify("d", 60).complete
        assert grid.status().deployments[0].failures == []
        joined = foreign.start()
        balanced(foreign, grid)
        until(lambda: bool(grid.status().deployments[0].without_journal), "the partitions' names", 60)
        state = grid.status().deployments[0]
        assert 0 < len(state.without_journal) < 31
        assert any(f"partitions {state.without_journal[0]}, " in one for one in state.failures), state.failures

        def all_scored(first_key: int) -> None:
            before = grid.predictions("d").size()
            grid.features("half").put_batch(batch(500, 1, first_key), key="key")
            until(lambda: grid.predictions("d").size() == before + 500, "the predictions of all", 60)

        def changes_come_through() -> None:
            grid.features("half").put_batch(batch(500, 2), key="key")
            grid.features("half").remove(1)
            until(lambda: grid.verify("d", 0).complete, "the predictions of what was changed", 60)

        all_scored(500)
        changes_come_through()
        [state] = grid.status().deployments
        assert (state.unexplained, state.gaps["no journal"] > 0) == (0, True)
        with Workers(joined.address, foreign.name, 1):
            grid.wait_for_workers(2)
            first.stop()
            all_scored(1000)
            changes_come_through()
            joined.stop()
            until(lambda: grid.status().deployments[0].without_journal == [], "the journal of all partitions", 60)
            all_scored(1500)
            assert grid.verify("d", 60).complete
            assert grid.status().deployments[0].unexplained == 0


def test_the_ends_of_journals_are_those_of_the_partitions_that_keep_one(foreign: Foreign) -> None:
    foreign.start(f'"half": {{{JOURNAL}}}')
    foreign.start()
    with foreign.grid() as grid:
        balanced(foreign, grid)
        grid.features("half").put_batch(batch(500), key="key")
        kept = list[bool]()

        async def ask(link: Link) -> None:
            every = list(range(link.partition_count))
            ends = await newest(link, "half", every)
            without = (await journals(link, "half")).without
            kept.extend([sorted(ends) == [one for one in every if one not in without], 0 < len(without) < len(every)])

        on_a_link(grid, ask)
        assert kept == [True, True]


# ---- a map that does not exist yet


def test_a_new_map_gets_the_clusters_defaults_and_a_journal(foreign: Foreign, model: Any) -> None:
    default = """
default:
  backup-count: 2
  async-backup-count: 1
  read-backup-data: true
  time-to-live-seconds: 900
  max-idle-seconds: 800
  eviction: {eviction-policy: LFU, max-size-policy: PER_NODE, size: 5000}
  per-entry-stats-enabled: true
  metadata-policy: OFF
  merge-policy: {class-name: LatestUpdateMergePolicy, batch-size: 77}
  split-brain-protection-ref: one
"grid_inference.*": {backup-count: 1}
"*.predictions": {backup-count: 1}
"*.dead-letters": {backup-count: 1}
""".strip()
    more = "  split-brain-protection:\n    one: {enabled: false, minimum-cluster-size: 2}\n"
    foreign.start(default, more)
    with foreign.grid() as grid:
        grid.deploy("d", model, features="new", columns=FEATURES, accept_expiry=True)
        [new], [other] = settings(grid, "new"), settings(grid, "other")
        assert (new.written_for, other.written_for) == ("new", "default")
        assert (new.journal, other.journal) == (True, False)
        same = [name for name in mapconfig.MapSettings.__slots__ if name not in ("written_for", "journal")]
        assert {name: getattr(new, name) for name in same} == {name: getattr(other, name) for name in same}
        assert (new.backup_count, new.async_backup_count, new.split_brain_protection) == (2, 1, "one")
        made = list[expiry.MapLimits]()

        async def ask(link: Link) -> None:
            made.append(expiry.decode_map_limits(await link.call(expiry.map_config_request("new"), 0)))

        on_a_link(grid, ask)
        assert made == [expiry.MapLimits(900, 800, 5000, "LFU", 3, keeps_objects=False)]


REFUSED = {
    "what the message can't carry": ("default: {near-cache: {time-to-live-seconds: 5}}", "", "near-cache"),
    "a pattern of the members' own": ('"pay*": {backup-count: 2}', "", "configuration of 'pay*'"),
    "nobody tells": ("", SILENT, "do not tell"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_new_map_that_can_not_be_given_a_journal_is_refused_with_what_to_write(
    foreign: Foreign, model: Any, case: str
) -> None:
    maps, more, why = REFUSED[case]
    foreign.start(maps, more)
    with foreign.grid() as grid:
        with pytest.raises(gi.DeploymentError, match=r"'payments' would have no event journal") as refused:
            grid.deploy("d", model, features="payments", columns=FEATURES)
        assert why in str(refused.value)
        assert 'map: {"payments": {event-journal: {enabled: true, capacity: 100000}}}' in refused.value.remedy
        assert grid.deployments() == {}


# ---- maps that change or lose what is in them


def test_a_map_of_objects_is_refused_where_its_journal_is_read(foreign: Foreign, model: Any) -> None:
    foreign.start(f'"objects": {{in-memory-format: OBJECT, {JOURNAL}}}')
    with foreign.grid() as grid:
        grid.features("objects").put_batch(batch(50), key="key")
        with pytest.raises(gi.DeploymentError, match="'objects' has the in-memory format OBJECT") as refused:
            grid.deploy("d", model, features="objects", columns=FEATURES)
        assert "BINARY" in refused.value.remedy
        grid.deploy("d", model, features="objects", columns=FEATURES, trigger="listener")


@pytest.mark.parametrize("accepted", [False, True])
def test_own_maps_that_lose_what_is_in_them_are_refused(foreign: Foreign, model: Any, *, accepted: bool) -> None:
    keep = "max-idle-seconds: 0"
    foreign.start(f'default: {{max-idle-seconds: 3600, {JOURNAL}}}\n"kept": {{{keep}, {JOURNAL}}}')
    with foreign.grid() as grid:
        with pytest.raises(gi.DeploymentError, match="would go by itself") as refused:
            grid.deploy("d", model, features="kept", columns=FEATURES, accept_expiry=accepted)
        for name in ("grid_inference.deployments", "grid_inference.models", "d.predictions", "d.dead-letters"):
            assert f"'{name}' (max-idle-seconds: 3600)" in str(refused.value)
        assert "hazelcast/hazelcast.yaml" in refused.value.remedy


def test_predictions_that_go_by_themselves_are_refused(foreign: Foreign, model: Any) -> None:
    foreign.start(f'default: {{{JOURNAL}}}\n"*.predictions": {{time-to-live-seconds: 60}}')
    refused = pytest.raises(gi.DeploymentError, match=r"'d.predictions' \(time-to-live-seconds: 60\)")
    with foreign.grid() as grid, refused:
        grid.deploy("d", model, features="f", columns=FEATURES)


def test_deployments_without_a_copy_are_warned_about(foreign: Foreign, model: Any) -> None:
    maps = f"default: {{backup-count: 0, {JOURNAL}}}"
    foreign.start(maps)
    with foreign.grid() as grid:
        with warnings.catch_warnings():
            warnings.simplefilter("error", gi.BackupWarning)
            grid.deploy("d", model, features="f", columns=FEATURES)  # one member has nobody to copy to
        foreign.start(maps)
        balanced(foreign, grid)
        with pytest.warns(gi.BackupWarning, match=r"no other member has a copy of 'grid_inference.deployments'"):
            grid.deploy("d", model, features="f", columns=FEATURES)


def test_near_caches_that_show_stale_values_are_warned_about(foreign: Foreign, model: Any) -> None:
    stale = "near-cache: {invalidate-on-change: false}"
    foreign.start(f'default: {{{JOURNAL}}}\n"f": {{near-cache: {{}}, {JOURNAL}}}\n"*.predictions": {{{stale}}}')
    with foreign.grid() as grid, pytest.warns(gi.NearCacheWarning, match=r"what changes in 'd.predictions': ") as said:
        grid.deploy("d", model, features="f", columns=FEATURES)
    assert "'f'" not in str(said[0].message)


def test_what_we_read_comes_past_every_near_cache(foreign: Foreign, model: Any) -> None:
    """No change invalidates those of the members, and results are followed and read all the same."""
    member = foreign.start(f"default: {{near-cache: {{invalidate-on-change: false}}, {JOURNAL}}}")
    with foreign.grid() as grid, Workers(member.address, foreign.name, 1):
        grid.wait_for_workers(1)
        with pytest.warns(gi.NearCacheWarning, match="'f', 'd.predictions', 'd.dead-letters'"):
            grid.deploy("d", model, features="f", columns=FEATURES)
        for seed in range(3):
            grid.features("f").put_batch(batch(100, seed), key="key")
            assert grid.verify("d", 60).complete
            found = grid.predictions("d").get_batch(np.arange(100))
            inputs = np.column_stack([batch(100, seed)[name] for name in FEATURES])
            np.testing.assert_allclose(found["scores"], model.predict_proba(inputs), rtol=0, atol=1e-12)


# ---- what is as it is, and said (docs/records.md, docs/operations.md)


def test_a_lock_holds_up_put_and_not_put_batch(foreign: Foreign) -> None:
    foreign.start()
    with foreign.grid() as grid, foreign.client() as client:
        records = client.get_map("locked").blocking()
        features = grid.features("locked")
        features.put("k", RECORD)
        records.lock("k")
        features.put_batch({name: [0.5] for name in FEATURES}, key=["k"])
        assert features.get("k")["a"] == 0.5
        putting = threading.Thread(target=features.put, args=("k", RECORD))
        putting.start()
        assert features.get("k")["a"] == 0.5
        records.unlock("k")
        putting.join(30)
        assert features.get("k")["a"] == 0.9


def test_a_put_that_an_index_refuses_may_stand_and_is_scored(foreign: Foreign, model: Any) -> None:
    member = foreign.start(f'"indexed": {{indexes: [{{type: SORTED, attributes: ["a"]}}], {JOURNAL}}}')
    with foreign.grid() as grid, foreign.client() as client, Workers(member.address, foreign.name, 1):
        grid.wait_for_workers(1)
        records = client.get_map("indexed").blocking()
        records.set("right", HazelcastJsonValue(RECORD))
        with pytest.raises(Exception, match=r"ClassCast|cannot be cast"):
            records.set("wrong", HazelcastJsonValue(RECORD | {"a": "text"}))
        assert records.get("wrong") is not None
        grid.deploy("d", model, features="indexed", columns=FEATURES)
        predictions = grid.predictions("d")
        until(lambda: predictions.get("right") is not None, "the prediction")
        until(lambda: predictions.dead_letters.counts() != {}, "the dead letter of what stands though it was refused")
        assert predictions.dead_letters.get("wrong").cause == "WRONG_TYPE"


def test_a_key_that_names_its_partition_is_found_by_its_bytes(
    local_grid: gi.Grid, deployed: gi.Predictions, names: Names
) -> None:
    """As Java's StringPartitioningStrategy writes `a@b`: into the partition of `b`."""
    features, found = local_grid.features(names.features), list[int]()

    async def put(link: Link) -> None:
        [plain] = partition_ids(encode_keys(["a@b"]), link.partition_count).tolist()
        partition = (plain + 1) % link.partition_count
        key = guard_key("a@b", partition, link.partition_count)
        await link.call(messages.set_request(names.features, key, encode_json(RECORD)), partition)
        found.extend((partition, link.partition_count))

    features.size()
    on_a_link(local_grid, put)
    key = DataKey(guard_key("a@b", *found))
    until(lambda: deployed.get(key) is not None, "the prediction under the key's own bytes")
    assert (features.get("a@b"), deployed.get("a@b")) == (None, None)
    assert features.get(key) == RECORD
    assert features.to_arrow()["key"].to_pylist() == deployed.to_arrow()["key"].to_pylist() == ["a@b"]


def test_a_reliable_topics_ring_with_a_time_to_live_holds_up_nothing(foreign: Foreign, model: Any) -> None:
    ring = '  ringbuffer:\n    "*": {capacity: 600, time-to-live-seconds: 3600}\n'
    member = foreign.start(f"default: {{{JOURNAL}}}", ring)
    with foreign.grid() as grid, Workers(member.address, foreign.name, 1):
        grid.wait_for_workers(1)
        grid.deploy("d", model, features="f", columns=FEATURES, topic={"kind": "reliable"})
        for first in range(0, 3000, 500):
            grid.features("f").put_batch(batch(500, first, first), key="key")
        verdict = grid.verify("d", 60)
        assert verdict.complete, verdict
        assert verdict.predictions == 3000
        until(lambda: grid.status().deployments[0].published >= 3000, "the messages")


def test_a_ring_that_does_not_answer_is_given_up(local_grid: gi.Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_topics, "PUBLISH_TIMEOUT_S", 1e-9)  # no answer comes in so short a time
    with pytest.raises(gi.GridError, match="the ring of topic 'silent' took no message for 1e-09 s"):
        on_a_link(local_grid, lambda link: link_topics.publish_all_reliable(link, "silent", [encode_json({})]))


def test_members_that_do_not_tell_are_asked_by_a_probe(foreign: Foreign, model: Any) -> None:
    foreign.start(f'"gold": {{{JOURNAL}}}', SILENT)
    with foreign.grid() as grid, foreign.client() as client:
        client.get_map("gold").blocking().size()
        with pytest.warns(gi.ExpiryWarning, match="do not tell"):
            grid.deploy("d", model, features="gold", columns=FEATURES)
        client.get_map("silver").blocking().size()
        add_journal(grid, "silver")
        with pytest.raises(gi.DeploymentError, match="'silver' was made before its event journal"):
            grid.deploy("e", model, features="silver", columns=FEATURES)


def test_what_is_no_map_config_is_not_asked_of_members_that_refuse(foreign: Foreign) -> None:
    """The error by which members say that they don't tell."""
    foreign.start("", SILENT)
    with foreign.grid() as grid, pytest.raises(RemoteError):
        on_a_link(grid, lambda link: link.call(mapconfig.member_config_request(), 0))

"""Subscriptions: by the map and by topics, cut off and overrun, with members that come and go."""

from __future__ import annotations

import re
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import grid_inference as gi
from grid_inference.api.subscriptions.messages import Messages
from grid_inference.node.workers import Workers
from grid_inference.wire.keys import encode_keys, partition_ids
from grid_inference.wire.protocol import topics
from tests.integration.changes import merge
from tests.integration.conftest import FEATURES, Names, batch, until
from tests.ports import free_port
from tests.proxy import Proxy

WHERE = "score >= 0.5"
HIGH = dict.fromkeys(FEATURES, 0.9)
LOW = dict.fromkeys(FEATURES, 0.1)
TIMEOUT_S = 30.0

by_every_way = pytest.mark.parametrize("way", ["map", "topic", "reliable"])


def deploy(grid: gi.Grid, model: Any, names: Names, way: str, **topic: Any) -> gi.Predictions:
    """The model at work, behind its first scans: from then on every record is scored once."""
    kind = "reliable" if way == "reliable" else "topic"
    until(lambda: bool(grid.status().workers), "a worker's first sign of life")
    grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, topic={"kind": kind, **topic})

    def at_work() -> bool:
        status = next(one for one in grid.status().deployments if one.name == names.deployment)
        return status.owned == 31 and status.scanning == 0

    until(at_work, "the worker's start")
    return grid.predictions(names.deployment)


def subscribe(predictions: gi.Predictions, way: str, **settings: Any) -> gi.Subscription[Any]:
    settings = {"where": WHERE, "timeout": TIMEOUT_S, **settings}
    return predictions.subscribe(source="map" if way == "map" else "topic", **settings)


def matching(predictions: gi.Predictions, keys: Any) -> set[Any]:
    """Keys whose prediction stands and matches, as the map has it."""
    found = predictions.get_batch(keys)
    return {key for key, score in zip(found.keys, found["score"].tolist(), strict=True) if score >= 0.5}


def put(grid: gi.Grid, names: Names, count: int, first_key: int) -> set[Any]:
    """Put records, wait for their predictions, give the keys of those that match."""
    predictions = grid.predictions(names.deployment)
    columns = batch(count, first_key, first_key)
    grid.features(names.features).put_batch(columns, key="key")
    until(lambda: len(predictions.get_batch(columns["key"])) == count, f"{count} predictions")
    found = matching(predictions, columns["key"])
    assert 0 < len(found) < count, "the filter has something to do"
    return found


def until_mark(grid: gi.Grid, names: Names, subscription: Iterator[Any]) -> list[Any]:
    """All that comes before the prediction of a record that is put now; gaps as such, predictions by their keys."""
    mark = f"mark-{uuid.uuid4().hex}"
    grid.predictions(names.deployment).predict(mark, HIGH, timeout=TIMEOUT_S)
    found = list[Any]()
    for item in subscription:
        if isinstance(item, gi.Gap):
            found.append(item)
        elif item.key == mark:
            return found
        else:
            found.append(item.key)
    pytest.fail(f"the mark did not come within {TIMEOUT_S} s, only {len(found)} others")


def until_all(grid: gi.Grid, names: Names, subscription: Iterator[Any], expected: set[Any]) -> Counter[Any]:
    """How often each key comes until all that are expected have come, and until a mark behind them."""
    found = Counter[Any]()
    while not expected <= found.keys():
        found[next(subscription).key] += 1
    return keys_of([*found.elements(), *until_mark(grid, names, subscription)])


def until_these(subscription: Iterator[Any], expected: set[Any]) -> None:
    """Each of them comes, more often than once perhaps."""
    left = set(expected)
    while left:
        item = next(subscription, None)
        assert item is not None, f"{len(left)} of {len(expected)} did not come: {sorted(left)[:10]}"
        left.discard(item.key)


def keys_of(items: list[Any]) -> Counter[Any]:
    """How often each key came, marks left out."""
    return Counter(item for item in items if not isinstance(item, gi.Gap) and not str(item).startswith("mark"))


def gaps_of(items: list[Any]) -> list[gi.Gap]:
    return [item for item in items if isinstance(item, gi.Gap)]


@dataclass
class Apart:
    """A grid whose subscribers come through a proxy, while all others have connections of their own."""

    proxy: Proxy
    member: gi.Member
    grid: gi.Grid

    @contextmanager
    def subscriber(self) -> Iterator[gi.Grid]:
        address = f"127.0.0.1:{self.proxy.port}"
        with gi.connect(address, cluster_name=self.grid.cluster_name, connect_timeout_s=60) as grid:
            yield grid


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    port = free_port()
    with Proxy(port) as proxy:
        config = gi.MemberConfig(
            cluster_name=f"apart-{uuid.uuid4().hex[:8]}",
            heap_mb=768,
            port=port,
            public_address=f"127.0.0.1:{proxy.port}",
        )
        direct = f"127.0.0.1:{port}"
        with (
            gi.Member.start(config) as member,
            Workers(direct, config.cluster_name, 1),
            gi.connect(direct, cluster_name=config.cluster_name) as grid,
        ):
            grid.wait_for_workers(1)
            yield Apart(proxy, member, grid)


# ---- what comes


@by_every_way
def test_new_predictions_that_match_come_once(local_grid: gi.Grid, model: Any, names: Names, way: str) -> None:
    predictions = deploy(local_grid, model, names, way)
    with subscribe(predictions, way) as earlier:
        put(local_grid, names, 50, 0)
        until_mark(local_grid, names, earlier)  # a topic's messages come behind the map's entries
    with subscribe(predictions, way) as subscription:
        expected = put(local_grid, names, 400, 100)
        predictions.predict("low", LOW)
        assert keys_of(until_mark(local_grid, names, subscription)) == dict.fromkeys(expected, 1)
        again = predictions.predict(100, HIGH)
        assert next(subscription) == again
    local_grid.undeploy(names.deployment)


@by_every_way
def test_a_prediction_is_the_same_by_every_way(local_grid: gi.Grid, model: Any, names: Names, way: str) -> None:
    predictions = deploy(local_grid, model, names, way)
    key = uuid.uuid4()
    with subscribe(predictions, way, where=None) as subscription:
        made = predictions.predict(key, HIGH)
        assert next(subscription) == made == predictions.get(key)
    local_grid.undeploy(names.deployment)


def test_a_prediction_that_is_merged_comes(local_grid: gi.Grid, model: Any, names: Names) -> None:
    """As after a split of the network, whose smaller side's entries come back as merges."""
    predictions = deploy(local_grid, model, names, "map")
    predictions.predict("high", HIGH)
    predictions.predict("low", LOW)
    with subscribe(predictions, "map") as subscription:
        merge(local_grid, f"{names.deployment}.predictions", {"new": "high", "other": "low", "low": "high"})
        assert {next(subscription).key for _ in range(2)} == {"new", "low"}
    local_grid.undeploy(names.deployment)


@pytest.mark.parametrize("way", ["topic", "reliable"])
def test_a_shared_topic_brings_only_the_deployments_own(
    local_grid: gi.Grid, model: Any, names: Names, way: str
) -> None:
    other = Names(f"{names.deployment}-other", f"{names.features}-other")
    topic = f"topic-{names.deployment}"
    predictions = deploy(local_grid, model, names, way, name=topic)
    others = deploy(local_grid, model, other, way, name=topic, where="score >= 0.2")
    with subscribe(predictions, way) as mine, subscribe(others, way, where="key = 'b' OR key LIKE 'mark%'") as theirs:
        others.predict("a", HIGH)
        predictions.predict("b", HIGH)
        others.predict("b", HIGH)
        assert keys_of(until_mark(local_grid, names, mine)) == {"b": 1}
        assert keys_of(until_mark(local_grid, other, theirs)) == {"b": 1}
    local_grid.undeploy(names.deployment)
    local_grid.undeploy(other.deployment)


def test_what_can_not_be_is_refused(local_grid: gi.Grid, model: Any, names: Names) -> None:
    settings = {"features": names.features, "columns": FEATURES, "topic": {"kind": "none"}}
    local_grid.deploy(names.deployment, model, **settings)
    predictions: Any = local_grid.predictions(names.deployment)
    with pytest.raises(gi.ConfigError, match="publishes to no topic") as refused:
        predictions.subscribe(source="topic")
    assert "source = 'map'" in refused.value.remedy
    with pytest.raises(gi.ConfigError, match="no field 'amount'"):
        predictions.subscribe("amount > 3")
    for unlike in ("score > 'high'", "version LIKE '1%'", "score", "scores > 1", "NOT label = 'a' AND version = one"):
        with pytest.raises(gi.ConfigError, match=re.escape(repr(unlike))) as refused:
            predictions.subscribe(unlike)
        assert refused.value.remedy
    with pytest.raises(gi.ConfigError, match="source = 'queue'") as refused:
        predictions.subscribe(source="queue")
    assert refused.value.remedy == "source is 'map' or 'topic'"
    with pytest.raises(gi.ConfigError, match="gaps = 'ignore'"):
        predictions.subscribe(gaps="ignore")
    with pytest.raises(gi.ConfigError, match="queue_max = 0"):
        predictions.subscribe(queue_max=0)
    local_grid.deploy(names.deployment, model, **{**settings, "topic": {"kind": "topic"}})
    with pytest.raises(gi.ConfigError, match="no field '__key'"):
        local_grid.predictions(names.deployment).subscribe("__key = 3", source="topic")
    with pytest.raises(gi.ConfigError, match="version is no text"):
        local_grid.predictions(names.deployment).subscribe("version LIKE '1%'", source="topic")
    with pytest.raises(gi.DeploymentError, match="nowhere"):
        local_grid.predictions("nowhere").subscribe()
    local_grid.undeploy(names.deployment)


def test_a_topics_filter_of_unlike_kinds_is_refused_before_anything_is_deployed(
    local_grid: gi.Grid, model: Any, names: Names
) -> None:
    """Its workers would score each batch again and again, as they can't publish it."""
    settings = {"features": names.features, "columns": FEATURES}
    for unlike in ("score > 'high'", "version LIKE '1%'", "scores = 1"):
        with pytest.raises(gi.ConfigError, match=re.escape(repr(unlike))):
            local_grid.deploy(names.deployment, model, **settings, topic={"kind": "topic", "where": unlike})
    with pytest.raises(gi.DeploymentError):
        local_grid.predictions(names.deployment).size()


def test_a_filter_by_keys_is_held_against_the_keys_there_are(local_grid: gi.Grid, model: Any, names: Names) -> None:
    predictions = deploy(local_grid, model, names, "map")
    with predictions.subscribe("__key LIKE 'n%'", timeout=TIMEOUT_S) as subscription:  # no key is known yet
        predictions.predict("none", LOW)
        assert next(subscription).key == "none"
    predictions.predict(17, LOW)
    until(lambda: predictions.size() == 2, "both predictions")
    for unlike in ("__key LIKE 'n%'", "__key > 'a'", "NOT __key = 'none'"):
        with pytest.raises(gi.ConfigError, match="__key is "):
            predictions.subscribe(unlike)
    with predictions.subscribe("__key >= 17 AND __key < 18", timeout=TIMEOUT_S) as subscription:
        predictions.predict(17, HIGH)
        assert next(subscription).key == 17
    local_grid.undeploy(names.deployment)


@by_every_way
def test_a_filter_may_ask_for_one_of_the_scores(local_grid: gi.Grid, model: Any, names: Names, way: str) -> None:
    predictions = deploy(local_grid, model, names, way)
    high = model.classes_.tolist().index("fraud")
    with subscribe(predictions, way, where=f"scores[{high}] >= 0.5 AND scores[2] = null") as subscription:
        predictions.predict("low", LOW)
        predictions.predict("high", HIGH)
        assert next(subscription).key == "high"
    local_grid.undeploy(names.deployment)


@by_every_way
def test_a_regressor_has_no_scores_to_filter_by(local_grid: gi.Grid, names: Names, way: str) -> None:
    model = LinearRegression().fit(np.eye(3), [1.0, 2.0, 3.0])
    predictions = deploy(local_grid, model, names, way, where="scores[0] = null OR score > 1e9")
    with subscribe(predictions, way, where="scores[0] = null AND label = null") as subscription:
        predictions.predict("a", LOW)
        assert next(subscription).key == "a"
    local_grid.undeploy(names.deployment)


# ---- what was missed


@by_every_way
def test_what_is_written_while_cut_off_is_caught_up(apart: Apart, model: Any, names: Names, way: str) -> None:
    deploy(apart.grid, model, names, way)
    with apart.subscriber() as grid, subscribe(grid.predictions(names.deployment), way) as subscription:
        expected = put(apart.grid, names, 200, 0)
        assert keys_of(until_mark(apart.grid, names, subscription)) == dict.fromkeys(expected, 1)
        with apart.proxy.cut_off():
            missed = put(apart.grid, names, 300, 1_000)
        later = put(apart.grid, names, 100, 5_000)
        # The scan finds those of before as well, and they are not delivered again.
        assert until_all(apart.grid, names, subscription, missed | later) == dict.fromkeys(missed | later, 1)
    apart.grid.undeploy(names.deployment)


@pytest.mark.parametrize("way", ["map", "topic"])
def test_a_gap_stands_where_something_was_missed(apart: Apart, model: Any, names: Names, way: str) -> None:
    deploy(apart.grid, model, names, way)
    with apart.subscriber() as grid, subscribe(grid.predictions(names.deployment), way, gaps="yield") as subscription:
        before = put(apart.grid, names, 100, 0)
        while before:  # what has not come by the time of the cut would be missed as well
            before.discard(next(subscription).key)
        with apart.proxy.cut_off():
            missed = put(apart.grid, names, 300, 1_000)
        gap = next(subscription)
        assert isinstance(gap, gi.Gap)
        assert gap.reason == "reconnected"
        assert keys_of([one.key for one in subscription.catch_up(gap)]) >= Counter(missed)
        assert not keys_of(until_mark(apart.grid, names, subscription)), "those that were missed do not come by events"
    apart.grid.undeploy(names.deployment)


def test_a_reliable_topic_is_read_on_without_a_gap(apart: Apart, model: Any, names: Names) -> None:
    deploy(apart.grid, model, names, "reliable")
    with (
        apart.subscriber() as grid,
        subscribe(grid.predictions(names.deployment), "reliable", gaps="yield") as subscription,
    ):
        with apart.proxy.cut_off():
            expected = put(apart.grid, names, 300, 0)
        found = until_mark(apart.grid, names, subscription)
        assert gaps_of(found) == []
        assert keys_of(found) == dict.fromkeys(expected, 1)
    apart.grid.undeploy(names.deployment)


def test_a_reliable_topics_overrun_ring_is_a_gap_that_is_caught_up(apart: Apart, model: Any, names: Names) -> None:
    deploy(apart.grid, model, names, "reliable")
    with (
        apart.subscriber() as grid,
        subscribe(grid.predictions(names.deployment), "reliable") as caught_up,
        subscribe(grid.predictions(names.deployment), "reliable", gaps="yield") as yielded,
    ):
        with apart.proxy.cut_off():
            expected = put(apart.grid, names, 15_000, 0)  # the ring holds 10,000
        assert until_all(apart.grid, names, caught_up, expected) == dict.fromkeys(expected, 1)
        found = until_mark(apart.grid, names, yielded)
        assert [gap.reason for gap in gaps_of(found)] == ["topic overflowed"]
        assert 0 < len(keys_of(found)) < len(expected)
    apart.grid.undeploy(names.deployment)


def test_a_connection_that_falls_silent_is_a_gap_since_its_last_bytes(
    apart: Apart, model: Any, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRID_INFERENCE_HEARTBEAT_S", "0.3")
    monkeypatch.setenv("GRID_INFERENCE_HEARTBEAT_TIMEOUT_S", "2")
    deploy(apart.grid, model, names, "map")
    with apart.subscriber() as grid, subscribe(grid.predictions(names.deployment), "map") as subscription:
        with apart.proxy.silent():
            missed = put(apart.grid, names, 300, 0)
            connections: Any = grid._grid.link.client._connection_manager.active_connections
            until(lambda: not connections, "the end of the silent connection")
        assert until_all(apart.grid, names, subscription, missed) == dict.fromkeys(missed, 1)
    apart.grid.undeploy(names.deployment)


@by_every_way
def test_a_slow_subscriber_gets_a_gap_and_not_all_in_its_memory(
    local_grid: gi.Grid, model: Any, names: Names, way: str
) -> None:
    predictions = deploy(local_grid, model, names, way)
    with (
        subscribe(predictions, way, queue_max=50) as caught_up,
        subscribe(predictions, way, queue_max=50, gaps="yield") as yielded,
    ):
        expected = put(local_grid, names, 600, 0)
        arrivals = yielded._subscription._arrivals
        until(lambda: len(arrivals._items) == 51, "fifty predictions behind a gap")
        first, *others = [next(yielded) for _ in range(51)]
        assert first.reason == "queue overflowed"
        assert {one.key for one in others} < expected
        assert {one.key for one in yielded.catch_up(first)} >= expected - {one.key for one in others}
        assert until_all(local_grid, names, caught_up, expected) == dict.fromkeys(expected, 1)
    local_grid.undeploy(names.deployment)


@by_every_way
def test_a_destroyed_map_or_topic_is_a_gap(local_grid: gi.Grid, model: Any, names: Names, way: str) -> None:
    predictions = deploy(local_grid, model, names, way)
    with subscribe(predictions, way, gaps="yield") as subscription:
        predictions.predict("before", HIGH)
        assert next(subscription).key == "before"
        destroy(local_grid, names, way)
        if way == "reliable":
            local_grid.predictions(names.deployment).predict("refills", HIGH)
        gap = next(subscription)
        assert gap.reason == ("topic lost" if way == "reliable" else "listener registered anew")
        made = predictions.predict("after", HIGH)
        assert made.key in until_mark(local_grid, names, subscription)
    local_grid.undeploy(names.deployment)


def destroy(grid: gi.Grid, names: Names, way: str) -> None:
    name = f"{names.deployment}.predictions"
    client: Any = grid._grid.link.client

    async def of_the_stock_client() -> None:
        proxy = await (client.get_topic(name) if way == "topic" else client.get_reliable_topic(name))
        await proxy.destroy()

    if way == "map":
        grid.features(name).destroy()
    else:
        grid._loop.run(of_the_stock_client())


# ---- members come and go


@pytest.fixture
def pair() -> Iterator[tuple[gi.Grid, gi.Member]]:
    """Two members and a worker on the first; the second one is there to go."""
    config = gi.MemberConfig(cluster_name=f"pair-{uuid.uuid4().hex[:8]}", heap_mb=512)
    with gi.Member.start(config) as first:
        joining = gi.MemberConfig(cluster_name=config.cluster_name, heap_mb=512, join=(first.address,))
        with (
            gi.Member.start(joining) as second,
            Workers(first.address, config.cluster_name, 1),
            gi.connect(first.address, cluster_name=config.cluster_name) as grid,
        ):
            grid.wait_for_workers(1)
            connections: Any = grid._grid.link.client._connection_manager.active_connections
            until(lambda: len(connections) == 2, "a connection to each member")
            yield grid, second


def is_put(grid: gi.Grid, names: Names, columns: Any) -> bool:
    """Whether records were put; while a member dies, what became of a write may not be known."""
    try:
        grid.features(names.features).put_batch(dict(columns), key="key")
    except gi.GridError:
        return False
    return True


def published(grid: gi.Grid, names: Names) -> set[Any]:
    """Keys of the messages that a reliable topic's ring holds."""
    link, ring = grid._grid.link, topics.ring_name(f"{names.deployment}.predictions")
    partition = int(partition_ids(encode_keys([ring]), link.partition_count)[0])
    reader, start, found = Messages(names.deployment, None), 0, set[Any]()
    end = topics.decode_tail(grid._loop.run(link.call(topics.tail_request(ring), partition))) + 1
    while start < end:
        answer = grid._loop.run(link.call(topics.read_ring_request(ring, start, 1, 500), partition))
        page = topics.decode_ring_page(answer)
        found |= {one.prediction.key for one in reader.read([topics.decode_ring_item(item) for item in page.items])}
        start = page.next_sequence
    return found


@by_every_way
def test_two_members_bring_each_prediction_once(
    pair: tuple[gi.Grid, gi.Member], model: Any, names: Names, way: str
) -> None:
    grid, _ = pair
    predictions = deploy(grid, model, names, way)
    with subscribe(predictions, way) as caught_up, subscribe(predictions, way, gaps="yield") as yielded:
        there = put(grid, names, 400, 0)
        assert keys_of(until_mark(grid, names, caught_up)) == dict.fromkeys(there, 1)
        assert not gaps_of(until_mark(grid, names, yielded))
    grid.undeploy(names.deployment)


def test_a_member_that_dies_takes_nothing_along(pair: tuple[gi.Grid, gi.Member], model: Any) -> None:
    grid, second = pair
    ways = {way: Names(f"d-{way}", f"f-{way}") for way in ("map", "topic", "reliable")}
    predictions = {way: deploy(grid, model, names, way) for way, names in ways.items()}
    with (
        subscribe(predictions["map"], "map") as by_map,
        subscribe(predictions["map"], "map", gaps="yield") as map_gaps,
        subscribe(predictions["topic"], "topic", gaps="yield") as topic_gaps,
        subscribe(predictions["reliable"], "reliable") as by_ring,
    ):
        for names in ways.values():
            grid.features(names.features).put_batch(batch(300, 5, 5_000), key="key")
        second.kill()
        for names in ways.values():
            until(lambda: is_put(grid, names, batch(300, 6, 5_300)), "a put that is acknowledged")  # noqa: B023
        expected = dict[str, set[Any]]()
        for way, mine in predictions.items():
            until(lambda: len(mine.get_batch(np.arange(5_000, 5_600))) == 600, "the predictions")  # noqa: B023
            expected[way] = matching(mine, np.arange(5_000, 5_600))
        until_these(by_map, expected["map"])
        assert next(item for item in map_gaps if isinstance(item, gi.Gap)).reason == "member left"
        assert [gap.reason for gap in gaps_of(until_mark(grid, ways["topic"], topic_gaps))] == ["member left"]
        # A worker that could not write all of a batch does not publish it: the map is the truth, not the topic.
        until_these(by_ring, expected["reliable"] & published(grid, ways["reliable"]))


def test_a_member_that_joins_is_heard(model: Any, names: Names) -> None:
    config = gi.MemberConfig(cluster_name=f"grow-{uuid.uuid4().hex[:8]}", heap_mb=512)
    with (
        gi.Member.start(config) as first,
        Workers(first.address, config.cluster_name, 1),
        gi.connect(first.address, cluster_name=config.cluster_name) as grid,
    ):
        predictions = deploy(grid, model, names, "map")
        joining = gi.MemberConfig(cluster_name=config.cluster_name, heap_mb=512, join=(first.address,))
        with (
            subscribe(predictions, "map") as caught_up,
            subscribe(predictions, "map", gaps="yield") as yielded,
            gi.Member.start(joining),
        ):
            expected = put(grid, names, 300, 0)
            assert until_all(grid, names, caught_up, expected) == dict.fromkeys(expected, 1)
            gap = next(item for item in yielded if isinstance(item, gi.Gap))
            assert gap.reason == "member joined"
            more = put(grid, names, 300, 1_000)
            assert until_all(grid, names, caught_up, more) == dict.fromkeys(more, 1)


# ---- the end


@by_every_way
def test_closing_ends_the_iteration_of_others(local_grid: gi.Grid, model: Any, names: Names, way: str) -> None:
    predictions = deploy(local_grid, model, names, way)
    with subscribe(predictions, way) as subscription:
        found = list[Any]()
        reading = threading.Thread(target=lambda: found.extend(subscription))
        reading.start()
        predictions.predict(1, HIGH)
        until(lambda: len(found) == 1 or not reading.is_alive(), "the prediction")
        subscription.close()
        reading.join(TIMEOUT_S / 2)
        assert not reading.is_alive()
        subscription.close()
        assert list(subscription) == []
    local_grid.undeploy(names.deployment)


def test_closing_the_grid_ends_the_iteration(local_grid: gi.Grid, model: Any, names: Names) -> None:
    deploy(local_grid, model, names, "map")
    grid = gi.connect(local_grid.address, cluster_name=local_grid.cluster_name)
    subscription = grid.predictions(names.deployment).subscribe()
    reading = threading.Thread(target=lambda: list(subscription))
    reading.start()
    grid.close()
    reading.join(TIMEOUT_S / 2)
    assert not reading.is_alive()
    assert list(subscription) == []
    local_grid.undeploy(names.deployment)


def test_a_cluster_that_is_gone_for_good_is_an_error_and_no_silence(model: Any, names: Names) -> None:
    config = gi.MemberConfig(cluster_name=f"gone-{uuid.uuid4().hex[:8]}", heap_mb=512)
    with (
        gi.Member.start(config) as member,
        Workers(member.address, config.cluster_name, 1),
        gi.connect(member.address, cluster_name=config.cluster_name, connect_timeout_s=2) as grid,
    ):
        predictions = deploy(grid, model, names, "map")
        with predictions.subscribe() as by_map, predictions.subscribe(source="topic") as by_topic:
            predictions.predict(1, HIGH)
            assert next(by_map).key == next(by_topic).key == 1
            member.kill()
            for subscription in (by_map, by_topic):
                with pytest.raises(gi.ConnectionLostError, match="no member could be reached again") as lost:
                    next(subscription)
                assert "subscribe again" in lost.value.remedy

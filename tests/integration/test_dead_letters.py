"""Dead letters in an operator's hands, on a real member: chosen, explained, scored anew, given up; races with writers.

Records of a schema that the cluster does not know are refused until somebody makes it known: a reason that goes away.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

import grid_inference as gi
from grid_inference import aio
from grid_inference.api.dead_letters import DROPPED, OTHER_REMEDY, REMEDIES, Replay, _Choice, _marked
from grid_inference.api.dead_letters import DeadLetters as AsyncDeadLetters
from grid_inference.grid.maps import GridMap
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import encode_columns, infer_schema
from grid_inference.wire.keys import encode_keys
from tests.integration.conftest import FEATURES, SETTLE_S, Names, batch, until

NAN = {"a": 0.5, "b": float("nan"), "c": 0.5}
GOOD = dict.fromkeys(FEATURES, 0.9)


def on_a_link(grid: gi.Grid, work: Callable[[aio.Grid], Awaitable[Any]]) -> Any:
    """Run something by an asynchronous grid of its own."""

    async def connected() -> Any:
        async with await aio.connect(grid._grid.config) as own:
            return await work(own)

    return asyncio.run(connected())


def put_unknown(grid: gi.Grid, map_name: str, columns: dict[str, Any]) -> None:
    """Put records whose schema nobody has made known."""
    columns = dict(columns)
    keys = encode_keys(columns.pop("key"))
    values = encode_columns(infer_schema(map_name, columns), columns)

    async def put(own: aio.Grid) -> None:
        await GridMap(own.link, map_name).put_batch(keys, values)

    on_a_link(grid, put)


def make_known(grid: gi.Grid, map_name: str, columns: dict[str, Any]) -> None:
    schema = infer_schema(map_name, {name: columns[name] for name in columns if name != "key"})
    on_a_link(grid, lambda own: own.link.send_schema(schema))


def complete(grid: gi.Grid, names: Names) -> gi.Verdict:
    verdict = grid.verify(names.deployment, SETTLE_S)
    assert verdict.complete, verdict
    return verdict


@pytest.fixture
def refused(local_grid: gi.Grid, deployed: gi.Predictions, names: Names) -> gi.DeadLetters:
    """Two records with a gap, one without a field, one that is scored."""
    features = local_grid.features(names.features)
    for key, record in {1: NAN, 2: NAN, 3: {"a": 1.0, "b": 2.0}, 4: GOOD}.items():
        features.put(key, record)
    assert complete(local_grid, names).dead_letters == 3
    return deployed.dead_letters


def test_they_are_counted_and_chosen(refused: gi.DeadLetters) -> None:
    assert refused.counts() == {"NAN_FEATURE": 2, "MISSING_FEATURE": 1}
    assert refused.counts(cause="NAN_FEATURE") == {"NAN_FEATURE": 2}
    assert refused.counts(keys=[1, 3, 4, 99]) == {"NAN_FEATURE": 1, "MISSING_FEATURE": 1}
    assert refused.counts(keys=[3], cause="NAN_FEATURE") == {}
    times = [letter.failed_at_us for letter in refused.newest()]
    assert times == sorted(times, reverse=True)
    assert len(times) == 3
    assert [letter.failed_at_us for letter in refused.newest(1)] == times[:1]
    newest = datetime.fromtimestamp(times[0] / 1e6, UTC)
    assert refused.counts(since=newest + timedelta(seconds=1)) == {}
    assert sum(refused.counts(since=newest - timedelta(hours=1)).values()) == 3


def test_one_is_explained(local_grid: gi.Grid, refused: gi.DeadLetters, names: Names) -> None:
    found = refused.explain(3)
    assert found is not None
    assert (found.letter.cause, found.record, found.now) == ("MISSING_FEATURE", {"a": 1.0, "b": 2.0}, "unchanged")
    assert found.remedy == REMEDIES["MISSING_FEATURE"]
    assert (found.head, found.unreadable) == ("", "")
    assert refused.explain(4) is None
    local_grid.pause(names.deployment)
    local_grid.features(names.features).put(1, GOOD)
    local_grid.features(names.features).remove(2)
    states = [one.now for one in map(refused.explain, (1, 2)) if one]
    assert states == ["changed", "gone"]
    local_grid.resume(names.deployment)


def test_one_that_can_not_be_read_is_shown_in_hex(local_grid: gi.Grid, deployed: gi.Predictions, names: Names) -> None:
    put_unknown(local_grid, names.features, batch(1))
    complete(local_grid, names)
    found = deployed.dead_letters.explain(0)
    assert found is not None
    assert (found.letter.cause, found.record) == ("UNKNOWN_SCHEMA", None)
    assert found.letter.record.hex().startswith(found.head)
    assert len(found.head) == 2 * min(64, len(found.letter.record))
    assert "schema" in found.unreadable


def test_thousands_are_scored_once_their_reason_is_gone(
    local_grid: gi.Grid, deployed: gi.Predictions, names: Names
) -> None:
    columns = batch(6_000)
    put_unknown(local_grid, names.features, columns)
    assert complete(local_grid, names).dead_letters == 6_000
    make_known(local_grid, names.features, columns)
    done = deployed.dead_letters.replay(cause="UNKNOWN_SCHEMA", wait_s=SETTLE_S)
    assert done == Replay(replayed=6_000)
    verdict = complete(local_grid, names)
    assert (verdict.predictions, verdict.dead_letters) == (6_000, 0)


def test_a_listener_hears_of_a_replay(local_grid: gi.Grid, model: Any, names: Names) -> None:
    listening = {"trigger": "listener", "reconcile_s": 3600.0}
    local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, **listening)
    columns = batch(100)
    put_unknown(local_grid, names.features, columns)
    assert complete(local_grid, names).dead_letters == 100
    make_known(local_grid, names.features, columns)
    done = local_grid.predictions(names.deployment).dead_letters.replay(every=True, wait_s=SETTLE_S)
    assert done == Replay(replayed=100)
    assert complete(local_grid, names).predictions == 100
    local_grid.undeploy(names.deployment)


def test_what_is_refused_again_has_a_new_dead_letter(
    local_grid: gi.Grid, refused: gi.DeadLetters, names: Names
) -> None:
    before = refused.get(1)
    done = refused.replay([1, 4, 99], wait_s=SETTLE_S)
    assert (done.replayed, done.unknown, done.waiting) == (1, [4, 99], 0)
    after = refused.get(1)
    assert before is not None
    assert after is not None
    assert (after.cause, after.input_digest, after.version) == (before.cause, before.input_digest, before.version)
    assert after.failed_at_us > before.failed_at_us
    assert complete(local_grid, names).dead_letters == 3


def test_records_that_changed_or_went_since_the_list(
    local_grid: gi.Grid, refused: gi.DeadLetters, names: Names
) -> None:
    features = local_grid.features(names.features)
    local_grid.pause(names.deployment)
    features.put(1, GOOD)
    features.remove(2)
    done = refused.replay(every=True)
    assert (done.replayed, done.gone, done.changed) == (2, 1, 0)
    assert done.waiting == 2
    assert {letter.key: letter.waiting for letter in refused.newest()} == {1: True, 3: True}
    assert features.get(1) == GOOD
    local_grid.resume(names.deployment)
    verdict = complete(local_grid, names)
    assert verdict.predictions == 2
    until(lambda: refused.counts() == {"MISSING_FEATURE": 1}, "the scoring of both")
    assert refused.newest()[0].version == 1


def test_what_changes_between_reading_and_writing_is_left_alone(
    local_grid: gi.Grid, refused: gi.DeadLetters, names: Names
) -> None:
    """A page of dead letters that is out of date by the time it is handled."""
    stale: list[Any] = []

    async def look(own: aio.Grid) -> None:
        letters = own.predictions(names.deployment).dead_letters
        stale.extend([page async for page in letters._pages(_Choice.of([1, 2, 3], None, None))])

    on_a_link(local_grid, look)
    local_grid.features(names.features).put(1, GOOD)
    local_grid.features(names.features).put(2, NAN | {"a": 0.25})
    until(lambda: refused.counts() == {"NAN_FEATURE": 1, "MISSING_FEATURE": 1}, "the scoring of the new values")

    async def handle(own: aio.Grid) -> Replay:
        done = Replay()
        await own.predictions(names.deployment).dead_letters._ask_again(stale[0], done)
        return done

    assert on_a_link(local_grid, handle) == Replay(replayed=1, changed=2)
    assert local_grid.features(names.features).get(1) == GOOD
    assert complete(local_grid, names).dead_letters == 2


def test_no_newer_value_is_overwritten_while_somebody_writes(
    local_grid: gi.Grid, deployed: gi.Predictions, names: Names
) -> None:
    """Replays run all the time while the same keys are written, good and bad by turns."""
    keys, rounds, replayed = np.arange(300), 40, 0
    features = local_grid.features(names.features)

    def write() -> None:
        turn = 0
        while turn < rounds or (not replayed and turn < 100 * rounds):
            columns = {name: np.full(keys.size, float(turn)) for name in FEATURES}
            columns["b"] = np.where((keys + turn) % 2, float(turn), np.nan)
            features.put_batch(columns | {"key": keys}, key="key")
            turn += 1

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        replayed += deployed.dead_letters.replay(every=True).replayed
    writer.join()
    verdict = complete(local_grid, names)
    assert (verdict.predictions, verdict.dead_letters) == (150, 150)
    assert replayed > 0
    assert len(set(features.get_batch(keys)["a"].tolist())) == 1
    until(lambda: not any(letter.waiting for letter in deployed.dead_letters.newest()), "the end of all replays")


def test_dropped_ones_are_out_of_sight_and_stay_their_records_result(
    local_grid: gi.Grid, refused: gi.DeadLetters, names: Names
) -> None:
    causes = {letter.key: letter.cause for letter in refused.newest()}
    done = refused.drop([1, 2, 4])
    assert (done.dropped, done.changed, done.unknown) == (2, 0, [4])
    assert complete(local_grid, names).dead_letters == 3
    assert {letter.key for letter in refused.newest()} == causes.keys() - {1, 2}
    assert refused.counts(cause=DROPPED) == {DROPPED: 2}
    given_up = refused.get(1)
    assert given_up is not None
    assert given_up.message.startswith(f"{causes[1]}: ")
    # A new value is scored as ever, and a removal takes the dead letter along.
    local_grid.features(names.features).put(1, GOOD)
    local_grid.features(names.features).remove(2)
    verdict = complete(local_grid, names)
    assert (verdict.records, verdict.dead_letters) == (3, 1)
    until(lambda: refused.counts(cause=DROPPED) == {}, "the end of both")
    assert refused.drop(every=True).dropped == 1
    assert refused.drop(every=True).dropped == 0
    assert refused.replay(cause=DROPPED, wait_s=10).replayed == 1
    assert refused.counts(cause=DROPPED) == {}


def test_nothing_said_is_not_everything(refused: gi.DeadLetters) -> None:
    for act in (refused.replay, refused.drop):
        with pytest.raises(gi.ConfigError, match="which dead letters") as caught:
            act()
        assert "every" in caught.value.remedy


def test_every_cause_has_a_remedy() -> None:
    assert all(remedy != OTHER_REMEDY for remedy in REMEDIES.values())
    assert {"MISSING_FEATURE", "WRONG_TYPE", "WRONG_VALUE", "NAN_FEATURE", "BAD_OUTPUT"} <= REMEDIES.keys()


@pytest.fixture
def small_journal() -> Iterator[gi.Grid]:
    """A journal of ten events a partition."""
    config = gi.MemberConfig(cluster_name=f"letters-{uuid.uuid4().hex[:8]}", heap_mb=512, journal_capacity=310)
    with gi.local(workers=1, member=config) as grid:
        yield grid


def test_a_replay_that_died_half_way_is_made_good_by_the_next_scan(
    small_journal: gi.Grid, model: Any, names: Names
) -> None:
    """Marked and never touched; then touched, and the event overwritten before anybody read it."""
    grid = small_journal
    grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
    columns = batch(200)
    put_unknown(grid, names.features, columns)
    assert complete(grid, names).dead_letters == 200
    grid.pause(names.deployment)

    async def mark(own: aio.Grid) -> None:
        letters: AsyncDeadLetters = own.predictions(names.deployment).dead_letters
        found = await letters._letters()
        async for page in letters._pages(_Choice.of(range(100), None, None)):
            marked = Blobs.of([_marked(value) for value in page.values.tolist()])
            assert (await found.replace_batch_if_same(page.keys, page.values, marked)).all()

    on_a_link(grid, mark)
    verdict = grid.verify(names.deployment, 0)
    assert (verdict.outdated, verdict.missing, verdict.stale, verdict.doubles) == (100, 0, 0, 0)
    assert grid.predictions(names.deployment).dead_letters.replay(range(100, 200)).waiting == 100
    make_known(grid, names.features, columns)
    grid.features(names.features).put_batch(batch(5_000, seed=1, first_key=1_000), key="key")
    grid.resume(names.deployment)
    verdict = complete(grid, names)
    assert verdict.records == 5_200
    letters = grid.predictions(names.deployment).dead_letters
    until(lambda: not letters.counts(), "the scoring of what a scan has found")
    assert complete(grid, names).predictions == 5_200

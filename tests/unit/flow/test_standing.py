"""Which result of a record is right, as a table: every combination of what may stand in the two maps."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from grid_inference.flow.dead_keys import DeadKeys
from grid_inference.flow.events import Events
from grid_inference.flow.reconcile import Counting
from grid_inference.flow.split import places
from grid_inference.flow.standing import FOREIGN, Known, Results, Standing, Stored, Whose, is_readable
from grid_inference.records import DEAD_LETTER, PREDICTION
from grid_inference.wire import layout
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import encode_record
from grid_inference.wire.json.values import encode_json
from grid_inference.wire.keys import encode_keys
from grid_inference.wire.schema import FieldKind, Schema

WHOSE = Whose("d", "m")
TEXT = encode_keys(['{"a":1}'])[0]
JSON = TEXT[:4] + layout.TYPE_JSON.to_bytes(4, "big", signed=True) + TEXT[8:]
"""The same payload as the text's, by another type."""


def prediction(digest: int, **fields: Any) -> bytes:
    facts = {"deployment": "d", "model": "m", "version": 1, "input_digest": digest, "scored_at_us": 50}
    return encode_record(PREDICTION, {**facts, "score": 0.5, "label": "x", "scores": [0.5], "owner_epoch": 1, **fields})


def letter(digest: int, record: bytes = JSON, **fields: Any) -> bytes:
    facts = {"deployment": "d", "model": "m", "version": 1, "input_digest": digest, "failed_at_us": 50}
    held = np.frombuffer(record, np.int8)
    return encode_record(DEAD_LETTER, {**facts, "cause": "C", "message": "", "record": held, **fields})


def known(values: list[bytes], schema: Schema, whose: Whose = WHOSE) -> Known:
    """Results under the keys 0, 1, ..."""
    if not values:
        return Known.of([])
    return Known.of([(encode_keys(range(len(values))), Stored.of(Blobs.of(values), schema, whose))])


def standing(
    record: bytes, scored: bytes | None, refused: bytes | None, whose: Whose = WHOSE, *, only_new: bool = False
) -> Standing:
    """How one record stands."""
    results = Results(
        known([scored] if scored else [], PREDICTION, whose), known([refused] if refused else [], DEAD_LETTER, whose)
    )
    records = Events.of(encode_keys([0]), Blobs.of([record]))
    return Standing(int(results.standing(records, (1,), only_new=only_new)[0]))


DIGEST = int(Events.of(encode_keys([0]), Blobs.of([JSON])).digests[0])
RIGHT, STALE, OTHER_MODEL = prediction(DIGEST), prediction(DIGEST + 1), prediction(DIGEST, model="n")
OTHER_VERSION, OTHER_DEPLOYMENT = prediction(DIGEST, version=2), prediction(DIGEST, deployment="e")
REFUSED, STALE_LETTER, WAITING = letter(DIGEST), letter(DIGEST + 1), letter(DIGEST, version=0)


@pytest.mark.parametrize(
    ("scored", "refused", "expected"),
    [
        (None, None, Standing.MISSING),
        (RIGHT, None, Standing.RIGHT),
        (STALE, None, Standing.STALE),
        (OTHER_MODEL, None, Standing.OUTDATED),
        (OTHER_VERSION, None, Standing.OUTDATED),
        (OTHER_DEPLOYMENT, None, Standing.MISSING),
        (prediction(DIGEST, version=-7), None, Standing.OUTDATED),
        (None, REFUSED, Standing.RIGHT),
        (None, STALE_LETTER, Standing.MISSING),
        (None, letter(DIGEST, model="n"), Standing.OUTDATED),
        (None, letter(DIGEST, deployment="e"), Standing.MISSING),
        (None, WAITING, Standing.OUTDATED),
        (None, letter(DIGEST, TEXT), Standing.MISSING),
        (RIGHT, letter(DIGEST, deployment="e"), Standing.RIGHT),
        *((one, other, Standing.DOUBLE) for one, other in itertools.product((RIGHT, STALE), (REFUSED, STALE_LETTER))),
        (RIGHT, WAITING, Standing.DOUBLE),
    ],
)
def test_a_record_has_just_one_result(scored: bytes | None, refused: bytes | None, expected: Standing) -> None:
    assert standing(JSON, scored, refused) is expected


def test_the_type_of_a_value_counts() -> None:
    assert Events.of(encode_keys([0]), Blobs.of([TEXT])).digests[0] == DIGEST
    assert standing(TEXT, RIGHT, None) is Standing.STALE
    assert standing(TEXT, None, letter(DIGEST, TEXT)) is Standing.RIGHT
    assert standing(TEXT, None, letter(DIGEST, JSON)) is Standing.MISSING
    assert is_readable(Blobs.of([TEXT, JSON, b"1234567", b"", bytes(8)])).tolist() == [False, True, False, False, False]


@pytest.mark.parametrize(
    ("scored", "refused", "expected"),
    [
        (None, None, Standing.OLDER),
        (STALE, None, Standing.STALE),
        (prediction(DIGEST + 1, scored_at_us=9), None, Standing.OLDER),
        (prediction(DIGEST, scored_at_us=9), None, Standing.OLDER),
        (RIGHT, letter(DIGEST, failed_at_us=9), Standing.DOUBLE),
        (prediction(DIGEST, scored_at_us=9), letter(DIGEST, failed_at_us=9), Standing.OLDER),
    ],
)
def test_where_only_what_is_new_counts(scored: bytes | None, refused: bytes | None, expected: Standing) -> None:
    assert standing(JSON, scored, refused, Whose("d", "m", since_us=10), only_new=True) is expected


def test_a_canary_counts_for_its_share_of_the_keys() -> None:
    keys, count = encode_keys(range(200)), 200
    records = Events.of(keys, Blobs.of([JSON] * count))
    by_canary = Results(known([prediction(DIGEST, version=2)] * count, PREDICTION), Known.of([]))
    theirs = places(records.identities) < 0.3
    found = Counting((1, 2), (2, 0.3)).standing(by_canary, records)
    assert (found == np.where(theirs, Standing.RIGHT, Standing.OUTDATED)).all()
    assert (Counting((1, 2)).standing(by_canary, records) == Standing.RIGHT).all()
    by_champion = Results(known([prediction(DIGEST)] * count, PREDICTION), Known.of([]))
    assert (Counting((1, 2), (2, 0.3)).standing(by_champion, records) == Standing.RIGHT).all()


def test_what_is_no_result_of_ours_stands_for_nothing_and_is_no_orphan() -> None:
    theirs = Schema.of("orders", {"deployment": FieldKind.STRING, "input_digest": FieldKind.INT64})
    stored = Stored.of(Blobs.of([encode_record(theirs, {"deployment": "d", "input_digest": DIGEST})]), theirs, WHOSE)
    assert stored.versions.tolist() == [FOREIGN]
    found = known([RIGHT, OTHER_DEPLOYMENT, OTHER_MODEL], PREDICTION)
    results = Results(found, known([REFUSED], DEAD_LETTER))
    results.standing(Events.of(encode_keys([0]), Blobs.of([JSON])), (1,))
    assert results.orphans(predictions=True).tolist() == encode_keys([2]).tolist()
    assert len(results.orphans(predictions=False)) == 0
    older = known([prediction(DIGEST, scored_at_us=9)], PREDICTION, Whose("d", "m", since_us=10))
    assert len(older.orphans()) == 0


def test_texts_of_results_are_compared_whole() -> None:
    values = Blobs.of([prediction(1, model=one) for one in ("m", "", "mm", "n", "é")])
    assert Stored.of(values, PREDICTION, WHOSE).versions.tolist() == [1, -1, -1, -1, -1]
    assert Stored.of(values, PREDICTION, Whose("d", "é")).versions.tolist() == [-1, -1, -1, -1, 1]
    assert Stored.of(values, PREDICTION, Whose("x", "m")).versions.tolist() == [FOREIGN] * 5
    assert encode_json({"a": 1})[4:8] == layout.TYPE_JSON.to_bytes(4, "big", signed=True)


def test_keys_with_a_dead_letter_are_known_until_it_is_removed() -> None:
    dead, keys = DeadKeys(), encode_keys(range(6))
    partitions = np.array([0, 0, 1, 1, 2, 2], np.int32)
    assert dead.rows_among(keys, partitions).size == 0
    dead.set(0, keys.take(np.array([0, 1])))
    dead.add(keys.take(np.array([2, 4])), partitions[[2, 4]])
    assert dead.rows_among(keys, partitions).tolist() == [0, 1, 2, 4]
    dead.discard(keys.take(np.array([0, 4, 5])), partitions[[0, 4, 5]])
    assert dead.rows_among(keys, partitions).tolist() == [1, 2]
    dead.set(0, Blobs.empty())
    assert dead.rows_among(keys, partitions).tolist() == [2]
    assert dead.rows_among(keys, np.zeros(6, np.int32)).size == 0


def test_a_value_that_has_ended_who_scored_it_is_known_by_its_dead_letter() -> None:
    causes = ["MODEL_CRASHED", "MODEL_TIMEOUT", "MODEL_ERROR", "MODEL_CRASHED"]
    letters = [letter(DIGEST, cause=cause, model="before") for cause in causes[:3]] + [
        letter(DIGEST + 1, cause=causes[3])
    ]
    results = Results(known([], PREDICTION), known(letters, DEAD_LETTER))
    records = Events.of(encode_keys(range(5)), Blobs.of([JSON] * 5))
    assert results.deadly(records).tolist() == [True, True, False, False, False]

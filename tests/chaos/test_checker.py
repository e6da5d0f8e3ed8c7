"""The judge is judged: each sort of damage is planted into a good end, and must be found."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from grid_inference.wire import digest as described
from tests.chaos.checker import (
    AtWork,
    Expected,
    Histories,
    PositionSeen,
    Predicted,
    Refused,
    Stored,
    Told,
    Verdict,
    Write,
    check,
    check_told,
    duplicates,
    regressions,
    standing,
)
from tests.chaos.digest import digest_of
from tests.chaos.log import WriteLog, histories, read_log
from tests.chaos.watch import LateWrites
from tests.chaos.workload import Form

VECTORS = re.findall(r"^ {4}(\(nothing\)|[0-9a-f]+) +(-?\d+)$", described.__doc__ or "", re.MULTILINE)
KEYS = range(10)
POISON = 9
MODEL, SINCE_US = "lr", 1_000
PARTITIONS = 31


class End:
    """A good end: ten keys of two writes each, the last one refused; key 7 was removed."""

    def __init__(self) -> None:
        self.histories: Histories = {
            key: [Write(1, Form.PLAIN, acknowledged=True), Write(2, Form.PLAIN, acknowledged=True)] for key in KEYS
        }
        self.histories[7].append(Write(3, None, acknowledged=True))
        self.histories[POISON][1] = Write(2, Form.NAN, acknowledged=True)
        self.records = {key: Stored(2, Form.PLAIN, 100 + key) for key in KEYS if key != 7}
        self.records[POISON] = Stored(2, Form.NAN, 100 + POISON)
        good = [key for key in self.records if key != POISON]
        self.expected = {key: Expected(key / 10, "high") for key in good}
        made = {"scored_at_us": SINCE_US + 1, "model": MODEL}
        self.predictions = {key: Predicted(100 + key, key / 10, "high", **made) for key in good}
        self.dead_letters = {POISON: Refused(100 + POISON, **made)}
        self.at_work = AtWork(MODEL, since_us=SINCE_US)

    def found(self) -> dict[str, int]:
        ends = (self.records, self.predictions, self.dead_letters, self.expected)
        return dict(check(self.histories, *ends, self.at_work).found)


@pytest.fixture
def end() -> End:
    return End()


def test_a_good_end_is_good(end: End) -> None:
    assert end.found() == {}


def test_a_lost_prediction(end: End) -> None:
    del end.predictions[3]
    assert end.found() == {"lost": 1}


def test_a_lost_dead_letter(end: End) -> None:
    end.dead_letters.clear()
    assert end.found() == {"lost": 1}


def test_a_stale_prediction(end: End) -> None:
    end.predictions[3] = replace(end.predictions[3], digest=5)
    assert end.found() == {"stale": 1}


def test_a_stale_dead_letter(end: End) -> None:
    end.dead_letters[POISON] = Refused(5)
    assert end.found() == {"stale": 1}


def test_a_dead_letter_left_beside_its_successor(end: End) -> None:
    end.dead_letters[3] = Refused(5)
    assert end.found() == {"double": 1}


def test_a_prediction_left_beside_the_dead_letter_of_its_successor(end: End) -> None:
    end.predictions[POISON] = Predicted(5, 0.5, "high", 1, SINCE_US + 1, MODEL)
    assert end.found() == {"double": 1}


def test_two_results_of_one_value(end: End) -> None:
    end.dead_letters[3] = replace(end.dead_letters[POISON], digest=103)
    assert end.found() == {"double": 1}


def test_two_results_of_which_neither_is_right(end: End) -> None:
    end.predictions[3] = replace(end.predictions[3], digest=5)
    end.dead_letters[3] = Refused(5)
    assert end.found() == {"stale": 1}


@pytest.mark.parametrize("change", [{"model": "other"}, {"scored_at_us": SINCE_US - 1}])
def test_a_result_of_what_was_deployed_before(end: End, change: dict[str, str | int]) -> None:
    end.predictions[3] = replace(end.predictions[3], **change)
    end.dead_letters[POISON] = replace(end.dead_letters[POISON], **change)
    assert end.found() == {"outdated": 2}


def test_a_score_of_the_other_model_of_that_name_and_number(end: End) -> None:
    end.predictions[3] = replace(end.predictions[3], score=0.35)
    assert end.found() == {"wrong": 1}


def test_an_orphan(end: End) -> None:
    end.predictions[7] = Predicted(107, 0.7, "high")
    end.dead_letters[7] = Refused(107)
    assert end.found() == {"orphan": 2}


def test_an_invented_prediction(end: End) -> None:
    end.predictions[11] = Predicted(111, 0.7, "high")
    assert end.found() == {"invented": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"score": 0.3 + 1e-11},
        {"label": "low"},
        {"label": None},
        {"score": float("nan")},
        {"version": 2},
        {"version": 0},
    ],
)
def test_a_wrong_prediction(end: End, change: dict[str, float | str | None]) -> None:
    end.predictions[3] = replace(end.predictions[3], **change)
    assert end.found() == {"wrong": 1}


def test_predictions_are_held_against_the_version_that_they_name(end: End) -> None:
    end.predictions[3] = replace(end.predictions[3], version=2, score=0.35)
    end.expected[3] = Expected(0.35, "high", version=2)
    assert end.found() == {}
    end.predictions[3] = replace(end.predictions[3], score=0.3)
    assert end.found() == {"wrong": 1}


def test_a_score_within_the_tolerance(end: End) -> None:
    end.predictions[3] = replace(end.predictions[3], score=0.3 + 1e-13)
    assert end.found() == {}


def test_a_good_record_that_was_refused_and_a_bad_one_that_was_scored(end: End) -> None:
    end.dead_letters = {3: replace(end.dead_letters[POISON], digest=103)}
    del end.predictions[3]
    end.predictions[POISON] = Predicted(100 + POISON, 0.5, "high", 1, SINCE_US + 1, MODEL)
    assert end.found() == {"refused": 1, "accepted": 1}


def test_an_acknowledged_write_that_is_gone_or_older(end: End) -> None:
    del end.records[3], end.predictions[3]
    end.records[4] = replace(end.records[4], seq=1)
    assert end.found() == {"lost_write": 2}


def test_a_record_that_nobody_wrote(end: End) -> None:
    end.records[3] = replace(end.records[3], genuine=False)
    assert end.found() == {"foreign": 1}


def test_indeterminate_writes_may_stand_or_not(end: End) -> None:
    end.histories[3].append(Write(3, Form.PLAIN, acknowledged=False))
    assert end.found() == {}
    end.records[3] = replace(end.records[3], seq=3)
    assert end.found() == {}
    end.histories[3].append(Write(4, Form.PLAIN, acknowledged=True))
    assert end.found() == {"lost_write": 1}


def test_a_key_of_which_nothing_was_acknowledged_may_be_absent() -> None:
    unsure = Write(1, Form.PLAIN, acknowledged=False)
    assert {write.form for write in standing([unsure])} == {None, Form.PLAIN}
    assert standing([unsure, replace(unsure, seq=2, acknowledged=True)])[0].seq == 2


def told(**changes: Any) -> dict[str, int]:
    verdict = Verdict()
    check_told(verdict, replace(Told("d", journaled=True, owned=PARTITIONS, lag=0), **changes), PARTITIONS)
    return dict(verdict.found)


def test_what_is_said_in_the_end() -> None:
    assert told() == {}
    assert told(owned=PARTITIONS + 2) == told(owned=PARTITIONS - 1) == {"owned": 1}
    assert told(lag=3) == told(lag=None) == {"lag": 1}
    assert told(lag=None, journaled=False) == {}
    assert told(behind=("partition 3", "partition 4")) == {"behind": 2}
    assert told(incomplete="missing 1") == {"incomplete": 1}
    assert told(failures=("w: no",)) == {"failing": 1}


def test_duplicates_on_a_topic() -> None:
    assert duplicates([1, 2, 3]) == 0
    assert duplicates([1, 2, 1, 3, 1]) == 2


def test_a_position_that_went_back() -> None:
    seen = [PositionSeen("d/1", 1, 10, 0, 50.0), PositionSeen("d/2", 1, 5, 0, 50.0), PositionSeen("d/1", 1, 8, 0, 50.5)]
    assert regressions(seen) == [(seen[0], seen[2])]
    assert not regressions([*seen[:2], replace(seen[2], gaps=1)])
    assert not regressions([*seen[:2], replace(seen[2], epoch=2)])
    assert not regressions([*seen[:2], replace(seen[2], generation=2)])
    assert not regressions([*seen, PositionSeen("d/1", 1, 9, 1, 85.0)]), "the loss of a member was told later"
    assert regressions([*seen, PositionSeen("d/1", 1, 9, 1, 95.0)]), "another gap, long after"
    assert not regressions([replace(seen[0], gaps=-1, at_s=20.0), *seen]), "it took a while to reconcile"


def test_a_late_write_stands_until_it_is_repaired() -> None:
    watch = LateWrites()
    watch.written(1, b"k", 1, 11, 0.0)
    watch.written(1, b"k", 2, 12, 10.0)
    assert (watch.late, watch.until(11.0)) == (0, 0.0)
    watch.written(1, b"k", 1, 11, 13.0)
    assert (watch.late, watch.overlap_s_max, watch.until(15.0)) == (1, 3.0, 2.0)
    watch.written(1, b"k", 2, 12, 17.0)
    assert watch.until(99.0) == 4.0


def test_a_late_write_of_the_newest_value_is_acquitted() -> None:
    watch = LateWrites()
    watch.written(1, b"k", 2, 12, 10.0)
    watch.written(1, b"k", 1, 13, 13.0)
    watch.acquit(b"k", 11)
    assert watch.suspects() == {b"k": 13}
    watch.acquit(b"k", 13)
    assert (watch.standing, watch.until(99.0)) == (0, 0.0)


def test_an_owner_that_was_replaced_must_not_have_the_last_word() -> None:
    watch = LateWrites()
    watch.written(1, b"k", 2, 12, 10.0)
    assert watch.deposed() == []
    watch.written(1, b"other", 1, 13, 29.0)
    assert watch.deposed() == [], "it was under way"
    watch.written(1, b"other", 1, 15, 31.0)
    assert watch.deposed() == [1]
    watch.written(1, b"k", 3, 14, 32.0)
    assert watch.deposed() == []


def test_another_cluster_counts_its_owners_anew() -> None:
    watch = LateWrites()
    watch.written(1, b"k", 2, 12, 10.0)
    watch.forget()
    watch.written(1, b"k", 1, 13, 50.0)
    assert (watch.late, watch.standing, watch.deposed()) == (0, 0, [])


def test_a_late_write_of_the_same_value_leaves_nothing_older() -> None:
    watch = LateWrites()
    watch.written(1, b"k", 2, 12, 10.0)
    watch.written(1, b"k", 1, 12, 13.0)
    assert (watch.late, watch.until(99.0)) == (1, 0.0)


@pytest.mark.parametrize(("payload", "expected"), VECTORS)
def test_the_digest_is_the_one_described(payload: str, expected: str) -> None:
    assert digest_of(bytes(8) + bytes.fromhex("" if payload == "(nothing)" else payload)) == int(expected)


def test_the_log_keeps_order_and_clears(tmp_path) -> None:
    with closing(WriteLog(tmp_path / "log")) as log:
        log.append(np.array([1, 2]), [1, 1], [Form.PLAIN, Form.PLAIN], [1, 0])
        log.append([-1], [2], Form.CLEARED, 1)
        log.append([1], [3], Form.REMOVED, 0)
    assert log.counts == [2, 2]
    assert histories([read_log(tmp_path / "log")]) == {
        1: [Write(1, 0, acknowledged=True), Write(2, None, acknowledged=True), Write(3, None, acknowledged=False)],
        2: [Write(1, 0, acknowledged=False), Write(2, None, acknowledged=True)],
    }

"""Versions under the judge: a planted wrong score or version is found. And what a run with promotions is made of."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from grid_inference.records import PREDICTION_MESSAGE
from grid_inference.wire.compact import encode_record
from tests.chaos.checker import Expected, Predicted, Verdict
from tests.chaos.faults import FAULTS
from tests.chaos.messages import Messages
from tests.chaos.model import sample, trained
from tests.chaos.promotions import AMONG, broken
from tests.chaos.run import Options, schedule
from tests.chaos.versions import (
    FIRST,
    PROMOTE,
    ROLLBACK,
    VERSIONS,
    Change,
    Message,
    Reigns,
    check_messages,
    check_reigns,
    longest_pause_s,
    plan,
    shares,
)
from tests.chaos.workload import Form

CHANGES = [
    Change(PROMOTE, 2, 9.0, 11.0, 10_000_000, 11_000_000),
    Change(ROLLBACK, 1, 29.0, 31.0, 30_000_000, 31_000_000),
]
REIGNS = Reigns.of(CHANGES)
GOOD = Message(5, 105, 2, 0.25, 20_000_000)
WRITTEN = {(5, 105): True, (5, 106): False}
EXPECTED = {(105, 1): Expected(0.2, "low", 1), (105, 2): Expected(0.25, "low", 2)}


def found(message: Message) -> dict[str, int]:
    return dict(check_messages([message], WRITTEN, EXPECTED, REIGNS).found)


def test_a_message_that_is_right() -> None:
    verdict = check_messages([GOOD, replace(GOOD, score=0.25 + 1e-13)], WRITTEN, EXPECTED, REIGNS)
    assert (verdict.good, verdict.versions, verdict.late_s) == (True, {2: 2}, {})


@pytest.mark.parametrize(
    "change",
    [
        {"score": 0.25 + 1e-11},
        {"score": float("nan")},
        {"version": 1, "scored_at_us": 5_000_000},
        {"score": 0.2},
        {"scored_at_us": 9_999_999},
    ],
    ids=["score", "nan", "names another version", "is another version's", "before the promotion"],
)
def test_a_wrong_message(change: dict[str, float]) -> None:
    assert found(replace(GOOD, **change)) == {"wrong": 1}


def test_a_message_of_a_version_that_was_never_promoted() -> None:
    assert found(replace(GOOD, version=VERSIONS + 1))["wrong"]


def test_a_message_of_a_value_that_nobody_wrote_or_the_model_refuses() -> None:
    assert found(replace(GOOD, digest=104)) == {"invented": 1}
    assert found(replace(GOOD, key=6)) == {"invented": 1}
    assert found(replace(GOOD, digest=106)) == {"accepted": 1}


def test_a_prediction_of_a_version_that_was_not_at_work() -> None:
    verdict = Verdict()
    good = Predicted(105, 0.2, "low", 1, 1_000_000)
    check_reigns(verdict, [(5, good), (6, replace(good, version=2, scored_at_us=12_000_000))], REIGNS)
    assert verdict.good
    check_reigns(verdict, [(5, replace(good, version=2)), (6, replace(good, version=3))], REIGNS)
    assert verdict.found == {"wrong": 2}


def test_reigns_follow_each_other_and_overlap_while_a_change_is_under_way() -> None:
    never = float("inf")
    assert [REIGNS.end_us(1, second * 1_000_000) for second in (0, 13, 29, 30)] == [11_000_000] * 3 + [never]
    assert [REIGNS.end_us(2, second * 1_000_000) for second in (9, 10, 31)] == [None, 31_000_000, 31_000_000]


def test_a_version_that_goes_on_after_it_was_replaced() -> None:
    late = [replace(GOOD, scored_at_us=31_000_000 + late_us) for late_us in (-1, 500_000, 250_000)]
    assert check_messages(late, WRITTEN, EXPECTED, REIGNS).late_s == {31_000_000: 0.5}


def test_a_plan_is_the_seeds_and_can_be_carried_out() -> None:
    assert plan(7, 20) == plan(7, 20) != plan(8, 20)
    for seed in range(50):
        changes, history = plan(seed, 20), [FIRST]
        for kind, version in changes:
            history = history[:-1] if kind == ROLLBACK else [*history, version]
            assert history[-1] == version
        assert all(before != after for before, after in pairwise([FIRST, *(version for _, version in changes)]))
        assert {version for _, version in changes} == set(range(1, VERSIONS + 1))
        assert {kind for kind, _ in changes} == {PROMOTE, ROLLBACK}


def test_shares_are_even_and_give_all() -> None:
    assert shares(20, 16) == [1, 1, 1, 2] * 4
    assert shares(3, 4) == [0, 1, 1, 1]
    assert shares(0, 4) == [0] * 4


def test_a_run_with_promotions_has_faults_of_its_own() -> None:
    assert FAULTS.keys() >= set(AMONG)
    assert (
        schedule(Options(7, promotions=20))
        == schedule(Options(7, promotions=20))
        != schedule(Options(8, promotions=20))
    )


def test_the_longest_pause_of_a_stretch() -> None:
    times = [1.0, 2.0, 2.5, 6.0]
    assert longest_pause_s(times, 2.2, 3.0) == 0.5
    assert longest_pause_s(times, 2.2, 6.5) == 3.5
    assert longest_pause_s(times, 5.0, 5.5) == 3.0, "it had begun before"
    assert longest_pause_s(times, 0.0, 1.5) == 1.0
    assert longest_pause_s([], 1.0, 4.0) == 3.0


def test_a_pause_counts_unless_there_are_such_without_a_promotion() -> None:
    told = {"promotions": 3, "longest_pause_s": 1.5, "longest_pause_without_s": 0.2, "version_late_s": 0.0}
    told["shadow_predictions"] = 7
    assert broken(told) == ["no prediction for 1.5 s > 1 s at a promotion"]
    assert broken(told | {"longest_pause_without_s": 0.8}) == []
    assert broken(told | {"longest_pause_s": 0.5, "shadow_predictions": 0}) == ["the shadow predicted nothing"]
    assert broken(told | {"longest_pause_s": 0.5, "version_late_s": 31.0}) == [
        "a version scored 31.0 s > 30 s after it was replaced"
    ]


@pytest.mark.parametrize("letters", [1, 300, 70_000], ids=["short", "long", "very long"])
def test_messages_are_counted_and_some_are_kept(letters: int) -> None:
    messages = Messages()
    fields = {"deployment": "records", "score": 0.25, "label": "low", "scores": [0.75, 0.25], "key_data": b"key"}
    fields |= {"model": "m" * letters, "version": 2, "owner_epoch": 1, "scored_at_us": 20_000_000}
    for key in range(100, 113):
        record = encode_record(PREDICTION_MESSAGE, {**fields, "key": str(key), "input_digest": 105})
        messages.came(SimpleNamespace(buffer=bytes(record)))
    assert (messages.count, messages.duplicates, messages.versions) == (13, 12, {2: 13})
    assert [Message(*one) for one in messages.sample] == [replace(GOOD, key=109)]


def test_versions_differ_in_each_score_and_misbehave_alike() -> None:
    models = [trained(version) for version in range(1, VERSIONS + 2)]
    scores = np.array([model.predict_proba(sample())[:, 1] for model in models])
    assert (np.diff(scores, axis=0) > 1e-6).all()
    for model in models:
        assert np.isnan(model.predict_proba(np.array([[0.5, 0.5, 0.5, Form.NAN_SCORE]]))).all()
